"""Slants, cuts, pieces and batches of lines."""

from __future__ import annotations

import pytest
import torch

from lowland.data.cuts import cuts, deslant, pad_lines, pieces, reach
from lowland.errors import DomainError, OptionError, ShapeError


def strokes(slant: float, height: int = 32, width: int = 60) -> torch.Tensor:
    """Two strokes of three columns that cross the half height at columns 20 and 40."""
    row, column = torch.arange(height)[:, None], torch.arange(width)
    middle = column + slant * (row - (height - 1) / 2)
    return sum(((1.5 - (middle - place).abs()).clamp(0, 1) for place in (20, 40)), torch.zeros(height, width))


@pytest.mark.parametrize("slant", [-0.5, -0.3, 0.0, 0.2, 0.5])
def test_a_slant_is_found_and_undone(slant: float) -> None:
    image, found = deslant(strokes(slant))
    assert found == pytest.approx(slant)
    assert image.shape == (32, 60 + 2 * reach(32))
    # All ink is there, and the strokes stand where they crossed the half height.
    assert float(image.sum()) == pytest.approx(float(strokes(slant).sum()), rel=1e-4)
    columns = image.sum(dim=0)
    assert columns.argsort()[-2:].sort().values.tolist() == [20 + reach(32), 40 + reach(32)]
    assert float(columns[20 + reach(32)]) > 28


def test_a_shear_leaves_an_upright_line_as_it_is() -> None:
    image = (torch.rand(32, 50, generator=torch.Generator().manual_seed(0)) < 0.1).float() * strokes(0, width=50)
    assert torch.equal(deslant(image)[0][:, reach(32) : -reach(32)], image)
    assert deslant(strokes(0.4), slants=1)[1] == 0


def test_cuts_are_where_ink_is_least_and_never_far_apart(generator: torch.Generator) -> None:
    image = torch.zeros(32, 60)
    image[8:24, 10:16] = image[8:24, 19:40] = 0.9
    image[12, 16:19] = 0.9
    found = cuts(image)
    assert found.tolist() == [10, 17, 23, 29, 34, 40]
    for far in (4, 5, 9, 20):
        found = cuts(image, far=far)
        assert (int(found[0]), int(found[-1])) == (10, 40)
        assert 17 in found
        assert 0 < int(found.diff().min()) <= int(found.diff().max()) <= far
    # Noise below the threshold of ink changes nothing.
    grain = 0.29 * torch.rand(32, 60, generator=generator) * (image == 0)
    assert torch.equal(cuts(image + grain), cuts(image))


def test_pieces_are_all_runs_that_fit(generator: torch.Generator) -> None:
    for longest, widest in ((1, 9), (3, 14), (7, 30), (20, 1000)):
        edges = torch.randint(1, 9, (12,), generator=generator).cumsum(0)
        known = [
            (end, cells, int(edges[end + 1 - cells]), int(edges[end + 1]))
            for end in range(11)
            for cells in range(1, 12)
            if cells <= min(longest, end + 1) and edges[end + 1] - edges[end + 1 - cells] <= widest
        ]
        assert list(zip(*(column.tolist() for column in pieces(edges, longest, widest)), strict=True)) == known


def test_a_batch_holds_its_lines_and_blank_paper() -> None:
    lines = [torch.rand(32, width) for width in (5, 8, 3)]
    batch, widths = pad_lines(lines)
    assert (batch.shape, widths.tolist()) == ((3, 1, 32, 8), [5, 8, 3])
    for padded, line in zip(batch[:, 0], lines, strict=True):
        assert torch.equal(padded[:, : line.shape[1]], line)
        assert not padded[:, line.shape[1] :].any()


def test_what_is_not_a_line() -> None:
    for call in (cuts, deslant):
        for image in (torch.zeros(1, 32, 60), torch.zeros(32, 0), torch.zeros(32, 60, dtype=torch.uint8)):
            with pytest.raises(ShapeError, match=r"an image \(H, W\)"):
                call(image)
        for value in (float("nan"), -1.0, 255.0):
            with pytest.raises(DomainError, match="grey levels"):
                call(torch.full((32, 60), value))
    with pytest.raises(DomainError, match="no ink"):
        cuts(torch.full((32, 60), 0.1))
    with pytest.raises(OptionError, match="far must be"):
        cuts(strokes(0), least=4)
    with pytest.raises(OptionError, match="must be odd"):
        deslant(strokes(0), slants=10)
    with pytest.raises(OptionError, match="One cell is 11 columns wide"):
        pieces(torch.tensor([0, 5, 16]), widest=8)
    with pytest.raises(DomainError, match="ascending"):
        pieces(torch.tensor([0, 5, 5]))
    for edges in (torch.tensor([3]), torch.tensor([0.0, 5.0]), torch.zeros(2, 2, dtype=torch.int64)):
        with pytest.raises(ShapeError, match="two or more whole columns"):
            pieces(edges)
    for lines in ([], [torch.zeros(32, 5), torch.zeros(31, 5)], [torch.zeros(1, 32, 5)]):
        with pytest.raises(ShapeError, match="of one height"):
            pad_lines(lines)
