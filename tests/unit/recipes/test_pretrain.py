"""`lowland pretrain`: from a folder to an encoder, and every mistake as one sentence."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import lowland as ll
from lowland import cli
from lowland.data.folder import read_folder
from lowland.data.photos import sample_photos
from lowland.errors import CheckpointError, OptionError
from lowland.evaluation.pretrained import RAW, SUPERVISED, TRAINED, UNTRAINED
from lowland.recipes.joint.pretrain import recipe, shown
from lowland.registry import registered
from lowland.reports.run import Run
from lowland.shaping.regularised.vicreg import VICReg
from lowland.training.checkpoints import read_checkpoint
from lowland.training.encoder_files import load_encoder
from lowland.training.pretraining import build, check_choices, methods, pace_to, plan, views_of

SMALL = "--size 16 --batch 16 --steps 3 --encoder-options maps=8,16".split()


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = sample_photos(tmp_path_factory.mktemp("data") / "photos", 48)
    (folder / "broken.png").write_text("hello")
    return folder


@pytest.fixture
def say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run `lowland pretrain` and give what it said on standard error."""

    def run(*words: object, code: int = 0) -> str:
        found = cli.main(["pretrain", *map(str, words), "--runs", str(tmp_path / "runs")])
        said = capsys.readouterr()
        assert found == code, said
        assert "Traceback" not in said.err
        return said.err

    return run


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pictures, which take longer than such a training."""
    left_out = {"kind": "text", "markdown": "Left out by a test."}
    for name in ("samples", "training", "results"):
        monkeypatch.setattr(shown, name, lambda run, *given: run._add("*", left_out))


@pytest.mark.lost_pictures
def test_a_page_that_fails_does_not_cost_the_encoder(
    photos: Path, tmp_path: Path, say: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*given: object) -> None:
        raise ValueError("a $class$")

    for name in ("samples", "results"):
        monkeypatch.setattr(shown, name, fails)
    out = tmp_path / "mine"
    say(photos, *SMALL, "--labels", "labels.csv", "--out", out)
    assert load_encoder(out)
    assert json.loads((latest(tmp_path) / "results.json").read_text())
    assert (latest(tmp_path) / "report.html").read_text().count("could not be made") == 2


def latest(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "pretrain" / "latest"


def test_a_folder_with_labels_becomes_an_encoder_and_a_page(photos: Path, tmp_path: Path, say: Callable) -> None:
    out = tmp_path / "mine"
    say(photos, *SMALL, "--labels", "labels.csv", "--out", out)
    encoder, card = load_encoder(out)
    assert encoder(torch.zeros(2, 3, 16, 16)).shape == (2, 16)
    assert (card["method"], card["steps"], card["batch"], card["skipped"]) == ("VICReg", 3, 16, 1)
    assert set(card["measured"]) == {TRAINED, UNTRAINED, RAW, SUPERVISED}
    assert "ConvNet(maps=(8, 16))" in (out / "README.md").read_text()
    rows = json.loads((latest(tmp_path) / "results.json").read_text())
    probes = {row["method"]: row["measured"] for row in rows if "linear probe" in row["claim"]}
    assert set(probes) == {"VICReg", "random encoder (baseline)", "raw data (baseline)", "supervised (baseline)"}
    page = (latest(tmp_path) / "report.html").read_text()
    for words in (
        "broken.png",
        "is not a picture",
        "grey among colour",
        "12 labels",
        "Did pretraining help?",
        "95 % interval",
    ):
        assert words in page
    assert "Image.Resampling.BICUBIC" in (out / "README.md").read_text()
    assert (latest(tmp_path) / "skipped.txt").read_text().startswith("broken.png\t")


@pytest.mark.usefixtures("bare")
def test_a_run_cut_short_goes_on_to_the_same_encoder(
    photos: Path, tmp_path: Path, say: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interruption in the training: its steps since the last checkpoint are done again, and no look is lost."""

    def ranks(run: Path) -> Any:
        return read_checkpoint(run / "stages" / "train.safetensors")["result"]["ranks"]

    say(photos, *SMALL, "--steps", "6", "--out", tmp_path / "whole")
    unbroken = ranks(latest(tmp_path))
    assert [step for step, _ in unbroken] == list(range(7))
    plain, steps = VICReg.forward, []

    def forward(self: VICReg, *given: object) -> object:
        steps.append(int(self.step))
        if len(steps) == 4:
            raise CheckpointError("The power fails.")
        return plain(self, *given)

    monkeypatch.setattr(VICReg, "forward", forward)
    said = say(photos, *SMALL, "--steps", "6", "--out", tmp_path / "broken", code=1)
    assert "--resume" in said
    run = latest(tmp_path).resolve()
    say("--resume", run)
    assert steps == [0, 1, 2, 3, 3, 4, 5]
    assert ranks(run) == unbroken
    whole, broken = (load_encoder(tmp_path / name)[0].state_dict() for name in ("whole", "broken"))
    assert all(torch.equal(whole[name], broken[name]) for name in whole)
    Image.new("RGB", (20, 20)).save(photos / "new.png")
    said = say("--resume", run, code=1)
    (photos / "new.png").unlink()
    assert "The folder has changed since the run began: it had 48 samples and has 49" in said


