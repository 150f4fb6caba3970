"""The recipe `lenet`: its counts, its pictures, and what the distorted row is trained on."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from lowland.energies.lenet import LeNet
from lowland.errors import OptionError, UnsupportedError
from lowland.recipes.vision.lenet.recipe import METHODS, LenetRecipe
from lowland.reports.run import Run
from lowland.shaping.base import Batch
from lowland.shaping.contrastive.likelihood import MaximumLikelihood
from lowland.tensors import PerSampleRNG


def test_counts_and_errors_are_on_the_page(smoke: Callable[[str], Run]) -> None:
    run = smoke("lenet")
    rows = {(row["method"], row["claim"]): row for row in run.results}
    for claim, published in (("trained weights", 60000), ("connections", 340908)):
        row = rows["LeNet-5 as published", claim]
        assert row["measured"] == row["published"] == published
    assert set(run.measured.methods("error")) == set(METHODS)
    for name in METHODS:
        for measure in ("error", "validation", "fitted"):
            assert 0 <= run.measured.mean(name, measure) <= 100
    drawn = {path.stem for path in (run.folder / "figures").glob("*.png")}
    assert drawn == {"maps", "bitmaps", "views", "wrong-published", "wrong-distorted"}


def test_views_are_drawn_anew_in_each_step() -> None:
    seen = []

    def views(samples: torch.Tensor, noise: PerSampleRNG) -> torch.Tensor:
        seen.append(samples + 0.01 * noise.normal(*samples.shape[1:]))
        return seen[-1]

    energy, shaping = LeNet((8, 8)), MaximumLikelihood(views)
    x, y = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0)), torch.eye(10)[:4]
    loss = shaping(energy, Batch(y, x)).losses["energy"]
    torch.testing.assert_close(loss, MaximumLikelihood()(energy, Batch(y, seen[0])).losses["energy"])
    shaping.advance()
    shaping(energy, Batch(y, x))
    assert not torch.equal(seen[0], seen[1])


def test_views_need_an_input() -> None:
    case = MaximumLikelihood.reference_case()
    with pytest.raises(UnsupportedError, match="have none"):
        MaximumLikelihood(lambda samples, noise: samples)(case.energy, case.batch)


@pytest.mark.parametrize("options", [{"epochs": (2, 1)}, {"data": "mnist11k"}, {"rubbish": 0.0}, {"batch": 0}])
def test_options_that_cannot_be(options: dict[str, object]) -> None:
    with pytest.raises(OptionError, match=next(iter(options))):
        LenetRecipe.from_options(options)
