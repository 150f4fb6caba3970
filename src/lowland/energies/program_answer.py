"""The energy of an answer to a question about a scene, with a program as latent variable (system M8).

Legend: B samples, N programs, S words of a question, T functions of a program, K numbers that a function may have.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lowland.data.block_programs import ANSWERS, FUNCTIONS, NUMBERS
from lowland.data.block_scenes import MOST, PLACES, Block, Scene
from lowland.domains import OneHot, Product, Tokens
from lowland.domains.tokens import EMPTY
from lowland.energies.autoregressive import Autoregressive
from lowland.energies.base import Energy, ReferenceCase
from lowland.energies.structure import Continuation, Structure
from lowland.errors import OptionError, check_number
from lowland.nn.decoders import TransformerDecoder
from lowland.nn.program_machine import answers_of
from lowland.registry import register

_PARTS = len(Block._fields)
_ARITY = torch.tensor([len(function.arguments) for function in FUNCTIONS])


@register("energy")
class ProgramAnswer(Energy):
    """E(x, y, z) = −log p(z | question) + γ (1 − y·a(z, scene)): z a program, a(z, scene) its one-hot answer, or zeros.

    The first term is the proposal, a network that writes programs; the second is the mismatch of the execution: 0 where
    the program, run on the scene, says y, and γ where it says something else, cannot be run, or is ill-formed. Then
    F(x, y) = min_z E(x, y, z) says whether some likely program explains the answer. The cost of ending a program holds
    its mismatch, so that `BeamSearch` minimises all of E. With `answered=False` there is no y, and the energy is min_y
    E(x, y, z): any answer will do, and γ is the cost of a program without one. Source of the parts: Johnson et al.,
    "Inferring and executing programs for visual reasoning" (2017); there the executor is a network, and programs are
    searched for by REINFORCE.

    x is {"question": (B, S) numbers of words, "scene": (B, 10 · 6)}, see `scene_table`.

    Args:
        proposal: an `Autoregressive` of programs that may end, with a question as prompt.
        mismatch: γ > 0, in nats.
        answered: whether there is a y.

    Raises:
        OptionError: for a γ that is not positive, or a proposal of sequences of another kind.

    >>> proposal = Autoregressive(TransformerDecoder(len(FUNCTIONS)), length=6, prompt=4, ends=True)
    >>> energy = ProgramAnswer(proposal, answered=False)
    >>> x = {"question": torch.zeros(1, 4), "scene": scene_table([(Block(0, 0, 0, 0, 1, 5),)])}
    >>> energy(x=x, z=torch.tensor([[float(NUMBERS[name]) for name in ("count", "scene")] + [-1.0] * 4])).shape
    torch.Size([1])
    """

    def __init__(self, proposal: Autoregressive, mismatch: float = 10.0, answered: bool = True) -> None:
        check_number("mismatch", mismatch, least=0)
        if not mismatch > 0:
            raise OptionError(f"mismatch must be positive, but it is {mismatch}.")
        domains = proposal.domains
        if not proposal.ends or "x" not in domains or proposal.categories < len(FUNCTIONS):
            raise OptionError(
                f"The proposal must write programs of {len(FUNCTIONS)} functions that may end, from a question: an "
                "Autoregressive with ends=True, a prompt, and as many categories."
            )
        scene = Tokens(PLACES, MOST * _PARTS, empty="any")
        given = {"x": Product({"question": domains["x"], "scene": scene}), "z": domains["y"]}
        super().__init__(**given, **({"y": OneHot(len(ANSWERS))} if answered else {}))
        self.proposal, self.mismatch = proposal, float(mismatch)

    def encode(self, x: dict[str, Tensor]) -> dict[str, Tensor]:
        """The question as the proposal takes it, and the scene."""
        return {"question": self.proposal.encode(x["question"]), "scene": x["scene"]}

    def energy(self, x: dict[str, Tensor], y: Tensor | None, z: Tensor) -> Tensor:
        cost = self.proposal.energy(x["question"], z, None)
        return cost + self.mismatch * self._wrong(z, x["scene"], y).to(cost) + (0 if y is None else _nothing(y))

    def answers(self, x: dict[str, Tensor], z: Tensor) -> Tensor:
        """The number of the answer of each program, (B,) int64; −1 where it has none."""
        return self._answers(z, x["scene"])

    def structure(self, over: tuple[str, ...], x: Any, y: Any, z: Any) -> Structure:
        if x is None or over not in (("y",), ("z",)) or (over == ("z",) and y is None and "y" in self.domains):
            return Structure()
        if over == ("y",):
            return Structure(table=lambda: self._table(x, z))
        return Structure(continuation=Continuation(lambda: self._begin(x, y), self._extend))

    def _table(self, x: dict[str, Tensor], z: Tensor) -> Tensor:
        cost = self.proposal.energy(x["question"], z, None)
        found = self._answers(z, x["scene"])
        says = (found[:, None] == torch.arange(len(ANSWERS), device=found.device)).to(cost)
        return cost[:, None] + self.mismatch * (1 - says)

    def _begin(self, x: dict[str, Tensor], y: Tensor | None) -> tuple[Tensor, Any]:
        structure = self.proposal.structure(("y",), x["question"], None, None)
        assert structure.continuation is not None
        costs, memory = structure.continuation.begin()
        written = torch.full((len(costs), self.proposal.length), EMPTY, device=costs.device)
        kept = {"proposal": memory, "written": written, "scene": x["scene"]} | ({} if y is None else {"answer": y})
        return self._with_mismatch(costs, kept), kept

    def _extend(self, memory: dict[str, Any], token: Tensor) -> tuple[Tensor, Any]:
        structure = self.proposal.structure(("y",), memory["scene"], None, None)
        assert structure.continuation is not None
        costs, kept = structure.continuation.extend(memory["proposal"], token)
        written = memory["written"]
        written = written.scatter(1, (written >= 0).sum(dim=1, keepdim=True), token[:, None])
        memory = {**memory, "proposal": kept, "written": written}
        return self._with_mismatch(costs, memory), memory

    def _with_mismatch(self, costs: Tensor, memory: dict[str, Any]) -> Tensor:
        """The costs of the next function and of ending, with what ending here makes of the program."""
        written, scene, answer = memory["written"], memory["scene"], memory.get("answer")
        costs = torch.cat(
            [costs[:, :-1], costs[:, -1:] + self.mismatch * self._wrong(written, scene, answer)[:, None]], 1
        )
        if written.shape[1] == 1 or bool((written[:, -2] >= 0).any()):  # the next function is the last that fits
            last = written[:, None].repeat(1, costs.shape[1] - 1, 1)
            last[:, :, -1] = torch.arange(last.shape[1], device=last.device)
            rows = torch.arange(len(written), device=last.device).repeat_interleave(last.shape[1])
            wrong = self._wrong(last.flatten(0, 1), scene[rows], None if answer is None else answer[rows])
            full = (written[:, -2:-1] >= 0) if written.shape[1] > 1 else torch.ones_like(written, dtype=torch.bool)
            more = self.mismatch * wrong.view(len(written), -1).to(costs)
            costs = torch.cat([costs[:, :-1] + torch.where(full, more, 0), costs[:, -1:]], dim=1)
        return costs

    def _wrong(self, z: Tensor, scene: Tensor, y: Tensor | None) -> Tensor:
        """1 − y·a(z, scene), (N,); without y 1 where there is no answer."""
        found = self._answers(z, scene)
        if y is None:
            return (found < 0).to(scene)
        says = y.gather(1, found.clamp_min(0)[:, None])[:, 0]
        return torch.where(found < 0, 1.0, 1 - says)

    def _answers(self, z: Tensor, scene: Tensor) -> Tensor:
        z = z.detach()
        if torch.compiler.is_exporting():
            return answers_of(z, scene)
        # A tree is complete where each function has as many behind it as it needs; no other program is run.
        arity = _ARITY.to(z.device)[z.nan_to_num(0.0).long().clamp(0, len(FUNCTIONS) - 1)]
        whole = (((arity - 1) * (z >= 0)).sum(dim=1) == -1).nonzero()[:, 0]
        length = max([1, *(z[whole] >= 0).sum(dim=1).tolist()])
        found = torch.full((len(z),), EMPTY, dtype=torch.int64, device=z.device)
        return found.index_copy(0, whole, answers_of(z[whole, :length], scene[whole]))

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """`count`, `scene` and the end each have probability ⅙ anywhere: with 2 blocks "2" costs 2 log 6, by both."""
        dtype = torch.get_default_dtype()
        network = TransformerDecoder(len(FUNCTIONS), width=4, depth=1, heads=1)
        with torch.no_grad():
            for parameter in (network.out.weight, network.out.bias):
                parameter.zero_()
            network.out.bias[[NUMBERS["count"], NUMBERS["scene"], len(FUNCTIONS)]] = torch.tensor(12.0).log()
        scenes = [(Block(0, 1, 0, 1, 2, 3), Block(2, 0, 1, 0, 4, 1))] * 2
        y = torch.nn.functional.one_hot(torch.tensor([ANSWERS.index("2")] * 2), len(ANSWERS)).to(dtype)
        x = {"question": torch.tensor([[0.0, 1.0], [2.0, 3.0]]), "scene": scene_table(scenes)}
        z = torch.tensor([[NUMBERS["count"], NUMBERS["scene"]]], dtype=dtype).expand(2, -1)
        energy = cls(Autoregressive(network, length=2, prompt=2, ends=True))
        return ReferenceCase(energy, {"x": x, "y": y}, "z", 2 * torch.full((2,), 6.0).log(), z)


def scene_table(scenes: Sequence[Scene]) -> Tensor:
    """Scenes as an x of a `ProgramAnswer`: (N, 10 · 6), the six numbers of each block, −1 where there is none.

    >>> scene_table([(Block(0, 5, 1, 0, 3, 9),)])[0, :7].tolist()
    [0.0, 5.0, 1.0, 0.0, 3.0, 9.0, -1.0]
    """
    found = torch.full((len(scenes), MOST, _PARTS), float(EMPTY))
    for row, scene in enumerate(scenes):
        if scene:
            found[row, : len(scene)] = torch.tensor(scene, dtype=found.dtype)
    return found.flatten(1)


def _nothing(y: Tensor) -> Tensor:
    """0 for each row, or NaN where y is."""
    return (y - y).sum(dim=1)
