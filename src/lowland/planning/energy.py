"""Planning as inference: the energy of a sequence of actions.

Shape letters: B samples, N candidates, F futures, R rows = B · N · F, T steps, A size of an action, Z of a latent,
K dropout masks, M masked units.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lowland.domains import Box, Domain, Reals
from lowland.energies.base import Energy, ReferenceCase
from lowland.energies.structure import Structure
from lowland.errors import DomainError, OptionError, ShapeError, UnsupportedError, check_instance
from lowland.registry import register
from lowland.tensors import PerSampleRNG, soft_minimum, tree_leaves, tree_map
from lowland.worlds.base import Cost, State, StatefulCost, World
from lowland.worlds.linear import LinearWorld
from lowland.worlds.rollout import Act, rollout
from lowland.worlds.uncertainty import Spread, variance

_PARTS = ("state", "futures", "masks")
_ROWS = 8192
"""Most rows for which costs are computed at once: several steps in one call cost less overhead, but more memory."""
_BLOCK = 512
"""Most rows that go through the world at once without gradients: more do not fit into the cache."""


class Terms(NamedTuple):
    """Discounted sums of the cost and of the uncertainty (without its weight λ) over the roll-out, (B, N, F) each."""

    cost: Tensor
    uncertainty: Tensor


class AnyState(Domain):
    """The domain of a state: a dictionary of tensors, whose names and sizes only the world knows."""

    def __init__(self) -> None:
        super().__init__(1)

    def pack(self, value: Any, name: str = "value") -> Tensor:
        if not isinstance(value, Mapping) or not value:
            raise ShapeError(f"{name} must be a state, a dictionary of tensors, but it is a {type(value).__name__}.")
        return tree_leaves(value, name)[0].flatten(1)

    def __repr__(self) -> str:
        return "a dictionary of tensors"


@register("energy")
class PlanEnergy(Energy):
    """E(x, y) = 1/F Σ_f Σ_t γᵗ [ C(s_f[t+1], y[t]) + λ U(s_f[t], y[t]) ],  s_f[t+1] = g(s_f[t], y[t], z_f[t]).

    With `final`, γᵀ V(s_f[T]) is added: the cost to go after the plan, such as `CostToGo` learns it.

    x is the state s[0], and y the actions. The gradient in y is that of Kelley (1960) and Bryson (1961), by
    back-propagation through time; U is the variance of the predictions over the dropout masks, the uncertainty cost of
    Henaff, Canziani & LeCun (2019), equations 4 and 5 (systems W2, W4, W7). The energy averages over the futures z_f
    (β → 0); with β < 0 the worst count most: −1/β log mean_f exp(−β ·). It is never minimised over z, since that would
    choose the future in which all others give way.

    Futures and masks are held fixed while y changes. A plain state gets them from a fixed seed, the same for all
    samples, so that plans are compared on equal terms. With others, x is {"state": s[0], "futures": (B, F, T, Z),
    "masks": (B, T, K, M)}, as `draw` makes it.

    Args:
        world: the forward model g; it is not changed.
        cost: C(next state, action) → (B,). What a `StatefulCost` holds is added to s[0].
        horizon: T, in steps.
        uncertainty: λ, in units of C; 0 for none.
        hinge: U counts above this value only; None for no hinge.
        spread: usual mean and std of U at each step, by `lowland.worlds.uncertainty.usual_spread`: U is then z-scored.
        masks: K, dropout masks at each step.
        futures: F; 0 for one future with z = 0, the mean of the prior. A world without latents has one anyway.
        beta: at most 0, in 1 / units of C.
        discount: γ in (0, 1].
        final: V(s[T]) → (B,), a module or a function; None for no cost after the plan.

    Raises:
        OptionError: for a number outside its range.
        UnsupportedError: for β > 0 and for minimisation over z.

    >>> world = LinearWorld([[1.0]], [[1.0]])
    >>> plan = PlanEnergy(world, lambda state, action: state["state"].square().sum(dim=1), horizon=2)
    >>> plan(x={"state": torch.ones(1, 1)}, y=torch.tensor([[[-1.0], [1.0]]])).detach()
    tensor([1.])
    """

    discounts: Tensor
    usual: Tensor | None

    def __init__(
        self,
        world: World,
        cost: Cost,
        horizon: int,
        uncertainty: float = 0.0,
        hinge: float | None = None,
        spread: Spread | None = None,
        masks: int = 10,
        futures: int = 10,
        beta: float = 0.0,
        discount: float = 1.0,
        final: Callable[[State], Tensor] | None = None,
    ) -> None:
        check_instance(world, World, "world")
        if not callable(cost):
            raise OptionError(f"cost must be a function of the next state and the action, but it is {cost!r}.")
        if horizon < 1 or int(horizon) != horizon:
            raise OptionError(f"horizon must be a whole number of at least 1 step, but it is {horizon}.")
        if beta > 0:
            raise UnsupportedError(
                f"beta is {beta}, but a plan with beta > 0 relies on its best futures. Use beta=0 for the mean over "
                "the futures, or beta < 0 to be careful."
            )
        if not uncertainty >= 0 or masks < 2 or futures < 0 or not 0 < discount <= 1:
            raise OptionError(
                "uncertainty and futures must be at least 0, masks at least 2 and discount in (0, 1], but they are "
                f"{uncertainty}, {futures}, {masks} and {discount}."
            )
        if uncertainty and not world.masked:
            raise OptionError(
                f"uncertainty is {uncertainty}, but {type(world).__name__} has no dropout to measure it by: train it "
                "with dropout, or set uncertainty=0."
            )
        super().__init__(x=AnyState(), y=sequence(world.actions, horizon))
        self.world, self.cost, self.horizon = world, cost, int(horizon)
        self.uncertainty, self.hinge, self.masks = uncertainty, hinge, masks
        self.futures, self.beta, self.discount = futures if world.latents else 0, beta, discount
        self.final = final
        powers = torch.tensor([discount**t for t in range(self.horizon)])
        self.register_buffer("discounts", powers, persistent=False)
        self.register_buffer("usual", None if spread is None else torch.stack(list(spread)), persistent=False)

    def domain(self, name: str) -> Domain:
        if name == "z":
            raise UnsupportedError(
                "A plan is not minimised over its futures z, since that would choose the one in which all others give "
                "way: they are averaged. Use beta < 0 to be careful."
            )
        if name == "x":
            raise UnsupportedError("A plan starts from the state x that is given: only the actions y can be free.")
        return super().domain(name)

    def draw(self, state: State, generator: torch.Generator | None = None) -> dict[str, Any]:
        """X with futures and masks from a generator, the same for all samples of the batch: see the class."""
        return self._complete({"state": state}, generator)

    def sample(self, x: Mapping[str, Any], futures: PerSampleRNG, masks: PerSampleRNG) -> dict[str, Any]:
        """As `draw`, with futures and masks from these streams: one stream for each sample, or one for all.

        x is a state, or has parts, of which those that it lacks are drawn.
        """
        return self._sample(parts_of(x), futures, masks)

    def encode(self, x: Mapping[str, Any]) -> dict[str, Any]:
        return self._complete(parts_of(x))

    def _complete(self, x: Mapping[str, Any], generator: torch.Generator | None = None) -> dict[str, Any]:
        noise = PerSampleRNG.from_generator(generator, torch.zeros(1, dtype=torch.int64), self._dtype(x["state"]))
        return self._sample(x, noise, noise)

    def _sample(self, x: Mapping[str, Any], futures: PerSampleRNG, masks: PerSampleRNG) -> dict[str, Any]:
        """What x lacks is drawn."""
        first = tree_leaves(x["state"], "The state")[0]
        rows, device = first.shape[0], first.device
        held = self.cost.held(x["state"]) if isinstance(self.cost, StatefulCost) else {}
        given = dict(x) | {"state": {**x["state"], **held}}
        if self.futures and "futures" not in given:
            z = self.world.prior(futures, self.futures, self.horizon)
            given["futures"] = z.to(device).expand(rows, *z.shape[1:])
        if self.uncertainty and "masks" not in given:
            mask = self.world.draw_mask(masks, self.horizon, self.masks)
            given["masks"] = mask.to(device).expand(rows, *mask.shape[1:])
        return given

    def energy(self, x: Mapping[str, Any], y: Tensor, z: Any) -> Tensor:
        return self._values(x, y[:, None])[:, 0]

    def structure(self, over: tuple[str, ...], x: Any, y: Any, z: Any) -> Structure:
        if over != ("y",) or x is None:
            return Structure()
        return Structure(candidates=lambda points: self._values(x, points.unflatten(2, self.domains["y"].shape)))

    def _values(self, x: Mapping[str, Any], y_BNTA: Tensor) -> Tensor:
        """E of N plans for each sample, (B, N). The state and its futures are shared between them."""
        each, count = y_BNTA.shape[1], max(self.futures, 1)
        samples = max(1, _BLOCK // (each * count))
        if not torch.compiler.is_compiling() and not torch.is_grad_enabled() and len(y_BNTA) > samples:
            cut = [slice(first, first + samples) for first in range(0, len(y_BNTA), samples)]
            parts = ((tree_map(lambda part, rows=rows: part[rows], x), y_BNTA[rows]) for rows in cut)
            return torch.cat([self._values(*part) for part in parts])
        plans_RTA = y_BNTA[:, :, None].expand(-1, -1, count, -1, -1).flatten(0, 2)
        return self.total(self.terms(x["state"], _step_by_step(plans_RTA), x.get("futures"), x.get("masks"), each))

    def total(self, terms: Terms) -> Tensor:
        """E of the terms, (B, N): cost and uncertainty together, over all futures."""
        cost, uncertainty = terms
        return soft_minimum(cost + self.uncertainty * uncertainty if self.uncertainty else cost, self.beta)

    def terms(
        self,
        state: State,
        act: Act | Tensor,
        futures: Tensor | None = None,
        masks: Tensor | None = None,
        each: int = 1,
    ) -> Terms:
        """Cost and uncertainty of what `act` does in the world, for N = `each` plans of every sample.

        `draw` gives the arguments by name: `plan.terms(act=policy, **plan.draw(state))`.

        Args:
            state: s[0].
            act: act(s[t], t) → a[t] (R, A), or the actions themselves (R, T, A). The N plans of a sample are successive
                rows, and the F futures of a plan as well.
            futures: z, (B, F, T, Z).
            masks: (B, T, K, M).
            each: N.

        Raises:
            OptionError: without the futures or masks that the energy needs.
        """
        if (self.futures and futures is None) or (self.uncertainty and masks is None):
            raise OptionError("This plan needs futures or masks: pass those of `draw(state)`.")
        count = max(self.futures, 1)
        repeats = each * count
        state = {name: _rows(part, repeats) for name, part in state.items()}
        z_RTZ = None
        if self.futures and futures is not None:
            z_RTZ = _step_by_step(futures[:, None].expand(-1, each, -1, -1, -1).flatten(0, 2))
        together, risk = self._terms(state, act, z_RTZ, masks, repeats)
        return Terms(*(part.reshape(-1, each, count) for part in (together, risk)))

    def _terms(
        self, state: State, act: Act | Tensor, z_RTZ: Tensor | None, masks_BTKM: Tensor | None, repeats: int
    ) -> tuple[Tensor, Tensor]:
        """Discounted sums of the costs and of the uncertainty of each row, (R,) both."""
        rows = tree_leaves(state)[0].shape[0]
        block = self.horizon
        if not torch.compiler.is_compiling():  # a graph holds for any number of rows
            block = max(1, _ROWS // max(1, rows * (self.masks if self.uncertainty else 1)))
        sums: list[list[Tensor]] = [[], []]
        for first in range(0, self.horizon, block):
            last = min(first + block, self.horizon)
            z = None if z_RTZ is None else z_RTZ[:, first:last]
            try:
                given = act[:, first:last] if isinstance(act, Tensor) else act
                done = rollout(self.world, state, given, z, last - first, first=first, fast=True)
                together, after = _by_time(done.actions), tree_map(_by_time, done.states)
                costs = self.cost(after, together)
            except KeyError as error:
                raise ShapeError(
                    f"The world, the cost or the policy needs a part of the state that is called {error}, but the "
                    f"state has {', '.join(sorted(state))}."
                ) from None
            except torch.OutOfMemoryError:
                raise
            except RuntimeError as error:
                raise unfit("The world, the cost or the policy", state, error) from error
            if not isinstance(costs, Tensor) or costs.shape != together.shape[:1]:
                shape = tuple(costs.shape) if isinstance(costs, Tensor) else type(costs).__name__
                raise ShapeError(f"cost must return one number for each row, ({len(together)},), but it gave {shape}.")
            weights = self.discounts[first:last].to(costs.dtype)
            sums[0].append(weights @ costs.reshape(last - first, rows))
            if self.uncertainty and masks_BTKM is not None:
                before = _before(state, after, rows) if last > first + 1 else state
                masks = masks_BTKM[:, first:last]
                # Masks that all rows have in common cost a world less than masks of each row.
                shared = len(masks) == 1 or masks.stride(0) == 0
                masks = masks[0] if shared else _by_time(_rows(masks, repeats))
                spread = variance(self.world, before, together, None if z is None else _by_time(z), masks)
                sums[1].append(weights @ self._counted(spread.reshape(last - first, rows), first))
            state = {**state, **tree_map(lambda part: part[-rows:], after)}  # a fast roll-out leaves out constants
        if self.final is not None:
            sums[0].append(self.discount**self.horizon * self.final(state))
        cost = torch.stack(sums[0]).sum(dim=0)
        return cost, torch.stack(sums[1]).sum(dim=0) if sums[1] else torch.zeros_like(cost)

    def _counted(self, spread_TR: Tensor, first: int) -> Tensor:
        if self.usual is not None:
            spread_TR = Spread(*self.usual).score(spread_TR, first)
        return spread_TR if self.hinge is None else (spread_TR - self.hinge).clamp_min(0)

    def _dtype(self, state: State) -> torch.dtype:
        return next((leaf.dtype for leaf in tree_leaves(state) if leaf.is_floating_point()), torch.get_default_dtype())

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """A linear-quadratic problem of two steps, with the minimal cost of the Riccati equation."""
        world = LinearWorld([[1.0, 1.0], [0.0, 1.0]], [[0.0], [1.0]])
        plan, state = cls(world, square_cost, horizon=2), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        best = torch.tensor([[-2 / 7, 1 / 7], [-1.0, 0.0]])
        return ReferenceCase(plan, {"x": {"state": state}}, "y", minimum=torch.tensor([6 / 7, 1.5]), minimiser=best)


def parts_of(x: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of an x of a `PlanEnergy`, which may be a plain state.

    Raises:
        ShapeError: for an unknown part.

    >>> sorted(parts_of({"own": torch.zeros(1)})), sorted(parts_of({"state": {"own": torch.zeros(1)}}))
    (['state'], ['state'])
    """
    if not isinstance(x.get("state"), Mapping):
        return {"state": x}
    if unknown := set(x) - set(_PARTS):
        raise ShapeError(f"x is a state, or has the parts {', '.join(_PARTS)}, but it also has {min(unknown)!r}.")
    return dict(x)


