"""`lowland reconstruct`: from a file to images, with or without the truth and the network of a run of `mri`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from lowland import cli
from lowland.data.brain import phantoms
from lowland.data.kspace import simulate_kspace
from lowland.errors import OptionError
from lowland.recipes.vision.reconstruct.recipe import ReconstructRecipe
from lowland.reports.run import Run


@pytest.fixture
def say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run `lowland reconstruct` and give what it said on standard error."""

    def run(*words: object, code: int = 0) -> str:
        found = cli.main(["reconstruct", *map(str, words), "--runs", str(tmp_path / "runs")])
        said = capsys.readouterr()
        assert found == code, said
        assert "Traceback" not in said.err
        return said.err

    return run


def test_measured_kspace_becomes_images_in_its_own_units(
    say: Callable[..., str], smoke: Callable[[str], Run], tmp_path: Path
) -> None:
    x, y = simulate_kspace(100 * phantoms(8, 32, 40).test, 2.0, 0.5, [torch.Generator().manual_seed(i) for i in (0, 1)])
    np.save(tmp_path / "scan.npy", torch.complex(x[:, 0], x[:, 1]).numpy())
    say(tmp_path / "scan.npy", "--prior", smoke("mri").folder)
    run = (tmp_path / "runs" / "reconstruct" / "latest").resolve()
    with np.load(run / "images.npz", allow_pickle=False) as images:
        assert set(images) == {"zero-filled", "variation", "prior", "rows"}
        errors = {name: np.abs(images[name] - torch.complex(y[:, 0], y[:, 1]).numpy()).mean() for name in images
                  if name != "rows"}  # fmt: skip
    assert errors["variation"] < errors["zero-filled"] < 20
    values = json.dumps(json.loads((run / "values.json").read_text()))
    assert "columns were measured" in values
    claims = {row["claim"] for row in json.loads((run / "results.json").read_text()) if row["measured"] is not None}
    assert not any("PSNR" in claim for claim in claims)
    assert any("duality gap" in claim for claim in claims)
    page = (run / "report.html").read_text()
    assert "can invent" in page
    assert "the truth is not known" in page
    assert "drawn heads of ellipses" in page
    assert "one brain" not in page


def test_a_changed_prior_is_noticed(say: Callable[..., str], smoke: Callable[[str], Run], tmp_path: Path) -> None:
    prior = shutil.copytree(smoke("mri").folder, tmp_path / "prior")
    np.save(tmp_path / "scan.npy", phantoms(4, 32, 40).test[:, 0].numpy())
    say(tmp_path / "scan.npy", "--prior", prior)
    (prior / "checkpoints" / "network" / "energy.safetensors").write_bytes(b"other")
    run = (tmp_path / "runs" / "reconstruct" / "latest").resolve()
    assert "(--prior) has changed since the run began" in say("--resume", run, code=1)


def test_the_page_has_the_fit_of_all_slices_and_says_which_are_late(say: Callable[..., str], tmp_path: Path) -> None:
    given = phantoms(8, 32, 40).test[:, 0].numpy()
    given[1] *= 1e-3
    np.save(tmp_path / "scan.npy", given)
    say(tmp_path / "scan.npy", "--rounds", 10, "--gap", 1e-6)
    run = (tmp_path / "runs" / "reconstruct" / "latest").resolve()
    values = json.loads((run / "values.json").read_text())
    rows = next(element["rows"] for element in values["elements"] if element.get("name") == "slices")
    assert values["results"]["variation"]["residual"][0] < 0.5 * max(row[1] for row in rows)
    assert values["shown"]["late"] == 2


def test_images_have_a_truth(smoke: Callable[[str], Run]) -> None:
    run = smoke("reconstruct")
    assert run.measured.mean("variation", "psnr") > run.measured.mean("zero-filled", "psnr")
    assert {path.stem for path in (run.folder / "figures").glob("*.png")} == {"middle", "kspace"}
    assert "simulated" in (run.folder / "report.html").read_text()


def test_mistakes_are_one_sentence(say: Callable[..., str], tmp_path: Path) -> None:
    assert "needs the SCAN" in say(code=2)
    assert "cannot be read" in say(tmp_path / "none.h5", code=1)
    np.save(tmp_path / "odd.npy", np.ones((2, 3, 4, 5), np.complex64))
    assert "k-space must be" in say(tmp_path / "odd.npy", code=1)
    np.save(tmp_path / "scan.npy", np.ones((32, 32), np.float32))
    assert "no network" in say(tmp_path / "scan.npy", "--prior", tmp_path, code=1)


@pytest.mark.parametrize("options", [{"axis": 3}, {"slices": -1}, {"acceleration": 0.5}, {"variation": 0.0}])
def test_options_that_cannot_be(options: dict[str, object]) -> None:
    with pytest.raises(OptionError, match=next(iter(options))):
        ReconstructRecipe.from_options(options)
