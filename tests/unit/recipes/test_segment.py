"""`lowland segment`: from a folder of pictures and masks to labels and an ONNX file; each mistake one sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from lowland import cli
from lowland.data.prepare import Prepare
from lowland.data.scenes import sample_scenes
from lowland.errors import OptionError
from lowland.nn.encoders.convnet import ConvNet
from lowland.nn.standardised import Standardised
from lowland.recipes.vision.segment.recipe import SegmentRecipe
from lowland.training.encoder_files import save_encoder


@pytest.fixture
def say(tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Callable[..., str]:
    """Run `lowland segment` and give what it said on standard error."""

    def run(*words: object, code: int = 0) -> str:
        found = cli.main(["segment", *map(str, words), "--runs", str(tmp_path / "runs")])
        said = capsys.readouterr()
        assert found == code, said
        assert "Traceback" not in said.err
        return said.err + caplog.text

    return run


def test_a_folder_becomes_labels_and_a_network(say: Callable[..., str], tmp_path: Path) -> None:
    folder = sample_scenes(tmp_path / "scenes", masks=4, others=2)
    Image.new("L", (10, 10)).save(folder / "masks" / "0000.png")
    encoder = Standardised(ConvNet((3, 24, 24), (4, 8)), Prepare("images", (3, 24, 24)))
    weights = save_encoder(encoder, {"maps": (4, 8)}, tmp_path / "encoder", {"kind": "images", "levels": None})
    said = say(folder, "--steps", 2, "--size", 32, "--encoder", weights)
    assert "1 file could not be used" in said
    run = (tmp_path / "runs" / "segment" / "latest").resolve()
    assert "0000.png\tcould not be read (its mask has 10 × 10 pixels" in (run / "skipped.txt").read_text()
    labels = sorted((run / "labelled").glob("*.png"))
    assert [path.name for path in labels] == ["0004.png", "0005.png"]
    with Image.open(labels[0]) as mask:
        assert mask.size == (128, 96)
        assert set(np.unique(np.asarray(mask)).tolist()) <= set(range(6))
    session = onnxruntime.InferenceSession(run / "parser" / "parser.onnx")
    values = json.loads((run / "values.json").read_text())["shown"]
    scores = session.run(None, {"images": np.zeros((3, 3, 32, 48), np.float32)})[0]
    assert scores.shape == (3, len(values["classes"]), 32, 48)
    assert len(values["gains"]) == 4
    assert [row[:2] for row in values["gains"]][3] == ["pretrained", "untrained"]
    page = (run / "report.html").read_text()
    assert "Did pretraining help?" in page
    assert "pretrained on the same folder, it has seen the test pictures, without their masks" in page
    for name in ("place alone", "random forest", "encoder without pretraining", "pretrained encoder"):
        assert name in page
    assert "onnxruntime" in (run / "parser" / "README.md").read_text()


def test_mistakes_are_one_sentence(say: Callable[..., str], tmp_path: Path) -> None:
    assert "needs the FOLDER" in say(code=2)
    assert "does not exist" in say(tmp_path / "none", code=1)
    folder = sample_scenes(tmp_path / "scenes", masks=3, others=0)
    assert "no encoder" in say(folder, "--encoder", tmp_path / "none", "--steps", 1, code=1)
    for place in (folder / "masks").glob("*.png"):
        place.rename(place.with_name(f"m{place.name}"))
    assert "No picture has a mask" in say(folder, code=1)


@pytest.mark.parametrize("options", [{"steps": 0}, {"smoothness": -1.0}, {"rate": 0.0}])
def test_options_that_cannot_be(options: dict[str, object]) -> None:
    with pytest.raises(OptionError, match=next(iter(options))):
        SegmentRecipe.from_options(options)