def unfit(who: str, state: State, error: RuntimeError) -> ShapeError:
    """The error for a state whose parts have shapes or types that a world, cost or policy cannot take."""
    parts = ", ".join(f"{name} ({', '.join(map(str, part.shape))}) {part.dtype}" for name, part in state.items())
    return ShapeError(f"{who} cannot take a state with the parts {parts}. {error}".split("\n")[0])


def square_cost(state: State, action: Tensor) -> Tensor:
    """½ ‖s‖² + ½ ‖a‖², (B,)."""
    return 0.5 * (state["state"].square().sum(dim=1) + action.square().sum(dim=1))


def sequence(actions: Domain, horizon: int) -> Domain:
    """The domain of a sequence of T actions, (T, A)."""
    if isinstance(actions, Box):
        return Box(horizon, actions.size, low=actions.low, high=actions.high, periodic=actions.periodic)
    if isinstance(actions, Reals):
        return Reals(horizon, actions.size)
    raise DomainError(f"Plans need actions in Box or Reals, but this world has {actions!r}.")


def _rows(tensor: Tensor, repeats: int) -> Tensor:
    """Each row `repeats` times in a row; no copy for 1."""
    if repeats == 1:
        return tensor
    return tensor[:, None].expand(-1, repeats, *tensor.shape[1:]).flatten(0, 1)


def _by_time(tensor: Tensor) -> Tensor:
    """(R, T, …) → (T · R, …): the rows of each step together, so that one call computes the costs of several steps."""
    return tensor.transpose(0, 1).flatten(0, 1)


def _step_by_step(tensor: Tensor) -> Tensor:
    """The same tensor (R, T, …), with the rows of each step next to each other in memory, as they are read."""
    return tensor.transpose(0, 1).contiguous().transpose(0, 1)


def _before(state: State, after: State, rows: int) -> State:
    """The states before each step, below one another; what `after` lacks does not change."""
    if new := sorted(set(after) - set(state)):
        raise ShapeError(
            f"The world adds {new[0]} to the state, so that its uncertainty at later steps is not that of the state "
            "given: plan from a state in the world's own form, such as world.encode(state)."
        )
    steps = len(tree_leaves(after)[0]) // rows
    return {
        name: torch.cat([part, after[name][:-rows]]) if name in after else part.repeat(steps, *[1] * (part.ndim - 1))
        for name, part in state.items()
    }
