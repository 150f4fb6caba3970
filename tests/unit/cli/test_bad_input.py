"""Mistakes that people make. Each is one clear error that names the culprit, and nothing is lost."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save
from torch import Tensor

import lowland as ll
from lowland import cli
from lowland.domains import Box, OneHot, Reals
from lowland.energies.base import Energy
from lowland.errors import LowlandError
from lowland.recipes.foundations.ellipse.recipe import EllipseRecipe
from lowland.registry import find
from lowland.reports.run import Run

COMMANDS = {
    "lsit": "'lsit'. Did you mean 'list'?",
    "--bogus": "COMMAND",
    "list --rowz": "'--rowz'. Did you mean '--rows'?",
    "list extra": "'extra'",
    "run": "NAME",
    "run elipse": "'elipse'. Did you mean 'ellipse'?",
    "run elipse --help": "'elipse'. Did you mean 'ellipse'?",
    "run ellipse --preset smok": "'smok'. Did you mean 'smoke'?",
    "run ellipse --preset": "--preset",
    "run ellipse --poins 3": "'--poins'. Did you mean '--points'?",
    "run ellipse --points many": "--points",
    "run ellipse --points 0": "points",
    "run ellipse --radii 1": "--radii",
    "run ellipse --radii 1 -1": "radii must be a number above 0",
    "run ellipse --radii nan 1": "radii must be a number above 0",
    "run ellipse --seed": "--seed",
    "run ellipse --seed 99999999999999999999999": "The seed must be from 0",
    "run ellipse --device warp": "'warp'",
    "run ellipse 3": "3",
    "data": "list|get|check",
    "data fetch digits": "'fetch'",
    "data get digits extra": "'extra'",
    "data get": "needs the name of a data set",
    "data get digitz": "'digitz'. Did you mean 'digits'?",
    "data check minst": "'minst'. Did you mean 'mnist'?",
    "export ellipse": "--to",
    "export ellipse --to onyx": "'onyx'",
}


@pytest.mark.parametrize("words", COMMANDS)
def test_a_wrong_command_is_one_sentence_and_exit_code_2(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words.split()) == 2
    said = capsys.readouterr()
    assert COMMANDS[words] in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""


def _damage(run: Path, name: str, content: bytes | None) -> None:
    paths = list(run.glob(name))
    assert paths, name
    for path in paths:
        path.unlink() if content is None else path.write_bytes(content)


DAMAGE: dict[str, tuple[str, bytes | None, str, str]] = {
    "configuration is cut short": ("config.json", b'{"recipe": "el', "resume", "config.json is corrupt"),
    "configuration is lost": ("config.json", None, "resume", "config.json"),
    "configuration is foreign": ("config.json", b'{"model": 3}', "resume", "not the configuration of a run"),
    "configuration is not text": ("config.json", b"\xff\xfe\x00", "resume", "config.json is corrupt"),
    "stage is cut short": ("stages/inference.safetensors", b"\x10\x00", "resume", "inference.safetensors"),
    "stage is empty": ("stages/inference.safetensors", b"", "resume", "inference.safetensors"),
    "stage is of another library": (
        "stages/inference.safetensors",
        save({"weight": torch.ones(2)}),
        "resume",
        "inference.safetensors",
    ),
    "values are cut short": ("values.json", b'{"results": ', "report", "values.json is corrupt"),
    "values are of another program": ("values.json", b"[1, 2]", "report", "values.json"),
    "weights are of another network": (
        "checkpoints/*/model.safetensors",
        save({"weight": torch.ones(2)}),
        "export",
        "checkpoints/ellipse",
    ),
    "an argument of the energy is unknown": (
        "checkpoints/*/config.json",
        b'{"energy": "Ellipse", "radius": 2}',
        "export",
        "radius",
    ),
    "stage is a zip": ("stages/inference.safetensors", b"PK\x03\x04" * 100, "resume", "inference.safetensors"),
    "page and values are lost": ("[pv]a*e*.json", None, "report", "page.json"),
    "results are numbers": (
        "values.json",
        b'{"results": 3, "shown": {}, "elements": [], "seconds": 1}',
        "report",
        "values",
    ),
    "figure is lost": ("figures/valleys.png", None, "report", "valleys.png is missing"),
    "weights are cut short": ("checkpoints/*/model.safetensors", b"\x08\x00\x00", "export", "checkpoints/ellipse"),
    "energy is unknown": ("checkpoints/*/config.json", b'{"energy": "Elipse"}', "export", "Did you mean 'Ellipse'?"),
    "no energy was kept": ("checkpoints/*/config.json", None, "export", "keeps no energy"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_a_damaged_run_is_one_sentence(
    case: str, smoke: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, content, command, words = DAMAGE[case]
    run = tmp_path / "copy"
    shutil.copytree(smoke, run)
    _damage(run, name, content)
    line = {
        "resume": ["run", "ellipse", "--resume", str(run)],
        "report": ["report", str(run)],
        "export": ["export", str(run), "--to", "safetensors"],
    }[command]
    assert cli.main(line) in (1, 2)
    said = capsys.readouterr().err
    assert words in said
    assert "Traceback" not in said
    assert "bug" not in said


def test_what_does_not_fit_a_run(smoke: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = {
        f"run ellipse --resume {smoke} --points 61": "points was 60 and is now 61",
        f"run ellipse --resume {smoke} --preset smoke": "leave out --preset",
        f"run one-one-one --resume {smoke}": "is a run of ellipse, not of one-one-one",
        f"run ellipse --resume {tmp_path / 'none'}": "There is no run at",
        f"run ellipse --resume latest --runs {tmp_path}": "There is no run at",
        f"report elipse --runs {smoke.parent.parent}": "Did you mean 'ellipse'?",
        f"export {smoke} --to onnx --energy elipse": "Did you mean 'ellipse'?",
        f"export {smoke} --to onnx --part encoder": "has no part 'encoder'",
    }
    for line, words in lines.items():
        assert cli.main(line.split()) in (1, 2), line
        assert words in capsys.readouterr().err, line
    assert json.loads((smoke / "status.json").read_text())["status"] == "finished"


def test_a_file_in_the_place_of_the_folder_of_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "runs").write_text("not a folder")
    assert cli.main(["run", "ellipse", "--preset", "smoke", "--runs", str(tmp_path / "runs")]) == 1
    said = capsys.readouterr().err
    assert str(tmp_path / "runs") in said
    assert "bug" not in said


def test_a_place_where_no_folder_can_be(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "ellipse", "--preset", "smoke", "--runs", "/proc/nowhere"]) == 1
    said = capsys.readouterr().err
    assert "/proc/nowhere" in said
    assert "cannot be used" in said
    assert "bug" not in said


def test_a_wrong_option_found_by_the_recipe_itself_is_not_worth_a_resume(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["run", "strategies", "--preset", "smoke", "--runs", str(tmp_path), "--methods", "pcaa"]
    assert cli.main(line) == 2
    said = capsys.readouterr().err
    assert "Did you mean 'pca'?" in said
    assert "--resume" not in said


@pytest.mark.parametrize("name", [name for name, known in ll.data.DATASETS.items() if known.source.archive])
def test_damaged_data_are_one_sentence(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = ll.data.DATASETS[name].source
    monkeypatch.setenv("LOWLAND_CACHE", str(tmp_path))
    (tmp_path / source.archive).write_bytes(b"half of it")
    for action in ("check", "get"):
        assert cli.main(["data", action, name]) == 1
        said = capsys.readouterr().err
        assert f"{tmp_path / source.archive} is damaged" in said
        assert f"Delete it and run `lowland data get {name}`" in said
        assert said.count("\n") == 1


def test_a_machine_without_network_is_told_where_to_put_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOWLAND_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    assert cli.main(["data", "get", "mnist10k"]) == 1
    said = capsys.readouterr().err
    assert "not on this machine" in said
    assert f"into {tmp_path}" in said
    assert said.count("\n") == 1


class Conditional(Energy):
    """E(x, y) = ‖y − x‖²."""

    def __init__(self) -> None:
        super().__init__(x=Reals(2), y=Reals(2))

    def energy(self, x: Any, y: Any, z: Any) -> Tensor:
        return (y - x).square().sum(dim=1)


class Summed(Energy):
    """Sums over the batch, which is not an energy's business."""

    def __init__(self) -> None:
        super().__init__(y=Reals(2))

    def energy(self, x: Any, y: Any, z: Any) -> Tensor:
        return y.square().sum()


