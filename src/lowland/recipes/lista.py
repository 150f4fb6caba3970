"""Learned encoders of sparse codes (rows S3, S4, S5): how far a few unrolled steps get, and what for."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from torch import Tensor

from lowland.errors import OptionError
from lowland.nn.learned_coordinate_descent import LearnedCoordinateDescent
from lowland.nn.lista import LISTA
from lowland.recipes.base import Recipe, recipe
from lowland.recipes.lista_page import write_page
from lowland.recipes.lista_results import BY_ENERGY, write_results
from lowland.recipes.lista_setting import RELAXATION, Setting
from lowland.reports.run import Run


@recipe(
    "lista",
    shows="A few steps of a solver, their matrices learned, give the sparse code that the solver itself finds only "
    "after many: LISTA, LISTA with partial mutual inhibition, and learned coordinate descent.",
    rows=("S2", "S3", "S4", "S5"),
    minutes=5,
    title="Encoders that learned to infer",
)
@dataclass(frozen=True)
class ListaRecipe(Recipe):
    """E(y, z) = ½‖y − W z‖² + λ‖z‖₁ on natural patches; encoders learn argmin_z E for one learned dictionary W."""

    seeds: int = 3
    """Repetitions, each with its own patches, dictionary and order of training."""
    samples: int = 60_000
    """Training patches of 12 × 12 pixels."""
    tests: int = 5_000
    """Test patches, and as many validation patches, from other parts of the photographs."""
    atoms: int = 256
    """Atoms of the dictionary."""
    sparsity: float = 0.1
    """λ, in units of the patches, which have norm 1."""
    updates: int = 60
    """Updates of the dictionary, of 1000 patches each."""
    steps: int = 1500
    """Training steps of each LISTA encoder, of 128 patches each."""
    descent_steps: int = 300
    """Training steps of each coordinate descent, of 128 patches each; a longer one starts from a shorter one."""
    shrinkages: tuple[int, ...] = (1, 2, 3, 4)
    """Lengths of LISTA, 1 and 2 among them."""
    descents: tuple[int, ...] = (8, 16, 32, 64)
    """Lengths of learned coordinate descent, rising."""
    untied: tuple[int, ...] = (4,)
    """Lengths of LISTA whose steps have matrices of their own, above 2 and among `shrinkages`."""
    inhibited: int = 2
    """Length of the encoders with partial mutual inhibition, one of `shrinkages`."""
    shares: tuple[float, ...] = (0.01, 0.05, 0.2)
    """Shares of the entries of S that stay."""
    ranks: tuple[int, ...] = (8, 32, 96)
    """Ranks of I − S."""
    iterations: int = 96
    """Iterations of FISTA and ISTA to compare with."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {
            "seeds": 2,
            "samples": 1500,
            "tests": 100,
            "atoms": 32,
            "updates": 3,
            "steps": 30,
            "descent_steps": 10,
            "shrinkages": (1, 2),
            "descents": (4, 8),
            "untied": (),
            "shares": (0.2,),
            "ranks": (4,),
            "iterations": 24,
        }
    }

    def __post_init__(self) -> None:
        counts = (self.seeds, self.tests, self.atoms, self.updates, self.steps, self.descent_steps, self.iterations)
        if min(*counts, *self.shrinkages, *self.descents) < 1 or self.samples < 1000:
            raise OptionError("All counts must be at least 1, and samples at least 1000.")
        if not {1, 2, self.inhibited} <= set(self.shrinkages) or self.inhibited < 2:
            raise OptionError(f"1, 2 and inhibited, {self.inhibited}, must be among the shrinkages {self.shrinkages}.")
        if not set(self.untied) <= {k for k in self.shrinkages if k > 2}:
            raise OptionError(f"untied must be above 2 and among the shrinkages {self.shrinkages}, not {self.untied}.")
        if list(self.descents) != sorted(set(self.descents)):
            raise OptionError(f"descents must rise, not {self.descents}.")

    def run(self, run: Run) -> None:
        kinds = (self.shrinkages, self.untied, self.shares, self.ranks, self.descents)
        run.expect(self.seeds * (5 + sum(map(len, kinds))))
        found, kept = [], None
        for seed in range(self.seeds):
            setting = Setting(self, seed)
            run.stage(f"seed-{seed}/dictionary", setting.learn, [setting.energy])
            first = setting.shortest()
            run.stage(f"seed-{seed}/LISTA-1", partial(setting.train, first), [first])
            encoders, shorter = self._encoders(setting.energy.dictionary, first), self._shorter()
            for name, encoder in encoders.items():
                start = encoders.get(shorter.get(name, ""))
                train = partial(setting.train, encoder, start, objective=name == BY_ENERGY)
                run.stage(f"seed-{seed}/{name.replace(' ', '-')}", train, [encoder])
            encoders = {"LISTA 1": first, **encoders}
            one = run.stage(f"seed-{seed}/iterations", setting.iterate)
            one |= {"report": run.stage(f"seed-{seed}/report", partial(setting.report, encoders))}
            one |= {"polish": run.stage(f"seed-{seed}/polish", partial(setting.polish, encoders))}
            found.append(one)
            kept = kept or (setting, encoders)
        assert kept is not None
        run.save_energy("sparse-coding", kept[0].energy)
        counts = {name: encoder.multiplications for name, encoder in kept[1].items()}
        write_results(run, self, found, counts)
        run.part(write_page, self, found, counts, kept[0].energy, kept[0].test, kept[1])

    def _encoders(self, dictionary: Tensor, first: LISTA) -> dict[str, LISTA | LearnedCoordinateDescent]:
        """Encoders before training; those of LISTA begin with what the shortest has learned.

        Trained on its energy, LISTA was better on validation patches when it began as ISTA.
        """
        ista = partial(LISTA, dictionary, self.sparsity)
        make = partial(ista, filters=first.filters, thresholds=first.thresholds[0], relaxation=RELAXATION)
        encoders: dict[str, LISTA | LearnedCoordinateDescent] = {
            f"LISTA {k}": make(k) for k in self.shrinkages if k > 1
        }
        encoders[BY_ENERGY] = ista(2)
        encoders |= {f"LISTA {k} untied": make(k, tied=False) for k in self.untied}
        encoders |= {f"share {share:g}": make(self.inhibited, kept=share) for share in self.shares}
        encoders |= {f"rank {rank}": make(self.inhibited, rank=rank) for rank in self.ranks}
        return encoders | {f"LCoD {t}": LearnedCoordinateDescent(dictionary, self.sparsity, t) for t in self.descents}

    def _shorter(self) -> dict[str, str]:
        """The encoder that a longer one takes its first weights from."""
        lista = [f"LISTA {k}" for k in sorted(self.shrinkages) if k > 1]
        pairs = [*itertools.pairwise(lista), *itertools.pairwise(f"LCoD {steps}" for steps in self.descents)]
        return {longer: shorter for shorter, longer in pairs} | {f"LISTA {k} untied": "LISTA 2" for k in self.untied}