@pytest.mark.parametrize("method", methods())
def test_every_method_trains_here(method: str, photos: Path) -> None:
    data = read_folder(photos, size=16)
    chosen = plan("images", len(data), method.lower(), batch=16, steps=1)
    energy, shaping, _ = build(chosen, data.shape, {"maps": (8, 16)})
    found = ll.fit(energy, data.take(), shaping, 1, chosen.batch, validation=0.0, progress=False)
    assert np.isfinite(found.history["loss/energy"].values).all()


@pytest.mark.usefixtures("bare")
def test_series_are_pretrained_too(tmp_path: Path, say: Callable) -> None:
    folder = tmp_path / "series"
    for number in range(20):
        place = folder / ("even" if number % 2 == 0 else "odd")
        place.mkdir(parents=True, exist_ok=True)
        wave = np.sin(np.linspace(0, 9 * (1 + number % 2), 50))[:, None] * np.ones(2)
        np.save(place / f"{number}.npy", wave + 0.01 * number)
    out = tmp_path / "out"
    say(folder, "--steps", "2", "--size", "20", "--labels", "folders", "--encoder-options", "maps=8,16", "--out", out)
    encoder, card = load_encoder(out)
    assert (card["kind"], encoder.shape) == ("series", (2, 20))
    assert "series as they are" in (out / "README.md").read_text()


def test_a_collapse_ends_the_run_and_explains(photos: Path, tmp_path: Path, say: Callable) -> None:
    said = say(photos, *SMALL, "--options", "variance=0", "alarm=10", "--rate", "0.01", "--steps", "300", code=1)
    assert "collapsed" in said
    assert "--resume" not in said, "the same training would collapse again"
    page = (latest(tmp_path) / "report.html").read_text()
    assert "Training stopped" in page
    assert "collapsed" in page
    assert not list(latest(tmp_path).glob("encoder/*.safetensors"))


def test_a_loss_that_is_not_finite_ends_the_run(photos: Path, tmp_path: Path, say: Callable) -> None:
    said = say(photos, *SMALL, "--options", "invariance=1e400", code=1)
    assert "is not finite at step 0" in said
    assert "TrainingError" in (latest(tmp_path) / "report.html").read_text()


@pytest.mark.usefixtures("bare")
def test_steps_by_the_minutes_that_they_take(photos: Path, tmp_path: Path, say: Callable) -> None:
    words = [word for word in SMALL if word not in ("--steps", "3")]
    say(photos, *words, "--minutes", "0.00001", "--out", tmp_path)
    assert load_encoder(tmp_path)[1]["steps"] == 1
    chosen = pace_to(plan("images", 100), minutes=2, seconds=0.1)
    assert chosen.steps == 1200
    assert "about 2 minutes" in chosen.reasons[-1]
    assert not any(" epochs: " in reason for reason in chosen.reasons)