class Boxed(Energy):
    """E(y) = ‖y‖² in a box."""

    def __init__(self) -> None:
        super().__init__(y=Box(2, low=1.0, high=2.0))

    def energy(self, x: Any, y: Any, z: Any) -> Tensor:
        return y.square().sum(dim=1)


def _ellipse(y: Any = None, **given: Any) -> Any:
    return ll.infer(ll.energies.Ellipse(), y=y, over="z", **given)


Y = torch.zeros(3, 2)
LIBRARY: dict[str, tuple[Callable[[], Any], str]] = {
    "y without a batch axis": (lambda: _ellipse(torch.zeros(2)), "y has shape (2,)"),
    "y of rank 3": (lambda: _ellipse(torch.zeros(3, 2, 1)), "y has shape (3, 2, 1)"),
    "y of the wrong size": (lambda: _ellipse(torch.zeros(3, 5)), "y has shape (3, 5)"),
    "y is a number": (lambda: _ellipse(torch.tensor(1.0)), "y has no batch axis"),
    "y is a list": (lambda: _ellipse([[0.0, 0.0]]), "y must be a tensor"),
    "y is of whole numbers": (lambda: _ellipse(torch.zeros(3, 2, dtype=torch.int64)), "y is torch.int64"),
    "y is in double precision": (lambda: _ellipse(Y.double()), "y is torch.float64"),
    "y is on another device": (
        lambda: ll.energies.Ellipse()(y=Y.to("meta"), z=torch.zeros(3, 1)),
        "y is on the meta device",
    ),
    "y is NaN": (lambda: _ellipse(torch.full((3, 2), math.nan)), "y contains NaN"),
    "y is infinite": (lambda: _ellipse(torch.tensor([[0.0, math.inf]])), "y contains NaN or infinity in 1 of 1"),
    "y was not given": (lambda: _ellipse(), "needs a value for y"),
    "x is missing": (lambda: ll.infer(Conditional(), over="y"), "needs an input x"),
    "x is superfluous": (lambda: _ellipse(Y, x=Y), "has no variable x"),
    "x and y have different lengths": (lambda: Conditional()(x=torch.zeros(2, 2), y=Y), "x has 2, y has 3"),
    "z is both given and free": (lambda: _ellipse(Y, z=torch.zeros(3, 1)), "z is both given and free"),
    "over a variable that is not there": (lambda: ll.infer(Summed(), over="z"), "no variable 'z'"),
    "over an unknown name": (lambda: ll.infer(Summed(), over="w"), "no variable 'w'"),
    "an energy that sums over the batch": (lambda: Summed()(y=Y), "one number for each sample, shape (3,)"),
    "the same in infer": (lambda: ll.infer(Summed(), over="y", init=Y), "one number for each sample"),
    "a start outside its domain": (lambda: ll.infer(Boxed(), over="y", init=Y), "init leaves its domain Box(2)"),
    "a start of another length": (lambda: _ellipse(Y, init=torch.zeros(2, 1)), "init has 2 samples"),
    "a start that is NaN": (lambda: _ellipse(Y, init=torch.full((3, 1), math.nan)), "init contains NaN"),
    "β is NaN": (lambda: ll.free_energy(ll.energies.Ellipse(), Y, beta=math.nan), "beta must be a number"),
    "a box upside down": (lambda: Box(2, low=1.0, high=0.0), "low is 1.0 and high is 0.0"),
    "an axis of no length": (lambda: Reals(0), "at least 1 long"),
    "a finite domain too large": (lambda: OneHot(10, groups=9).elements(), "not finite"),
    "a negative step": (lambda: find("solver", "GradientDescent")(-0.1), "step_size must be positive"),
    "a budget below zero": (lambda: find("solver", "LBFGS")(max_steps=-1), "max_steps"),
    "an unknown solver": (lambda: find("solver", "LBFG"), "Did you mean 'LBFGS'?"),
    "a solver that cannot": (
        lambda: _ellipse(Y, solver=find("solver", "Gibbs")()),
        "Gibbs cannot solve this problem",
    ),
    "an unknown data set": (lambda: ll.data.load("digit"), "Did you mean 'digits'?"),
    "an unknown option of a recipe": (lambda: EllipseRecipe.from_options({"radius": 1}), "Did you mean 'radii'?"),
    "an unknown preset of a recipe": (lambda: EllipseRecipe.preset("gpus"), "Did you mean 'gpu'?"),
    "training data that are NaN": (
        lambda: ll.fit(ll.energies.PCA(2, 1), torch.full((8, 2), math.nan), ll.shaping.MinimumEnergy()),
        "NaN",
    ),
    "an energy that is a network": (lambda: ll.infer(torch.nn.Linear(2, 2), y=Y, over="z"), "an instance of Energy"),
    "an energy that is a class": (lambda: ll.free_energy(ll.energies.Ellipse, Y), "the class Ellipse: call it"),
    "a solver by name": (lambda: _ellipse(Y, solver="LBFGS"), "solver must be an instance of Solver"),
    "a solver that is a class": (lambda: _ellipse(Y, solver=find("solver", "LBFGS")), "the class LBFGS: call it"),
    "an adjoint by name": (lambda: _ellipse(Y, adjoint="implicit"), "adjoint must be an instance of Adjoint"),
    "over nothing": (lambda: ll.infer(Summed(), over=()), "over must name the free variables"),
    "streams of another length": (lambda: _ellipse(Y, sample_ids=torch.arange(2)), "sample_ids must have one number"),
    "β in words": (lambda: ll.free_energy(ll.energies.Ellipse(), Y, beta="inf"), "beta must be a number"),
    "no draws": (lambda: ll.free_energy(ll.energies.Ellipse(), Y, beta=1.0, samples=0), "samples must be at least 1"),
    "an energy plus a number": (lambda: ll.energies.Ellipse() + 3, "What is added to an energy"),
    "an energy times an energy": (lambda: ll.energies.Ellipse() * ll.energies.Ellipse(), "multiplied by a number"),
    "a weight that is NaN": (lambda: math.nan * ll.energies.Ellipse(), "must be a finite number"),
    "an ellipse turned inside out": (lambda: ll.energies.Ellipse((-1.0, 2.0)), "two positive numbers"),
    "half an axis": (lambda: Reals(2.5), "a whole number long"),
    "training data outside the domain": (
        lambda: ll.fit(ll.energies.RBM(2, 2), torch.full((8, 2), 7.0), ll.shaping.RatioMatching()),
        "y leaves its domain Binary(2), or [0, 1] for grey values, in 8 of 8 samples",
    ),
    "flips of real numbers": (
        lambda: ll.fit(ll.energies.Gaussian(2), torch.zeros(8, 2), ll.shaping.RatioMatching()),
        "Flips need a binary y",
    ),
    "a shaping that is a class": (
        lambda: ll.fit(ll.energies.PCA(2, 1), torch.zeros(8, 2), ll.shaping.MinimumEnergy),
        "the class MinimumEnergy: call it",
    ),
    "training data of another shape": (
        lambda: ll.fit(ll.energies.PCA(2, 1), torch.zeros(8, 3), ll.shaping.MinimumEnergy()),
        "y has shape (1, 3), but (B, 2)",
    ),
}


