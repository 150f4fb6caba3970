"""The recipe `classify`: its energy is softmax classification, and what it exports decides what the energy decides."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

import lowland as ll
from lowland.data import digits
from lowland.energies import Classifier
from lowland.errors import OptionError
from lowland.nn.layers import linear
from lowland.recipes.base import execute, start
from lowland.recipes.foundations.classify.recipe import LIKELIHOOD, ClassifyRecipe
from lowland.reports.run import Run
from lowland.shaping import Batch
from lowland.shaping.contrastive.points import WrongAnswers
from lowland.training.checkpoints import read_checkpoint
from lowland.training.export import load_energy


def _batch(count: int = 50) -> tuple[torch.Tensor, torch.Tensor, Batch]:
    data = digits()
    x, labels = data.train[:count].flatten(1).double(), data.train_labels[:count]
    return x, labels, Batch(torch.eye(10).double()[labels], x)


@pytest.mark.parametrize("shaping", [ll.shaping.MaximumLikelihood(), ll.shaping.InfoNCE(WrongAnswers(), count=9)])
def test_likelihood_is_the_cross_entropy(shaping: ll.shaping.Shaping) -> None:
    """And so is InfoNCE over all nine wrong answers. In double precision sums of 50 by 10 terms agree to 1e-12."""
    x, labels, batch = _batch()
    energy = Classifier(64, 10, (30,)).double()
    parameters = list(energy.parameters())
    ours, theirs = shaping(energy, batch).losses["energy"], functional.cross_entropy(energy.network(x), labels)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    mine, other = torch.autograd.grad(ours, parameters), torch.autograd.grad(theirs, parameters)
    torch.testing.assert_close(mine, other, rtol=1e-12, atol=1e-12)


def test_the_hinge_is_that_of_the_most_offending_answer() -> None:
    """[f_wrong − f_right + 1]⁺ with the largest wrong output"""
    x, labels, batch = _batch()
    energy = Classifier(64, 10, (30,)).double()
    loss = ll.shaping.HingePair(WrongAnswers())(energy, batch).losses["energy"]
    output = energy.network(x)
    right = output.gather(1, labels[:, None])[:, 0]
    wrong = output.scatter(1, labels[:, None], -torch.inf).max(dim=1).values
    torch.testing.assert_close(loss, (wrong - right + 1).clamp_min(0).mean(), rtol=1e-12, atol=1e-12)


def test_inference_looks_at_all_answers_of_any_module() -> None:
    """A ConvNet in the place of the network: the answer is the class of its largest output."""
    energy = Classifier(64, 10)
    convolution = nn.utils.skip_init(nn.Conv2d, 1, 4, 3)
    for parameter in convolution.parameters():
        nn.init.normal_(parameter, generator=torch.Generator().manual_seed(0))
    energy.network = nn.Sequential(nn.Unflatten(1, (1, 8, 8)), convolution, nn.Flatten(), linear(144, 10))
    x, _, _ = _batch()
    found = ll.infer(energy, x=x.float(), over="y")
    output = energy.network(x.float())
    assert torch.equal(found.value.argmax(dim=1), output.argmax(dim=1))
    torch.testing.assert_close(found.energy, -output.max(dim=1).values)


def test_test_images_have_no_say_in_training(tmp_path: Path) -> None:
    """With other test images the same steps are chosen and the same weights are kept, to the bit."""
    config, data = ClassifyRecipe.preset("smoke"), digits()
    run, kept = start(config, tmp_path, "smoke"), []
    for number, images in enumerate((data, dataclasses.replace(data, test=torch.zeros_like(data.test)))):
        energy = config._energy(LIKELIHOOD, images, 0)
        train = partial(config._train, run, energy, ll.shaping.MaximumLikelihood(), images, 0)
        kept.append((run.stage(f"train-{number}", train)["validation"], list(energy.parameters())))
    assert kept[0][0] == kept[1][0]
    assert all(torch.equal(one, other) for one, other in zip(kept[0][1], kept[1][1], strict=True))


def test_claims_agree_with_the_saved_energies(smoke: Callable[[str], Run]) -> None:
    run = smoke("classify")
    rows = {(row["id"], row["claim"], row["method"]): row["measured"] for row in run.results}
    assert {row for row, _, _ in rows} == set(ClassifyRecipe.entry.head.systems)
    exact = [value for (row, claim, _), value in rows.items() if row == "H5" and "otherwise" in claim]
    close = [value for (row, claim, _), value in rows.items() if row == "H5" and "largest" in claim]
    # Sums of 64 and 32 terms in another order: energies of a few nats by some hundred roundings of single precision.
    assert exact == [0, 0]
    assert len(close) == 2
    assert max(close) < 1e-4
    wrong = {method: value for (row, _, method), value in rows.items() if row == "V1"}
    assert wrong["logistic regression (baseline)"] < wrong["network, MaximumLikelihood"] < 50
    assert wrong["most frequent class (baseline)"] == pytest.approx(90, abs=2)
    stored = read_checkpoint(run.folder / "stages" / "seed-0" / "likelihood.safetensors")["result"]
    energy = load_energy(run.checkpoints / LIKELIHOOD)
    with torch.no_grad():
        assert torch.equal(-energy.encode(digits().test.flatten(1)), stored["table"])


def test_without_onnxruntime_the_page_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    config = ClassifyRecipe(seeds=1, hidden=(4,), width=4, steps=(1,))
    run = execute(config, start(config, tmp_path))
    assert {row["method"] for row in run.results if row["id"] == "H5"} == {"program of torch.export"}
    assert "ONNX export needs the package onnxruntime" in (run.folder / "report.html").read_text()


@pytest.mark.parametrize("options", [{"steps": ()}, {"steps": (20, 10)}])
def test_steps_rise(options: dict[str, object]) -> None:
    with pytest.raises(OptionError, match="rising"):
        ClassifyRecipe.from_options(options)
