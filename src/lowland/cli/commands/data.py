"""`lowland data list|get|check|make`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import Positional, arg

from lowland.cli.command import Command
from lowland.errors import OptionError, nearest
from lowland.terminal import say, table


@dataclass(frozen=True)
class Data(Command):
    """List, download and check data sets, or make one: motions, photos or traffic."""

    action: Annotated[Positional[Literal["list", "get", "check", "make"]], arg(metavar="list|get|check|make")]
    """What to do."""
    name: Annotated[Positional[str | None], arg(metavar="NAME", help_behavior_hint="")] = None
    """Name of the data set; motions, photos and traffic can be made."""
    seed: Annotated[int | None, arg(metavar="INT", help_behavior_hint="(default: 0)")] = None
    """make traffic: seed of the simulation."""
    minutes: Annotated[float | None, arg(metavar="FLOAT", help_behavior_hint="(default: 8)")] = None
    """make traffic: minutes to record."""
    count: Annotated[int | None, arg(metavar="INT", help_behavior_hint="(default: 500)")] = None
    """make photos: number of crops of sample photographs."""
    out: Annotated[
        Path | None, arg(metavar="PATH", help_behavior_hint="(default: motions, photos or traffic-SEED.npz)")
    ] = None
    """make: file or folder to write."""

    def run(self) -> int:
        from lowland import data

        given = {
            name: value for name in ("seed", "minutes", "count", "out") if (value := getattr(self, name)) is not None
        }
        if given and self.action != "make":
            raise OptionError(f"`lowland data {self.action}` has no option --{next(iter(given))}: only make has it.")
        if self.action == "list":
            lines = [
                (d.name, d.what, d.size, d.licence, ", ".join(source.package for source in (d.source, *d.also)))
                for d in data.datasets().values()
            ]
            table({"data set": None, "what": None, "size": 14, "licence": 14, "package": 14}, lines)
            return 0
        if self.name is None:
            known = MAKERS if self.action == "make" else data.datasets()
            raise OptionError(f"`lowland data {self.action}` needs the name of a data set. {nearest('', known)}")
        if self.action == "make":
            say(_make(self.name, **given))
        else:
            say(*data.get(self.name) if self.action == "get" else [data.check(self.name)])
        return 0


def _make(name: str, **given: Any) -> Path:
    if name not in MAKERS:
        raise OptionError(f"There is no data set {name!r} to make. {nearest(name, MAKERS)}")
    takes = inspect.signature(MAKERS[name]).parameters
    if unknown := [option for option in given if option not in takes]:
        raise OptionError(f"`lowland data make {name}` has no option --{unknown[0]}. {nearest('', takes)}")
    return MAKERS[name](**given)


def _traffic(seed: int = 0, minutes: float = 8.0, out: Path | None = None) -> Path:
    from lowland.data.logs import save_tracks
    from lowland.data.simulate import simulate

    return save_tracks(simulate(seed, minutes), out or Path(f"traffic-{seed}.npz"))


def _motions(out: Path = Path("motions")) -> Path:
    from lowland.data.motions import sample_motions

    return sample_motions(out)


def _photos(count: int = 500, out: Path = Path("photos")) -> Path:
    from lowland.data.photos import sample_photos

    return sample_photos(out, count)


MAKERS: dict[str, Callable[..., Path]] = {"motions": _motions, "photos": _photos, "traffic": _traffic}
