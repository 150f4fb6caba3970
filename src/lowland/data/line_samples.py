"""Lines of print that are drawn here, to try a reader of lines without a folder of one's own."""

from __future__ import annotations

from pathlib import Path

import torch

from lowland.errors import OptionError


def sample_lines(folder: str | Path, count: int = 300, letters: str = "0123456789", longest: int = 6) -> Path:
    """Write so many pictures of random texts with their transcripts, and a tenth as many without; returns the folder.

    They are set in DejaVu Sans, which comes with matplotlib, in several sizes, dark on light, every eighth the reverse.

    Raises:
        OptionError: for a count below 1.
    """
    from matplotlib import get_data_path
    from PIL import Image, ImageDraw, ImageFont

    if count < 1:
        raise OptionError(f"The number of lines must be at least 1, but it is {count}.")
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    draw = torch.Generator().manual_seed(0)
    fonts = [ImageFont.truetype(Path(get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"), size) for size in (20, 26, 34)]
    for number in range(count + count // 10):
        length, size, paper, dark = (
            int(torch.randint(low, high, (), generator=draw))
            for low, high in ((2, longest + 1), (0, 3), (200, 256), (0, 60))
        )
        text = "".join(letters[k] for k in torch.randint(len(letters), (length,), generator=draw).tolist())
        paper, ink = (dark, paper) if number % 8 == 7 else (paper, dark)
        left, top, right, bottom = fonts[size].getbbox(text)
        image = Image.new("L", (round(right - left) + 12, round(bottom - top) + 12), paper)
        ImageDraw.Draw(image).text((6 - left, 6 - top), text, fill=ink, font=fonts[size])
        image.save(place / f"{number:04d}.png")
        if number < count:
            (place / f"{number:04d}.txt").write_text(text + "\n", encoding="utf-8")
    return place
