"""Energies of words that stand near each other, how they are trained, and their closed form."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import sparse

import lowland as ll
from lowland.data.word_pairs import NumberedText, pair_counts
from lowland.energies.word_pairs import WordPairs
from lowland.errors import DomainError, OptionError, TrainingError
from lowland.evaluation.word_vectors import agreement, nearest_words
from lowland.shaping.base import Batch
from lowland.shaping.contrastive.known_noise import Frequencies
from lowland.training.export import load_energy, save_energy
from lowland.training.word_vectors import descend_word_pairs, mutual_information_vectors, train_word_pairs

# Counts of pairs of three words; rows are x, columns y.
COUNTS = torch.tensor([[0.0, 6.0, 2.0], [6.0, 1.0, 3.0], [2.0, 3.0, 4.0]])


def pairs() -> tuple[torch.Tensor, torch.Tensor]:
    rows = [(i, j) for i in range(3) for j in range(3) for _ in range(int(COUNTS[i, j]))]
    x, y = torch.tensor(rows, dtype=torch.float64).repeat(400, 1).split(1, dim=1)
    return x.contiguous(), y.contiguous()


@pytest.mark.parametrize("matched", [False, True])
def test_the_optimum_is_where_the_theory_says(matched: bool) -> None:
    """Vectors of full rank stand where each loss is least: log p(x, y) / (p(x) q(y)) − log ν for negative sampling, and
    log p(y | x) for the matched loss, where c = 0. There the mean gradient is zero up to the draw of the noise."""
    x, y = pairs()
    noise = COUNTS.sum(dim=0).double() ** 0.75
    noise /= noise.sum()
    conditional = (COUNTS / COUNTS.sum(dim=1, keepdim=True)).double().clamp_min(1e-6)
    best = conditional.log() if matched else (conditional / noise).log() - math.log(2)
    energy = WordPairs(("a", "b", "c"), features=3).double()
    shaping = ll.shaping.NoiseContrastive(ratio=2, matched=matched).double()
    shaping.prepare(energy, Batch(y, x))
    torch.testing.assert_close(shaping.weights, noise[None])

    def slope(table: torch.Tensor) -> float:
        with torch.no_grad():
            energy.vectors.copy_(table)
            energy.near.copy_(torch.eye(3))
            shaping.log_partition.zero_()
        energy.zero_grad()
        shaping(energy, Batch(y, x)).losses["energy"].backward()
        assert energy.vectors.grad is not None
        return float(energy.vectors.grad.abs().max())

    # 10,800 pairs and 21,600 draws: deviations of a mean of gradients below 1 are below 1 / √10800 = .01.
    assert slope(best) < 0.02
    assert slope(best + torch.tensor([0.0, 0.7, 0.0])) > 0.04


def test_noise_is_drawn_by_frequency_and_never_where_there_was_none() -> None:
    y = torch.tensor([[0.0, 3.0], [0.0, 1.0], [2.0, 1.0], [2.0, 1.0]])
    known = Frequencies.fit(y, categories=5, power=1.0)
    drawn = known.draw(ll.tensors.PerSampleRNG(0, torch.arange(2000)), 2)
    assert drawn.shape == (4000, 2)
    assert set(drawn[:, 0].tolist()) == {0.0, 2.0}
    # p = 1/4: the deviation of a share of 4,000 draws is .0068.
    assert abs(float((drawn[:, 1] == 3).float().mean()) - 0.25) < 4 * 0.0068
    assert known.log_density(y).tolist() == pytest.approx([math.log(p) for p in (1 / 8, 3 / 8, 3 / 8, 3 / 8)])
    with pytest.raises(DomainError, match="some places hold no token"):
        Frequencies.fit(torch.tensor([[-1.0]]), 2, 1.0)


def test_parts_are_means_and_give_unknown_words_a_vector() -> None:
    energy = WordPairs(("cat", "cats", "dog"), features=4, buckets=50, generator=torch.Generator().manual_seed(0))
    rows = energy._parts("cat")
    assert len(rows) == len(["<ca", "cat", "at>", "<cat", "cat>"])
    expected = energy.vectors[[0, *rows]].mean(dim=0)
    torch.testing.assert_close(energy.vector("cat"), expected)
    torch.testing.assert_close(energy.table()[0], expected)
    unseen = energy.vector("cots")
    assert unseen is not None
    torch.testing.assert_close(unseen, energy.vectors[energy._parts("cots")].mean(dim=0))
    assert WordPairs(("cat", "dog")).vector("cow") is None


def test_an_energy_is_saved_with_its_words(tmp_path: Path) -> None:
    energy = WordPairs(("cat", "größe"), features=4, buckets=9, generator=torch.Generator().manual_seed(0))
    again = load_energy(save_energy(energy, tmp_path / "words"))
    assert isinstance(again, WordPairs)
    assert again.words == energy.words
    assert torch.equal(again.table(), energy.table())


@pytest.mark.parametrize(
    "make",
    [
        lambda: WordPairs(("one",)), lambda: WordPairs(("a", "a")),
        lambda: WordPairs(("a", "b"), shortest=3, longest=2),
        lambda: WordPairs(("a", "b"), buckets=-1), lambda: ll.shaping.NoiseContrastive(power=-1.0),
        lambda: mutual_information_vectors(sparse.csr_array(np.ones((3, 3))), 3),
        lambda: mutual_information_vectors(sparse.csr_array(np.ones((3, 3))), 2, ratio=0.0),
    ],
)  # fmt: skip
def test_impossible_options_are_refused(make: object) -> None:
    with pytest.raises(OptionError):
        make()  # pyright: ignore[reportCallIssue]


def test_words_that_meet_become_alike_and_training_resumes(tmp_path: Path) -> None:
    """Two groups of words that never meet."""
    draw = np.random.default_rng(0)
    sentences = [list(draw.choice(list("abc" if n % 2 else "xyz"), 6)) for n in range(600)]
    text = NumberedText.of(sentences, least=1)
    energy = WordPairs(text.words, 8, generator=torch.Generator().manual_seed(0))
    shaping = ll.shaping.NoiseContrastive(ratio=5, matched=False)
    train_word_pairs(energy, text, shaping, epochs=3, frequent=0.0, batch=256, rate=0.02, run=tmp_path / "fit")
    for table in (energy.table(), mutual_information_vectors(pair_counts(text, 5), 2)):
        for word in "ax":
            near = [other for other, _ in nearest_words(table, text.words, word, 2)]
            assert set(near) | {word} in ({"a", "b", "c"}, {"x", "y", "z"})
    again = WordPairs(text.words, 8, generator=torch.Generator().manual_seed(1))
    train_word_pairs(again, text, shaping, epochs=3, frequent=0.0, batch=256, rate=0.02, run=tmp_path / "fit")
    assert torch.equal(again.table(), energy.table())
    with pytest.raises(OptionError, match="other words than the text"):
        train_word_pairs(WordPairs(("a", "b")), text, shaping)
    with pytest.raises(OptionError, match="epochs must be at least 1"):
        train_word_pairs(energy, text, shaping, epochs=0)
    lonely = NumberedText.of([["a"], ["b"]], least=1)
    with pytest.raises(OptionError, match="No two words of the text stand near"):
        train_word_pairs(WordPairs(("a", "b")), lonely, shaping, frequent=0.0)


@pytest.mark.parametrize("buckets", [0, 7])
def test_descent_pair_by_pair_is_descent_on_the_loss(buckets: int) -> None:
    """One compiled step is that of autograd on the loss of one pair; each part takes the whole step of the mean."""
    from lowland.compiled.word_pairs import descend

    draw = torch.Generator().manual_seed(0)
    energy = WordPairs(("one", "two", "three", "four"), 5, buckets, generator=draw).double()
    with torch.no_grad():
        energy.vectors.copy_(torch.randn(energy.vectors.shape, generator=draw, dtype=torch.float64))
        energy.near.copy_(torch.randn(energy.near.shape, generator=draw, dtype=torch.float64))
    pair, noise, rate = torch.tensor([[2, 1]]), torch.tensor([[0, 3]]), 0.1
    x = torch.full((3, 1), 2.0, dtype=torch.float64)
    cost = energy(x=x, y=torch.tensor([[1.0], [0.0], [3.0]], dtype=torch.float64))
    loss = torch.nn.functional.softplus(cost * torch.tensor([1.0, -1.0, -1.0])).sum()
    loss.backward()
    there = energy.parts >= 0
    many = int(there[2].sum())
    assert (many > 1) == bool(buckets)
    assert energy.vectors.grad is not None
    assert energy.near.grad is not None
    expected = [energy.vectors - many * rate * energy.vectors.grad, energy.near - rate * energy.near.grad]
    begin = torch.cat([torch.zeros(1, dtype=torch.int64), there.sum(dim=1).cumsum(0)])
    arrays = [energy.vectors.detach(), energy.near.detach(), energy.parts[there], begin, pair, noise]
    assert descend(*(part.numpy() for part in arrays), rate, rate) == pytest.approx(float(loss.detach()))
    torch.testing.assert_close([energy.vectors.detach(), energy.near.detach()], [part.detach() for part in expected])


def test_descent_pair_by_pair_finds_who_stands_together() -> None:
    sentences = [[*"abcabc"], [*"xyzxyz"]] * 40
    text = NumberedText.of(sentences, least=1)
    tables = []
    for _ in range(2):
        energy = WordPairs(text.words, 8, generator=torch.Generator().manual_seed(0))
        losses = descend_word_pairs(energy, text, epochs=4, frequent=0.0, rate=0.1)
        assert losses[-1] < losses[0]
        tables.append(energy.table())
        for word in "ax":
            near = [other for other, _ in nearest_words(energy.table(), text.words, word, 2)]
            assert set(near) | {word} in ({"a", "b", "c"}, {"x", "y", "z"})
    assert torch.equal(*tables)
    with pytest.raises(TrainingError, match="became infinite in pass 1"):
        descend_word_pairs(energy, text, frequent=0.0, rate=1e30)
    with pytest.raises(OptionError, match="a ratio and a rate above 0, not 0"):
        descend_word_pairs(energy, text, ratio=0)
    with pytest.raises(OptionError, match="other words than the text"):
        descend_word_pairs(WordPairs(("a", "b")), text)


def test_descent_pair_by_pair_needs_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    text = NumberedText.of([["a", "b"]], least=1)
    monkeypatch.setattr("lowland.training.word_vectors.usable", lambda *_: False)
    with pytest.raises(OptionError, match=r"pip install 'lowland\[fast\]'"):
        descend_word_pairs(WordPairs(text.words, 2), text, frequent=0.0)


def test_the_closed_form_keeps_the_table_of_information() -> None:
    """With as many features as the table has positive singular values, |U S Vᵀ| is the table; here its Gram matrix."""
    counts = sparse.csr_array(COUNTS.double().numpy())
    p = COUNTS.double() / COUNTS.sum()
    q = p.sum(dim=0) ** 0.75
    table = (p / p.sum(dim=1, keepdim=True) / (q / q.sum())).log().clamp_min(0).nan_to_num(neginf=0.0)
    left, scale, _ = torch.linalg.svd(table)
    expected = left[:, :2] * scale[:2].sqrt() @ torch.diag(scale[:2].sqrt()) @ left[:, :2].T
    found = mutual_information_vectors(counts, 2).double()
    torch.testing.assert_close(found @ found.T, expected, atol=1e-6, rtol=1e-6)


def test_agreement_is_spearmans() -> None:
    from scipy.stats import spearmanr

    draw = np.random.default_rng(1)
    table = {f"w{n}": torch.from_numpy(draw.normal(size=5)) for n in range(30)}
    pairs = [(f"w{i}", f"w{j}", float(draw.integers(4))) for i, j in draw.integers(32, size=(60, 2))]
    found = agreement(table.get, pairs)
    known = [(a, b, r) for a, b, r in pairs if a in table and b in table]
    cosines = [float(torch.nn.functional.cosine_similarity(table[a], table[b], dim=0)) for a, b, _ in known]
    assert found["pairs"] == len(known) < len(pairs)
    assert found["correlation"] == pytest.approx(spearmanr(cosines, [r for *_, r in known]).statistic)
    assert found["low"] < found["correlation"] < found["high"]
    assert math.isnan(agreement(table.get, pairs[:2])["correlation"])
