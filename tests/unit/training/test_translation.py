"""Training of translators, and translation as inference."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import lowland as ll
from lowland.data.byte_pairs import BytePairs
from lowland.data.parallel_text import made_parallel
from lowland.errors import DataError, OptionError
from lowland.training import translation
from lowland.training.checkpoints import read_checkpoint
from lowland.training.translation import (
    KINDS,
    Kind,
    Numbers,
    batches_by_length,
    decoded,
    greedy,
    numbered,
    proposed,
    rewarded,
    train_translation,
    translation_energy,
)

TEXT = made_parallel(60, torch.Generator().manual_seed(0))
PIECES = BytePairs.learn([*TEXT.source, *TEXT.target], 330)
DATA = numbered(TEXT, PIECES, 24)


def energy(kind: Kind = "convolutions") -> ll.energies.Autoregressive:
    return translation_energy(kind, len(PIECES), 24, 16, 1, torch.Generator().manual_seed(0))


def test_pairs_as_numbers_and_back() -> None:
    assert decoded(DATA.y, PIECES) == list(TEXT.target)
    assert decoded(DATA.x, PIECES) == list(TEXT.source)
    short = numbered(TEXT, PIECES, 17).rows
    assert 0 < len(short) < len(TEXT)
    with pytest.raises(DataError, match="at most 2 pieces"):
        numbered(TEXT, PIECES, 2)


def test_batches_have_every_row_once_and_are_not_too_large() -> None:
    lengths = torch.randint(1, 30, (2, 200), generator=torch.Generator().manual_seed(0))
    found = batches_by_length(lengths[0], lengths[1], 300, torch.Generator().manual_seed(1))
    assert sorted(torch.cat(found).tolist()) == list(range(200))
    places = [len(rows) * int(lengths[0][rows].max() + lengths[1][rows].max()) for rows in found]
    assert max(places) <= 300
    assert sum(int(lengths[:, rows].sum()) for rows in found) > 0.7 * sum(places)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_learns(kind: Kind) -> None:
    model = energy(kind)
    found = train_translation(model, DATA, 1.0, 12, 600, rate=0.01)
    assert found.curve[-1][1] < found.curve[0][1] - 0.3
    assert (found.steps, len(found.curve)) == (12, 12)


def test_training_goes_on_where_it_was_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, broken = energy(), energy()
    expected = train_translation(whole, DATA, 1.0, 8, 600)

    class EndedError(Exception):
        """Raised in place of a signal."""

    def write(tree: object, path: Path) -> None:
        original(tree, path)
        if read_checkpoint(path)["state"]["steps"] == 5:
            raise EndedError

    original = translation.write_checkpoint
    monkeypatch.setattr(translation, "write_checkpoint", write)
    file = tmp_path / "fit.safetensors"
    with pytest.raises(EndedError):
        train_translation(broken, DATA, 1.0, 8, 600, file=file, every=0.0)
    other = energy()
    found = train_translation(other, DATA, 1.0, 8, 600, file=file, every=1e9)
    assert [point[1] for point in found.curve] == [point[1] for point in expected.curve]
    for name, value in whole.state_dict().items():
        assert torch.equal(value, other.state_dict()[name])


def test_seconds_of_the_processor_end_a_training() -> None:
    found = train_translation(energy(), DATA, 0.05)
    assert 0.05 <= found.seconds < 5
    assert found.steps >= 1


def test_a_list_does_not_depend_on_the_reward_and_its_best_is_what_inference_gives() -> None:
    model = energy()
    train_translation(model, DATA, 1.0, 10, 600, rate=0.01)
    x = DATA.x[:7]
    lists = proposed(model, x, 3)
    solver = ll.solvers.BeamSearch(3)
    assert torch.equal(lists.best(), ll.infer(model, x=x, over="y", solver=solver).value)
    for reward in (0.3, 1.5):
        assert torch.equal(lists.best(reward), ll.infer(rewarded(model, reward), x=x, over="y", solver=solver).value)
    torch.testing.assert_close(model(x=x, y=lists.tokens[:, 1]), lists.cost[:, 1])
    assert bool((lists.cost[:, 0] <= lists.cost[:, 1] + 1e-4).all())
    assert torch.equal(proposed(model, x, 1).best(), greedy(model, x))
    each = torch.cat([greedy(model, row[None]) for row in x])
    assert torch.equal(each, greedy(model, x))
    with pytest.raises(OptionError, match="reward"):
        rewarded(model, 0.0)


def test_options_that_cannot_be() -> None:
    with pytest.raises(OptionError, match="kind must be"):
        translation_energy("koala", 5, 5)  # pyright: ignore[reportArgumentType]
    for name, value in {"seconds": 0.0, "batch": 0, "rate": -1.0}.items():
        with pytest.raises(OptionError, match=name):
            train_translation(energy(), DATA, **({"seconds": 1.0} | {name: value}))  # pyright: ignore[reportArgumentType]
    with pytest.raises(OptionError, match="left out"):
        train_translation(energy(), Numbers(*DATA), 1.0, 1, left_out=1.0)
