"""Models that translate, behind one energy: training for equal seconds of the processor, and translation (M1, M2).

Legend: N pairs, S pieces of a sentence that is read, T of one that is written, W sentences of a beam.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

from lowland.data.byte_pairs import BytePairs
from lowland.data.parallel_text import ParallelText
from lowland.energies.autoregressive import Autoregressive
from lowland.energies.brevity import Brevity
from lowland.energies.compose import Sum
from lowland.errors import DataError, OptionError, TrainingError, check_number
from lowland.inference import infer
from lowland.nn.convolutional_translation import ConvolutionalTranslator
from lowland.nn.layers import evaluating
from lowland.nn.transformer_translation import TransformerTranslator
from lowland.nn.translation import AttentiveDecoder, Translator
from lowland.solvers.beam_search import BeamSearch
from lowland.training.checkpoints import read_checkpoint, write_checkpoint

Kind = Literal["lstm", "convolutions", "transformer"]
KINDS: tuple[Kind, ...] = get_args(Kind)
_CLIP, _WARM, _DECAY, _HEADS = 1.0, 0.05, 0.01, 4
_AT_ONCE, _POINTS = 64, 100
_FIRST = 1e-3
"""The share of the training of which the first step has the learning rate."""


class Numbers(NamedTuple):
    """N pairs as pieces: x (N, S), filled up behind with the blank, and y (N, T), filled up with −1; and their rows."""

    x: Tensor
    y: Tensor
    rows: list[int]


def numbered(text: ParallelText, pieces: BytePairs, longest: int) -> Numbers:
    """The pairs of which both sides have from one to `longest` pieces; the blank is the number behind the pieces.

    Raises:
        DataError: if none is left.
    """
    sides = [[pieces.encode(line) for line in side] for side in (text.source, text.target)]
    rows = [row for row, pair in enumerate(zip(*sides, strict=True)) if all(0 < len(one) <= longest for one in pair)]
    if not rows:
        raise DataError(f"No pair has at most {longest} pieces on both sides: raise longest, or give shorter lines.")
    x, y = (
        _filled([side[row] for row in rows], longest, blank)
        for side, blank in zip(sides, (len(pieces), -1), strict=True)
    )
    return Numbers(x, y, rows)


def _filled(rows: Sequence[list[int]], width: int, blank: int) -> Tensor:
    found = torch.full((len(rows), width), float(blank))
    for row, tokens in enumerate(rows):
        found[row, : len(tokens)] = torch.tensor(tokens, dtype=found.dtype)
    return found


def translation_energy(
    kind: Kind, pieces: int, longest: int, width: int = 128, depth: int = 3, generator: torch.Generator | None = None
) -> Autoregressive:
    """E(x, y) = −log p(y | x), p from an LSTM with attention, from gated convolutions, or from a transformer.

    Words, tokens and scores share one table of vectors, since both languages share their pieces.

    Args:
        kind: "lstm", "convolutions" or "transformer".
        pieces: how many there are; a blank is added.
        longest: S and T.
        width: of vectors and layers; even, and for a transformer a multiple of four.
        depth: layers that read and as many that write, or blocks of the transformer; an LSTM has one each.
        generator: draws the weights.

    Raises:
        OptionError: for another kind, or sizes that the network refuses.

    >>> energy = translation_energy("convolutions", pieces=10, longest=6, width=8, depth=1)
    >>> energy(x=torch.full((2, 6), 10.0), y=torch.zeros(2, 6)).shape
    torch.Size([2])
    """
    if kind not in KINDS:
        raise OptionError(f"kind must be one of {', '.join(KINDS)}, but it is {kind!r}.")
    words = pieces + 1
    network: Translator
    if kind == "lstm":
        network = AttentiveDecoder(words, words, longest, width, generator, tied=True)
    elif kind == "convolutions":
        network = ConvolutionalTranslator(
            words, words, longest, longest, width, (depth, depth), generator=generator, tied=True
        )
    else:
        network = TransformerTranslator(words, words, longest, width, depth, _HEADS, generator, tied=True)
    return Autoregressive(network, longest, longest, ends=True)


class Trained(NamedTuple):
    """`steps` and `seconds` of the processor that training took, `tokens` of y that it read, and points of its curve.

    `curve` has a row for each point: seconds, and the mean −log p of a token since the last point, in nats.
    """

    steps: int
    seconds: float
    tokens: int
    curve: list[list[float]]


def train_translation(
    energy: Autoregressive,
    data: Numbers,
    seconds: float,
    steps: int = 0,
    batch: int = 2000,
    rate: float = 3e-3,
    left_out: float = 0.1,
    seed: int = 0,
    file: Path | None = None,
    every: float = 60.0,
) -> Trained:
    """Train in place by the likelihood of a token, for some seconds of the processor or so many steps.

    AdamW; the rate rises over the first 5 % of the seconds, and falls along half a cosine. Pairs of similar length make
    a batch, so that little is filled up. With a file, training goes on from there if it was ended before.

    Args:
        energy: of `translation_energy`.
        data: pairs to learn from.
        seconds: of the processor (all threads together), without checkpoints.
        steps: if above 0, so many steps in place of the seconds, and always the same ones.
        batch: at most so many places of x and y together, blanks included.
        rate: the highest.
        left_out: share of the inputs of layers that are left out; see `Translator.thinned`.
        seed: of the order, and of what is left out.
        file: of the checkpoint.
        every: seconds of the processor between checkpoints.

    Raises:
        OptionError: for numbers out of their range.
        TrainingError: for a loss that is not finite.
    """
    for name, value in (("seconds", seconds), ("batch", batch), ("rate", rate)):
        check_number(name, value, above=0)
    network = energy.network
    assert isinstance(network, Translator)
    optimiser = torch.optim.AdamW(energy.parameters(), rate, betas=(0.9, 0.98), weight_decay=_DECAY, fused=True)
    generator = torch.Generator().manual_seed(seed)
    state: dict[str, Any] = {
        "epoch": 0,
        "place": 0,
        "steps": 0,
        "seconds": 0.0,
        "tokens": 0,
        "curve": [],
        "open": [0.0, 0],
    }
    if file is not None and file.exists():
        found = read_checkpoint(file)
        energy.load_state_dict(found["weights"])
        optimiser.load_state_dict(found["optimiser"])
        generator.set_state(found["generator"])
        state = found["state"]
    lengths = [(side != blank).sum(dim=1) for side, blank in ((data.x, network.blank), (data.y, -1))]
    before, saved = time.process_time() - state["seconds"], state["seconds"]
    done = state["steps"] / steps if steps else state["seconds"] / seconds
    energy.train()
    while done < 1:
        batches = batches_by_length(
            lengths[0], lengths[1], batch, torch.Generator().manual_seed(seed * 7919 + state["epoch"])
        )
        for rows in batches[state["place"] :]:
            for group in optimiser.param_groups:
                group["lr"] = rate * _share(done)
            count = int((lengths[1][rows] + 1).sum())
            with network.thinned(len(rows), left_out, generator):
                loss = energy(x=data.x[rows], y=data.y[rows]).sum() / count
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(energy.parameters(), _CLIP)
            optimiser.step()
            value = float(loss.detach())
            if not math.isfinite(value):
                raise TrainingError(f"The loss is {value} after {state['steps']} steps: lower the rate.")
            state["steps"] += 1
            state["place"] += 1
            state["tokens"] += count
            state["seconds"] = time.process_time() - before
            done = state["steps"] / steps if steps else state["seconds"] / seconds
            state["open"] = [state["open"][0] + value * count, state["open"][1] + count]
            if done >= min(1.0, (len(state["curve"]) + 1) / _POINTS):
                state["curve"].append([state["seconds"], state["open"][0] / state["open"][1]])
                state["open"] = [0.0, 0]
            if file is not None and state["seconds"] - saved >= every:
                saved, began = state["seconds"], time.process_time()
                write_checkpoint(
                    {"weights": energy.state_dict(), "optimiser": optimiser.state_dict(), "state": state,
                     "generator": generator.get_state()}, file,
                )  # fmt: skip
                before += time.process_time() - began
            if done >= 1:
                break
        else:
            state["epoch"] += 1
            state["place"] = 0
    return Trained(state["steps"], state["seconds"], state["tokens"], state["curve"])


def _share(done: float) -> float:
    """The learning rate as a share of the highest, after a share of the training."""
    return min(1.0, (done + _FIRST) / _WARM) * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


def batches_by_length(first: Tensor, second: Tensor, places: int, generator: torch.Generator) -> list[Tensor]:
    """Rows in batches of similar lengths, of at most so many places with what is filled up, in random order.

    Args:
        first, second: lengths of both sides of each row.
        places: longest of the first side plus longest of the second, times rows; a row alone may have more.
        generator: draws which rows of about the same length come together, and the order of batches.

    >>> lengths = torch.tensor([2, 9, 2, 8])
    >>> found = batches_by_length(lengths, lengths, 40, torch.Generator().manual_seed(0))
    >>> sorted(sorted(rows.tolist()) for rows in found)
    [[0, 2], [1, 3]]
    """
    blurred = torch.maximum(first, second) + torch.rand(len(first), generator=generator)
    order = blurred.argsort().tolist()
    batches, start, widest = [], 0, [0, 0]
    for end, row in enumerate(order):
        longer = [max(widest[0], int(first[row])), max(widest[1], int(second[row]))]
        if end > start and sum(longer) * (end + 1 - start) > places:
            batches.append(torch.tensor(order[start:end]))
            start, longer = end, [int(first[row]), int(second[row])]
        widest = longer
    batches.append(torch.tensor(order[start:]))
    return [batches[index] for index in torch.randperm(len(batches), generator=generator).tolist()]


class Proposed(NamedTuple):
    """What a beam wrote for N sentences: `tokens` (N, W, T), the likeliest first, and `cost` (N, W), −log p in nats."""

    tokens: Tensor
    cost: Tensor

    def best(self, reward: float = 0.0) -> Tensor:
        """The sentences (N, T) of least −log p less a reward, in nats, for each of their tokens."""
        total = self.cost - reward * (self.tokens >= 0).sum(dim=2)
        chosen = total.argmin(dim=1)[:, None, None]
        return self.tokens.gather(1, chosen.expand(-1, -1, self.tokens.shape[2]))[:, 0]


def rewarded(energy: Autoregressive, reward: float) -> Sum:
    """E(x, y) = −log p(y | x) + γ (T − |y|), γ the reward of a token in nats; see `Brevity`.

    Raises:
        OptionError: for a reward that is not above 0: use the energy itself.
    """
    check_number("reward", reward, above=0)
    brevity = Brevity(energy.categories, energy.length)
    return Sum({"translation": energy, "brevity": brevity}, {"brevity": reward})


def greedy(energy: Autoregressive, x: Tensor) -> Tensor:
    """The sentences (N, T) that take the likeliest token each time."""
    parts = [(rows, infer(energy, x=x[rows], over="y", solver=BeamSearch(1)).value) for rows in _at_once(energy, x)]
    return _in_order([rows for rows, _ in parts], [value for _, value in parts])


def proposed(energy: Autoregressive, x: Tensor, width: int) -> Proposed:
    """The W cheapest sentences that a beam finishes for each of N prompts, whatever they are chosen by later.

    Args:
        energy: of `translation_energy`, trained.
        x: (N, S).
        width: W.
    """
    order, tokens, costs = [], [], []
    both = rewarded(energy, 1.0)  # the list does not depend on the reward
    for rows in _at_once(energy, x):
        found = infer(both, x=x[rows], over="y", solver=BeamSearch(width)).candidates
        assert found is not None
        with torch.no_grad():
            each = energy(x=x[rows].repeat_interleave(width, dim=0), y=found.flatten(0, 1))
        order.append(rows)
        tokens.append(found)
        costs.append(each.reshape(len(rows), width))
    return Proposed(_in_order(order, tokens), _in_order(order, costs))


def _at_once(energy: Autoregressive, x: Tensor) -> Iterator[Tensor]:
    """Rows of similar length, so that little is filled up; the network does not train meanwhile."""
    network = energy.network
    assert isinstance(network, Translator)
    with evaluating(energy), torch.no_grad():
        yield from (x != network.blank).sum(dim=1).argsort(stable=True).split(_AT_ONCE)


def _in_order(rows: list[Tensor], values: list[Tensor]) -> Tensor:
    """Values of rows, in the order of the rows."""
    return torch.cat(values)[torch.cat(rows).argsort()]


def decoded(tokens: Tensor, pieces: BytePairs) -> list[str]:
    """Sentences (N, T) as text; a blank, which only an untrained model writes, is nothing."""
    return [pieces.decode(number for number in row if 0 <= number < len(pieces)) for row in tokens.long().tolist()]