MISTAKES: dict[str, tuple[str, int]] = {
    "": ("needs the FOLDER", 2),
    "nowhere": ("nowhere does not exist", 1),
    "empty": ("has no images and no series in it, but nothing", 1),
    "one": ("There is one sample to learn from", 2),
    "PHOTOS --method vicregg": ("There is no method called 'vicregg'. Did you mean 'vicreg'?", 2),
    "PHOTOS --steps 3 --epochs 2": ("steps and epochs both say how long", 2),
    "PHOTOS --rate 0": ("rate must be a number above 0", 2),
    "PHOTOS --rate inf": ("rate must be a number above 0", 2),
    "PHOTOS --minutes inf": ("minutes must be a number of at least 0", 2),
    "PHOTOS --size 16 --batch 8 --method wmse": ("WMSE needs batches of at least 16 samples, not 8", 2),
    "PHOTOS --options variance": ("'variance' is not an option with a value", 2),
    "PHOTOS --labels one.csv": ("only one class, 'cat'", 1),
    "PHOTOS --labels lost.csv": ("labels 1 file that is not in", 1),
    "PHOTOS --labels few.csv": ("there are labels of 8 files in 2 classes of at least 4", 1),
    "PHOTOS --out one.csv/deep": ("cannot be written", 1),
    "PHOTOS --size 16 --levels 0 4095": ("leave out --levels", 2),
    "PHOTOS --levels 9 1": ("that of black below that of white", 2),
    "PHOTOS --labels pipe": ("is a named pipe, not a file", 1),
    "heic": ("a.heic is of a kind that is not read: save it as JPEG", 1),
    "PHOTOS/loop": ("loop does not exist", 1),
}
EARLY: dict[str, tuple[str, int]] = {
    "--method vicregg": ("There is no method called 'vicregg'", 2),
    "--encoder resnet88": ("There is no encoder called 'resnet88'", 2),
    "--encoder ResNet1d": ("ResNet1d does not take images of 3 × 48 × 48", 2),
    "--encoder-options map=3": ("ConvNet has no option 'map'", 2),
    "--options varianc=0": ("VICReg has no option 'varianc'", 2),
    "--views simclrr": ("no views of images called 'simclrr'", 2),
    "--batch 1": ("A batch of 1 has nothing to compare", 2),
    "--epochs -1": ("must be positive, or 0", 2),
    "--labels nowhere.csv": ("There is no file", 1),
}
CHOICES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "method": ({"method": "vicregg"}, {}, "no method called 'vicregg'. Did you mean 'vicreg'?"),
    "encoder": ({"encoder": "resnet88"}, {}, "no encoder called 'resnet88'. Did you mean 'resnet18'?"),
    "series": ({"encoder": "ResNet1d"}, {}, "ResNet1d does not take images of 3 × 48 × 48"),
    "views": ({}, {"views": "simclrr"}, "no views of images called 'simclrr'. Did you mean 'simclr'?"),
    "one": ({"batch": 1}, {}, "A batch of 1 has nothing to compare"),
    "large": ({"batch": 101}, {}, "A batch of 101 is larger than the 100 samples"),
    "negative": ({"epochs": -1}, {}, "must be positive, or 0"),
    "option": ({}, {"method_options": {"varianc": 0}}, "VICReg has no option 'varianc'. Did you mean 'variance'?"),
    "seed": ({}, {"method_options": {"seed": 0}}, "VICReg has no option 'seed'"),
    "text": ({}, {"method_options": {"variance": "high"}}, "variance of VICReg takes a value such as 25.0, not 'high'"),
    "words": ({}, {"encoder_options": {"maps": "ab"}}, "does not take images of 3 × 48 × 48 with maps=ab: give other"),
    "zero": ({}, {"encoder_options": {"maps": (8, 0)}}, "with maps=(8, 0): give other values, or choose another"),
    "maps": ({}, {"encoder_options": {"map": 3}}, "ConvNet has no option 'map'. Did you mean 'maps'?"),
}


@pytest.mark.parametrize("name", CHOICES)
def test_a_choice_that_cannot_be_is_one_sentence(name: str) -> None:
    planned, built, words = CHOICES[name]
    with pytest.raises(OptionError, match=re.escape(words)):
        build(plan("images", 100, **planned), (3, 48, 48), **built)