@pytest.mark.parametrize("case", LIBRARY)
def test_a_mistake_in_code_is_a_lowland_error_that_names_the_culprit(case: str) -> None:
    call, words = LIBRARY[case]
    with pytest.raises(LowlandError) as caught:
        call()
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_mistakes_in_a_recipe(tmp_path: Path) -> None:
    run = Run.create(tmp_path, "mine", {})
    mistakes: list[tuple[Callable[[], Any], str]] = [
        (lambda: run.table(["a", "b"], [[1]]), "has 1 cells, but there are 2 columns"),
        (lambda: run.table(["a"], [[1]], heat={"b": (0, 1)}), "no column 'b'"),
        (lambda: run.figure("f", "not a figure"), "f must be a figure"),
        (lambda: run.figure("f", b"JFIF"), "neither a PNG nor a GIF"),
        (lambda: run.figure("f", object(), format="bmp"), "'bmp'"),
        (lambda: run.log(1, loss=0.0), "run.stage"),
        (lambda: run.stage("s", lambda: object()), "is a object"),
    ]
    for call, words in mistakes:
        with pytest.raises(LowlandError, match=words):
            call()
    run.stage("twice", lambda: 1)
    with pytest.raises(LowlandError, match="two stages called 'twice'"):
        run.stage("twice", lambda: 1)


def test_there_are_at_least_fifty() -> None:
    assert len(COMMANDS) + len(DAMAGE) + len(LIBRARY) >= 50
