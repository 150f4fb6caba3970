"""A plant learned from a log of good and bad behaviour, and controlled by what the model is certain of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any, ClassVar

from lowland.data.gym_log import GymLog, write_gym_log
from lowland.data.gym_read import read_gym_log
from lowland.data.minari_log import read_minari
from lowland.envs.behaviour import mixed_log
from lowland.errors import DataError, OptionError
from lowland.evaluation.offline_control import KINDS, Learned, OfflineControl, first_states
from lowland.evaluation.offline_rl import RIVALS, offline_policy, rivals_here
from lowland.evaluation.plant_trial import mean_return, planned_returns, plant_diagnosis, returns
from lowland.evaluation.promises import promised_return
from lowland.planning.control import Controller
from lowland.planning.policy_files import PREFIX, save_policy
from lowland.recipes.base import Bound, Count, Recipe, recipe
from lowland.recipes.control.plant.tables import CHOICES, draw, summary
from lowland.reports.run import Run
from lowland.solvers.cem import CEM
from lowland.solvers.mppi import MPPI
from lowland.training.policy_export import log_certificate, write_policy

TASKS = ("InvertedPendulum-v5", "InvertedDoublePendulum-v5", "Hopper-v5", "HalfCheetah-v5")
SOLVERS = {"CEM": CEM, "MPPI": MPPI}
DEVIATION = 0.1
"""First deviation of a planner's candidates, in fractions of the bounds of an action."""


