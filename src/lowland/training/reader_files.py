"""Writes a reader of lines into a folder: weights, the code that reads with them, and a card."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

from lowland.data.pixels import opened
from lowland.data.text_lines import line_image
from lowland.files import write_atomically
from lowland.nn.line_readers import FrameReader
from lowland.training.export import export_safetensors
from lowland.training.source_of import source_of
from lowland.words import verbatim

KIND = "lowland reader of lines 1"
WEIGHTS = "reader.safetensors"
_MEASURED = {
    "characters": "character error",
    "whole": "lines read whole",
    "correct": "accepted and correct",
    "wrong": "accepted and wrong",
}

_CARD = """# A reader of lines of text

Made by `lowland read`. It needs torch and safetensors, and NumPy and Pillow to open pictures, but not Lowland.

```python
from read import load

reader = load("reader.safetensors")
text, confidence = reader("a line.png")
```

On the command line: `python read.py a.png b.png` writes file, text, confidence and whether it is sure enough.

| | |
|---|---|
{facts}

It takes the likeliest label of each frame of four columns, joins equal neighbours and drops the blanks, which is the \
path of least energy. The confidence is the probability of the text, summed over all its alignments.{grammar}

## Measured

On {tests:,} test lines, which it has not seen:

{measured}

## Limits

It reads single lines that look like those it learned from, and no character that they lack. On other lines, measure \
before you rely on it.
"""

_CODE = '''
class Reader(nn.Module):
    """Reads pictures of single lines: (text, probability of that text)."""

    def __init__(self, network, alphabet, least):
        super().__init__()
        self.network, self.alphabet, self.least = network, alphabet, least

    def sure(self, confidence):
        """Whether a text is sure enough, by the threshold that was chosen on validation lines."""
        return math.log(max(confidence, 1e-300)) >= self.least

    @torch.no_grad()
    def forward(self, path):
        with opened(Path(path)) as image:
            ink, _ = line_image(image)
        frames = -(-ink.shape[1] // STRIDE)
        line = torch.zeros(1, 1, HEIGHT, STRIDE * frames + AROUND)
        line[0, 0, :, : ink.shape[1]] = torch.from_numpy(ink.astype(np.float32) / 255)
        cost = self.network({"image": line, "cells": torch.tensor([float(frames)])})
        scores = (-cost[0].double()).log_softmax(dim=1)
        path = scores.argmax(dim=1).unique_consecutive()
        labels = path[path > 0]
        free = functional.ctc_loss(
            scores[:, None], labels[None], torch.tensor([frames]), torch.tensor([len(labels)]), reduction="sum"
        )
        return "".join(self.alphabet[label - 1] for label in labels.tolist()), math.exp(-float(free))


def load(path):
    """The trained reader."""
    from safetensors import safe_open
    from safetensors.torch import load_file

    with safe_open(path, framework="pt") as file:
        card = json.loads((file.metadata() or {}).get("card", "{}"))
    if "alphabet" not in card:
        raise ValueError(f"{path} does not hold a reader of lines.")
    network = FrameReader(HEIGHT, card["width"], len(card["alphabet"]))
    network.load_state_dict(load_file(path))
    return Reader(network, card["alphabet"], float(card["threshold"])).eval()


if __name__ == "__main__":
    import csv
    import sys

    reader, table = load(Path(__file__).with_name("reader.safetensors")), csv.writer(sys.stdout)
    table.writerow(["file", "text", "confidence", "accepted"])
    for file in sys.argv[1:]:
        text, confidence = reader(file)
        table.writerow([file, text, f"{confidence:.4f}", "yes" if reader.sure(confidence) else "no"])
'''


def write_reader(
    folder: Path, reader: FrameReader, alphabet: str, threshold: float, facts: Mapping[str, str],
    measured: Mapping[str, float], tests: int, grammar: str = "",
) -> Path:  # fmt: skip
    """Write `reader.safetensors`, `read.py`, which needs no Lowland, and the card `README.md`; returns the weights.

    Args:
        folder: where they go.
        reader: trained.
        alphabet: of its letters.
        threshold: the least confidence, as a logarithm, of what is accepted.
        facts: for the card, Markdown by name.
        measured: "characters", "whole", "correct" and "wrong", in percent of `tests` test lines.
        tests: lines of the test.
        grammar: by which the test lines were read, "" for none.

    Raises:
        CheckpointError: if they cannot be written.
    """
    known = {"width": reader.shape["image"][2], "alphabet": alphabet, "threshold": str(threshold)}
    least = f"{math.exp(threshold):.4f}" if threshold <= 0 else "none is high enough"
    rows = {**facts, "least confidence": least}
    found = {name: f"{measured[key]:.2f} %" for key, name in _MEASURED.items()}
    tables = ["\n".join(f"| {key} | {value} |" for key, value in table.items()) for table in (rows, found)]
    unlike = f" Lowland read by the grammar {verbatim(grammar)}; this code does not, and its texts may differ."
    text = _CARD.format(
        facts=tables[0], grammar=grammar and unlike, tests=tests, measured=f"| | |\n|---|---|\n{tables[1]}"
    )
    write_atomically(folder / "README.md", text.encode())
    write_atomically(folder / "read.py", _code().encode())
    card = {**known, "tests": tests, "measured": dict(measured), "grammar": grammar}
    header = {"format": "pt", "kind": KIND, "card": json.dumps(card)}
    return export_safetensors(reader, folder / WEIGHTS, header)


def _code() -> str:
    head = (
        '"""Reads pictures of single lines, as Lowland learned it. Needs torch, safetensors, NumPy and Pillow.\n\n'
        '    from read import load\n    reader = load("reader.safetensors")\n    text, confidence = reader("a.png")\n'
        '"""\n\nfrom __future__ import annotations\n\nimport json\n'
        "from torch.nn import functional\n"
    )
    return head + source_of(FrameReader, line_image, opened) + "\n" + _CODE.removeprefix("\n")
