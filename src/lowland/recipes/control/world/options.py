"""Options of the recipe `world`, and what its two kinds of data share."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from lowland.errors import OptionError
from lowland.evaluation.forecasts import ForecastReport
from lowland.recipes.base import Bound, Count
from lowland.recipes.log_options import LogOptions
from lowland.reports.run import Run


@dataclass(frozen=True)
class WorldOptions(LogOptions):
    """Data, training and evaluation of a forward model."""

    data: Literal["plant", "traffic"] = "plant"
    """Learn from a log of a plant (plant), or from images of traffic (traffic)."""
    log: str = ""
    """Your own log: an .npz file with observations, actions and episode ends, or, of traffic, a file as for `drive`."""
    plant: str = "Pendulum-v1"
    """Gymnasium environment to record, with random actions, if there is no log."""
    transitions: Count = 20_000
    """Steps to record if there is no log; of traffic, those to learn from."""
    gusts: float = 0.5
    """Noise on the recorded plant's actions that the log does not contain, in halves of their range."""
    seeds: Count = 3
    """Repetitions, each with its own first weights."""
    horizon: Count = 6
    """Steps of the roll-outs that the model is trained on."""
    steps: Count = 1000
    """Updates before z is added, and again as many after it."""
    evaluated: Annotated[int, Bound(least=2)] = 40
    """Steps of the roll-outs that are scored, or as many as the held-out episodes have."""
    latents: Count = 4
    """Size of z."""
    kl: float = 0.03
    """Weight β of the KL term; for images, whose error is a mean over pixels, a 300th of it is used."""
    hidden: Count = 128
    """Units of each hidden layer."""
    futures: Annotated[int, Bound(least=9)] = 49
    """Futures drawn from each start."""

    files: ClassVar[tuple[str, ...]] = ("log",)
    accelerated: ClassVar[bool] = False
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {
            "transitions": 600, "seeds": 1, "steps": 10, "evaluated": 10, "hidden": 16, "futures": 9,
        },
        "traffic": {"data": "traffic", "seeds": 1, "evaluated": 15, "latents": 8, "hidden": 64, "futures": 19},
    }  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        self.need_log(self.log if self.data == "traffic" else "", "--data traffic --log")
        usual = (WorldOptions.plant, WorldOptions.gusts)
        if (self.log or self.data == "traffic") and (self.plant, self.gusts) != usual:
            raise OptionError("plant and gusts are for a log that is made here: leave them out with log or traffic.")


def add_sensitivity(run: Run, found: Sequence[ForecastReport], titles: Mapping[str, str]) -> None:
    """The table `sensitivity`: errors by model, source of z, and own or swapped actions."""
    rows = []
    for name, title in titles.items():
        # A model that was trained without z is not shown with z from the prior.
        for z in ("zero", "prior", "posterior") if name in found[0].kl else ("zero",):
            own, other = (statistics.fmean(one.error(name, z, kind) for one in found) for kind in ("own", "swapped"))
            kl = statistics.fmean(float(one.kl[name]) for one in found) if z == "posterior" else None
            rows.append([title, z, own, other, other / own, kl])
    columns = ("model", "z", "error, own actions", "error, swapped actions", "ratio", "KL, nats per step")
    run.table(columns, rows, name="sensitivity")