@recipe
@dataclass(frozen=True)
class PlantRecipe(OfflineControl, Recipe):
    """E(s, a) = Σ_t γᵗ [−r[t+1] + λ U(s[t], a[t])] + γᵀ V(s[T]), minimised by a policy and by planning."""

    seeds: Count = 5
    """Repetitions, each with its own models and policies, on the same log."""
    env: tuple[str, ...] = TASKS
    """Plants of Gymnasium in which returns are measured; with a log at most one."""
    log: str = ""
    """Your own log (.npz or .csv) with rewards. Without env the plant is never run."""
    minari: str = ""
    """A data set of Minari in place of a log."""
    transitions: Annotated[int, Bound(least=200)] = 30_000
    """Steps of the log that is made of each plant if there is none."""
    search: Count = 300_000
    """Steps of the random search from which the behaviour in that log comes."""
    episodes: Count = 10
    """Episodes by which a policy is judged."""
    planned: Count = 2
    """Episodes by which a planner is judged."""
    length: Annotated[int, Bound(least=2)] = 300
    """Steps of an episode, in the log that is made and in the test."""
    samples: Annotated[int, Bound(least=2)] = 48
    """Plans that a planner compares at each of its steps."""
    plan_steps: Count = 1
    """Steps of the planner's solver for one action; it goes on from the plan of the action before."""
    rivals: tuple[str, ...] = RIVALS
    """Methods of d3rlpy on the same log."""
    rival_updates: tuple[Annotated[int, Bound(least=1)], ...] = (4800, 4000, 600)
    """Updates of TD3+BC, IQL and CQL."""

    accelerated: ClassVar[bool] = False
    files: ClassVar[tuple[str, ...]] = ("log",)
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {
            "env": ("Pendulum-v1",), "transitions": 400, "search": 1600, "seeds": 1, "members": 2, "hidden": 16,
            "updates": 6, "imitation_updates": 6, "policy_updates": 3, "weights": (0.0, 1.0), "horizon": 3,
            "episodes": 2, "planned": 1, "length": 40, "promise": 20, "samples": 4, "plan_steps": 1, "rivals": (),
        }
    }  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.log and self.minari:
            raise OptionError("There is one log: leave out log or minari.")
        if (self.log or self.minari) and len(self.env) > 1 and self.env != TASKS:
            raise OptionError("A log is of one plant: name one environment as env, or none.")
        if not (self.env or self.log or self.minari):
            raise OptionError("Nothing to learn from: name a log, a data set of Minari, or an environment as env.")
        if self.promise > self.length:
            raise OptionError(f"promise must be at most length, {self.length}, but it is {self.promise}.")
        for name in self.rivals:
            if name not in RIVALS:
                raise OptionError(f"There is no rival called {name!r}: {', '.join(RIVALS)} are known.")
        if len(self.rival_updates) != len(RIVALS):
            raise OptionError(f"rival_updates must be {len(RIVALS)} numbers, of {', '.join(RIVALS)}.")

    @property
    def plants(self) -> tuple[str, ...]:
        """Environments that are run; none with a log unless one is named."""
        own = bool(self.log or self.minari)
        return () if own and self.env == TASKS else self.env

    def run(self, run: Run) -> None:
        named = self.plants or ("",)
        here = rivals_here()
        rivals = self.rivals if self.plants and here else ()
        judged = len(KINDS) + 2 * len(SOLVERS) + len(rivals) if self.plants else 0
        run.expect(len(named) * (1 + self.seeds * (5 + len(self.weights) + judged)))
        logs = [self._log(run, name, k) for k, name in enumerate(named)]
        shown = [
            {"k": k, "name": log.name, "steps": log.steps, "episodes": len(log.paths)} for k, log in enumerate(logs)
        ]
        for seed in range(self.seeds):
            for k, (name, log) in enumerate(zip(named, logs, strict=True)):
                with run.below(f"seed-{seed}/plant-{k}"):
                    numbers = self._measure(run, k, name, log, seed, rivals)
                run.measured.add(numbers)
        run.show(
            plants=shown, source=", ".join(f"{one['name']} ({one['steps']:,} steps)" for one in shown),
            notes=" ".join(note for log in logs for note in log.notes), ran=bool(self.plants),
            missing=bool(self.rivals and self.plants) and not here,
            folder=repr(str(run.folder.resolve())), best_rivals=list(rivals),
            gaps=[summary(run, one["k"], rivals) for one in shown if self.plants],
        )  # fmt: skip
        run.part(draw, shown, self.entry.head.methods or {}, self.weights)

    def _log(self, run: Run, name: str, k: int) -> GymLog:
        if self.log or self.minari:
            log = read_gym_log(self.log, outcomes=True) if self.log else read_minari(self.minari, outcomes=True)
        else:
            path = run.checkpoints / f"log-{k}.npz"

            def make() -> None:
                write_gym_log(mixed_log(name, self.search, self.transitions, self.seed, self.length), path)

            run.stage(f"plant-{k}/log", make)
            log = replace(read_gym_log(path, outcomes=True), name=name)
        log.check_control()
        if len(log.paths) < 4:
            raise DataError(
                f"{log.name} has {len(log.paths)} episodes, but 4 are needed: half of them are held out to choose λ."
            )
        return log

    def _measure(
        self, run: Run, k: int, name: str, log: GymLog, seed: int, rivals: Sequence[str]
    ) -> dict[str, dict[str, Any]]:
        """The numbers of one plant and seed, by method and measure; those of plant k end in -k."""
        known, other = log.split(self.held_out, self.seed + seed)
        made = self.learn(log, known, other, self.generator, run.stage, seed)
        found: dict[str, dict[str, Any]] = {"behaviour": {"return": mean_return(log)}}
        for kind, policy in made.policies.items():
            promised = promised_return(made.world, policy, first_states(log), self.promise)
            found[kind] = {"promised": promised, "seconds": made.seconds[kind]}
            if seed == 0:
                save_policy(
                    policy, run.checkpoints / f"{PREFIX}{kind}{f'-{k}' if len(self.plants) > 1 else ''}.safetensors"
                )
        found |= {f"choice {name}": {"said": said, "held": held} for name, (said, held) in made.promises.items()}
        found["uncertain"]["weight"] = made.weight
        found |= run.stage("diagnosis", partial(plant_diagnosis, made.world, other, self.horizon, self.members))
        if name:
            self._judge(run, name, made, found, seed)
        if seed == 0:
            folder = run.folder / "policy" / (name if len(self.plants) > 1 else "")
            policy = made.policies["careful"]
            promise = made.promises[f"{made.weight:g}" if made.chosen == "uncertain" else made.chosen]
            policy.certificate = log_certificate(policy, log, self.promise) | {
                "promised": promise[0], "held out": promise[1],
                "sensitivity": found["model"]["swapped"],
            } | ({"realised": found["careful"]["realised"]} if name else {})  # fmt: skip
            facts = {
                "learned from": f"{log.steps:,} steps of {log.name}", "returns": f"sums over {self.promise} steps",
                "kind": CHOICES[made.chosen], "weight of the uncertainty": f"{made.weight:g}",
                "by": "lowland run plant",
            }  # fmt: skip
            write_policy(policy, folder, facts)
        for label in rivals:
            result = run.stage(f"rival/{label}", partial(self._rival, name, label, log, seed))
            found[label] = {"return": result["return"], "seconds": result["seconds"]}
        return {method: {f"{key}-{k}": value for key, value in row.items()} for method, row in found.items()}

    def _judge(self, run: Run, name: str, made: Learned, found: dict[str, dict[str, Any]], seed: int) -> None:
        """Returns of policies and planners in the plant."""
        for kind, policy in made.policies.items():
            result = self._returns(run, f"judge/{kind}", returns, policy, seed, name)
            beyond = found[kind]["promised"] - result["realised"]
            measured = {name: result[name] for name in ("return", "realised")}
            found[kind] |= measured | {"beyond": beyond, "gap": abs(beyond)}
        for label, solver in SOLVERS.items():
            for key, weight in ((label, 0.0), (f"{label} careful", made.weight)):
                if key != label and not weight:
                    found[key] = dict(found[label])
                    continue
                crowd = solver(samples=self.samples, deviation=DEVIATION, max_steps=self.plan_steps, tol=None)
                start = made.policies["start"]
                controller = Controller(made.plan(weight), crowd, self.generator(900 + seed), policy=start)
                result = self._returns(run, f"plan/{key.replace(' ', '-')}", planned_returns, controller, seed, name)
                found[key] = {measure: result[measure] for measure in ("return", "latency", "control")}

    def _returns(
        self, run: Run, stage: str, work: Callable[..., dict[str, float]], policy: Any, seed: int, name: str
    ) -> Any:
        """Returns in the plant by `returns` or `planned_returns`, from the same starts for all."""
        count = self.episodes if work is returns else self.planned
        start = 100_000 * (1 + self.seed) + 1000 * seed
        return run.stage(stage, partial(work, name, policy, count, self.length, self.promise, start))

    def _rival(self, name: str, label: str, log: GymLog, seed: int) -> dict[str, float]:
        updates = self.rival_updates[RIVALS.index(label)]
        policy, seconds = offline_policy(label, log.paths, updates, (self.seed + seed) % 2**32)
        start = 100_000 * (1 + self.seed) + 1000 * seed
        return returns(name, policy, self.episodes, self.length, self.promise, start) | {"seconds": seconds}
