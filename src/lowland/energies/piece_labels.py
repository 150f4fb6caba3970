"""Letters of single pieces of a line, each read alone: what a reader can learn before whole lines (system V5)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lowland.domains import Product, Reals, Tokens
from lowland.energies.base import Energy, ReferenceCase
from lowland.errors import DomainError
from lowland.nn.line_readers import PieceReader
from lowland.registry import register


@register("energy")
class PieceLabels(Energy):
    """E(x, y) = −Σ over the pieces with a label of log p(label | piece), p the softmax of a reader's scores.

    y holds the label of each piece, (B, C · L), the cells of a piece varying fastest, and −1 for those without one.
    Normalised as it is, it needs nothing that pushes other answers up: `MinimumEnergy` is the cross-entropy. Pieces
    that are no letter can have the label K, rubbish, if the reader has it. Source: LeCun, Bottou, Bengio & Haffner
    1998, section VI.C, for what is wrong with it: nothing says how good a piece is beside others.

    Args:
        reader: a `PieceReader`; a label on a piece that is not there counts nothing.

    Raises:
        DomainError: for a label that the reader does not know.

    >>> energy = PieceLabels(PieceReader(8, 16, cells=2, letters=3, longest=2, maps=(2, 2, 4)))
    >>> x = {"image": torch.zeros(1, 1, 8, 16), "cuts": torch.tensor([[2.0, 6, 12]]), "cells": torch.tensor([2.0])}
    >>> energy(x, torch.tensor([[0.0, -1, -1, 2]])).shape
    torch.Size([1])
    """

    def __init__(self, reader: PieceReader) -> None:
        cells = reader.shape["cuts"][0] - 1
        kinds = list(reader.judge.parameters())[-1].shape[0]
        parts = {name: Reals(tuple(shape)) for name, shape in reader.shape.items()}
        super().__init__(x=Product(parts | {"cells": Reals()}), y=Tokens(kinds, cells * reader.longest, empty="any"))
        self.reader, self.cells = reader, cells

    def encode(self, x: dict[str, Tensor]) -> dict[str, Tensor]:
        scores, there = self.reader.scores(x)
        return {"chances": scores.log_softmax(dim=3), "there": there}

    def energy(self, x: dict[str, Tensor], y: Tensor, z: Any) -> Tensor:
        chances, there = x["chances"], x["there"]
        labels = y.unflatten(1, (self.cells, -1))[:, : there.shape[1]].long()
        if not torch.compiler.is_exporting() and bool((labels >= chances.shape[3]).any()):
            row = int((labels >= chances.shape[3]).flatten(1).any(dim=1).nonzero()[0])
            raise DomainError(
                f"Sample {row} has a piece with the label {int(labels[row].max())}, but the reader knows "
                f"{chances.shape[3]}, from 0 on."
            )
        counted = (labels >= 0) & there
        own = chances.gather(3, labels.clamp_min(0)[..., None])[..., 0]
        return -torch.where(counted, own, 0.0).sum(dim=(1, 2))

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """Scores that favour the first of two letters for each of the three pieces of two cells."""
        reader = PieceReader(8, 16, cells=2, letters=2, longest=2, maps=(2, 2, 4))
        last = list(reader.judge.parameters())[-2:]
        last[0].data.zero_()
        last[1].data.copy_(torch.tensor([2.0, 0.0]))
        x = {
            "image": torch.rand(1, 1, 8, 16, generator=torch.Generator().manual_seed(0)),
            "cuts": torch.tensor([[2.0, 6.0, 12.0]]), "cells": torch.tensor([2.0]),
        }  # fmt: skip
        return ReferenceCase(cls(reader.eval()), {"x": x}, "y", minimum=torch.zeros(1))