@pytest.mark.parametrize("words", MISTAKES)
def test_a_mistake_is_one_sentence(
    words: str, photos: Path, tmp_path: Path, say: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "one").mkdir()
    (tmp_path / "heic").mkdir()
    (tmp_path / "heic" / "a.heic").write_text("hello")
    os.mkfifo(tmp_path / "pipe")
    Image.new("RGB", (20, 20)).save(tmp_path / "one" / "a.png")
    names = [f"{name}-{number:02}.png" for name in ("astronaut", "brick") for number in range(4)]
    tables = {"one": [(name, "cat") for name in names], "lost": [("cat.png", "cat")]}
    tables["few"] = [(name, "ab"[number % 2]) for number, name in enumerate(names)]
    for name, lines in tables.items():
        (tmp_path / f"{name}.csv").write_text("".join(f"{file},{label}\n" for file, label in lines))
    sentence, code = MISTAKES[words]
    said = say(*words.replace("PHOTOS", str(photos)).split(), code=code)
    assert sentence in said
    assert len(said.strip().splitlines()) == 1


@pytest.mark.parametrize("words", EARLY)
def test_a_mistake_is_said_before_any_file_is_read(
    words: str, photos: Path, say: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipe, "read_folder", lambda *given, **more: pytest.fail("files are read"))
    sentence, code = EARLY[words]
    assert sentence in say(photos, *words.split(), code=code)


def test_every_encoder_is_known_by_the_data_that_it_takes() -> None:
    """What is looked at before the data are read refuses no pair that works with data of the usual size."""
    kinds = {"images": (3, 48, 48), "series": (1, 256)}
    for name in registered("encoder"):
        for kind, shape in kinds.items():
            try:
                build(plan(kind, 100, encoder=name), shape)
            except OptionError:
                with pytest.raises(OptionError, match="does not take"):
                    check_choices(kind, encoder=name)
            else:
                check_choices(kind, encoder=name)


def test_a_smoke_run_gives_no_verdict(smoke: Callable[[str], Run]) -> None:
    run = smoke("pretrain")
    said = " ".join(element.get("markdown", "") for element in run.elements)
    assert not run.found
    assert "too short for a verdict" in said
    assert not re.search("Yes|Too close|points gained", said)


def test_what_was_left_out_is_said_before_anything_fails(
    tmp_path: Path, say: Callable, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(3):
        Image.new("RGB", (20, 20)).save(tmp_path / f"{number}.png")
        (tmp_path / f"broken{number}.png").write_text("hello")
    np.save(tmp_path / "series.npy", np.zeros(30))
    assert "There are 3 samples to learn from" in say(tmp_path, code=2)
    assert "3 files could not be used: " in caplog.text
    assert "1 other file was left alone: series.npy" in caplog.text
    assert (latest(tmp_path) / "skipped.txt").read_text().count("is not a picture") == 3


def test_images_that_are_all_the_same_teach_nothing(tmp_path: Path, say: Callable) -> None:
    (tmp_path / "dark").mkdir()
    for number in range(30):
        Image.new("RGB", (20, 20)).save(tmp_path / "dark" / f"{number}.png")
    said = say(tmp_path / "dark", *SMALL, code=1)
    assert "samples that were looked at are the same" in said


def test_help_names_the_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["pretrain", "--help"]) == 0
    assert "lowland pretrain FOLDER" in capsys.readouterr().out


def test_what_is_chosen_depends_on_the_amount_of_data() -> None:
    few, many = plan("images", 40), plan("images", 1_000_000)
    assert (few.batch, many.batch) == (16, 128)
    assert (few.steps, many.steps) == (200 * 2, 5 * 7812)
    assert len(few.reasons) == 4
    given = plan("series", 40, "simclr", "perceptron", batch=20, epochs=3)
    assert (given.method, given.encoder, given.steps, given.reasons) == ("SimCLR", "Perceptron", 6, ())
    assert views_of("images", "crop-only") == views_of("images", "crop_only")
