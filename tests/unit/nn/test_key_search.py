"""Look-ups among many keys, exact and by faiss, and the mass that is left out."""

from __future__ import annotations

import importlib.util

import pytest
import torch
from torch.nn import functional

from lowland.errors import OptionError, ShapeError
from lowland.nn.key_search import KeySearch


def clustered(count: int, generator: torch.Generator) -> torch.Tensor:
    """Keys around fifty centres, as those of real data are."""
    centres = torch.randn(50, 16, generator=generator)
    keys = centres[torch.randint(50, (count,), generator=generator)] + 0.5 * torch.randn(count, 16, generator=generator)
    return functional.normalize(keys, dim=1)


@pytest.mark.parametrize("piece", [7, 100, 65536])
def test_exact_search_and_its_mass_do_not_depend_on_the_pieces(generator: torch.Generator, piece: int) -> None:
    keys, query = clustered(500, generator).double(), clustered(20, generator).double()
    values = torch.randn(500, 3, generator=generator).double()
    search = KeySearch(keys, "exact", piece=piece)
    product, number = search.nearest(query, 12)
    best = (query @ keys.T).topk(12, dim=1)
    torch.testing.assert_close(product, best.values)
    assert torch.equal(number, best.indices)
    share = torch.softmax(9 * query @ keys.T, dim=1)
    read = search.read(query, 9.0, 12, values)
    inside = share.gather(1, best.indices)
    torch.testing.assert_close(read.left_out, 1 - inside.sum(dim=1))
    torch.testing.assert_close(read.share, inside / inside.sum(dim=1, keepdim=True))
    torch.testing.assert_close(read.value, torch.einsum("bk,bkm->bm", read.share, values[best.indices]))
    whole = search.read(query, 9.0, 500, values)
    torch.testing.assert_close(whole.value, share @ values)
    assert float(whole.left_out.abs().max()) < 1e-12


def test_faiss_finds_most_of_them_and_estimates_the_mass(generator: torch.Generator) -> None:
    """With a third of the lists searched. The estimate is that of a fixed sample: some percent of the mass at β = 8."""
    keys, query = clustered(20_000, generator), clustered(50, generator)
    exact, found = KeySearch(keys, "exact"), KeySearch(keys, "faiss", lists=50, probes=16)
    right, number = exact.nearest(query, 32)[1], found.nearest(query, 32)[1]
    recall = (number[:, :, None] == right[:, None]).any(dim=2).double().mean()
    assert recall > 0.95
    one, other = exact.read(query, 8.0, 32), found.read(query, 8.0, 32)
    assert float((one.left_out - other.left_out).abs().max()) < 0.05
    assert 0.5 < float(one.left_out.mean()) < 1


def test_too_few_keys_in_the_lists_are_no_keys(generator: torch.Generator) -> None:
    keys = clustered(60, generator)
    search = KeySearch(keys, "faiss", lists=30, probes=1)
    product, number = search.nearest(keys[:5], 40)
    assert bool((number == -1).any())
    assert bool(torch.isinf(product[number == -1]).all())
    read = search.read(keys[:5], 5.0, 40)
    assert bool(torch.isfinite(read.value).all())
    assert bool((read.share[read.number == -1] == 0).all())


def test_without_faiss_the_search_is_exact(generator: torch.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    keys = clustered(300, generator)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "faiss" else find(name))
    many = keys[:1].expand(100_000, -1)
    assert not KeySearch(many).approximate
    with pytest.raises(OptionError, match="faiss is not installed: pip install faiss-cpu"):
        KeySearch(keys, "faiss")


def test_what_cannot_be_searched(generator: torch.Generator) -> None:
    keys = clustered(10, generator)
    with pytest.raises(OptionError, match="index must be"):
        KeySearch(keys, "annoy")
    with pytest.raises(OptionError, match="at least 1"):
        KeySearch(keys, probes=0)
    with pytest.raises(ShapeError, match="keys must be"):
        KeySearch(keys[0])
    with pytest.raises(ShapeError, match=r"A query must be \(B, 16\)"):
        KeySearch(keys).nearest(keys[:, :3], 2)
    with pytest.raises(OptionError, match="From 1 to 10 keys"):
        KeySearch(keys).nearest(keys, 11)
