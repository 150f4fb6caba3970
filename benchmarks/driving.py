"""Speed of driving: replayed traffic with images, compared with highway-env and a plain replay in NumPy.

    python benchmarks/driving.py [--quick] [--json FILE] [--egos B]

One step of a car means: move it, find the ten nearest other cars in the log, test for collisions, and draw the image of
117 × 24 (4 × 4 sample points per pixel, three channels). The log is the validation part of the traffic that ships with
Lowland: six lanes, 10 Hz. The NumPy replay, written here, does the same for one car at a time; `error_theirs` is the
fraction of its pixels that differ. highway-env (six lanes, 50 vehicles, 10 Hz, its cheapest observation and no image)
is given as context: its vehicles react, so the work is not the same. It is not a dependency of Lowland; if it is
missing its row says why. All run alternately in one process with one thread; times are processor times.
"""

from __future__ import annotations

import argparse
import statistics
import warnings
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from core import device, race, row, speed, table, versions
from report import write

from lowland.data.tracks import Tracks
from lowland.data.traffic import traffic
from lowland.envs.replay import Replay
from lowland.worlds.kinematics import bounds

SIZE, CROP, STEPS = (117, 24), (72.2, 14.8), 20


class PlainReplay:
    """One car in a replayed log, in hand-written NumPy: whole arrays, no loop over pixels."""

    def __init__(self, tracks: Tracks, every: int = 1) -> None:
        self.tracks, self.every, self.dt = tracks, every, every * tracks.dt
        self.frames = {int(f): np.flatnonzero(tracks.frame == f) for f in np.unique(tracks.frame)}
        self.lines = np.array(tracks.road.edges)
        down, right = CROP[0] / (4 * SIZE[0]), CROP[1] / (4 * SIZE[1])
        self.ahead = CROP[0] / 2 - (np.arange(4 * SIZE[0]) + 0.5) * down
        self.left = CROP[1] / 2 - (np.arange(4 * SIZE[1]) + 0.5) * right

    def begin(
        self, own: np.ndarray, length: float, width: float, frame: int, vehicle: int, headings: np.ndarray
    ) -> None:
        self.own, self.length, self.width, self.frame, self.vehicle = own.copy(), length, width, frame, vehicle
        self.headings = headings
        self.limit = bounds(torch.tensor(length)).numpy()

    def step(self, action: np.ndarray) -> tuple[np.ndarray, bool]:
        """The image after an action, and whether the car has hit another."""
        x, y, dx, dy, v = self.own
        a, swing = action[0] * self.limit[0], action[1] * self.limit[1] * v * self.dt
        turned = np.array([dx + dy * swing, dy - dx * swing])
        self.own = np.array(
            [x + v * dx * self.dt, y + v * dy * self.dt, *turned / np.hypot(*turned), max(v + a * self.dt, 0)]
        )
        self.frame += self.every
        rows = self.frames[self.frame]
        rows = rows[self.tracks.vehicle[rows] != self.vehicle]
        place = np.stack([self.tracks.x[rows], self.tracks.y[rows]], 1)
        size = np.stack([self.tracks.length[rows], self.tracks.width[rows]], 1)
        heading = self.headings[rows]
        way = place - self.own[:2]
        self.near = np.argsort((way**2).sum(1))[:10]
        return self.draw(way, size, heading), self.crashed(way, size, heading)

    def crashed(self, way: np.ndarray, size: np.ndarray, heading: np.ndarray) -> bool:
        own, mine = self.own[2:4], np.array([self.length, self.width])
        cosine, sine = np.abs(heading @ own), np.abs(heading[:, 1] * own[0] - heading[:, 0] * own[1])
        one = np.stack([way @ own, way[:, 1] * own[0] - way[:, 0] * own[1]], 1)
        two = np.stack([(way * heading).sum(1), way[:, 1] * heading[:, 0] - way[:, 0] * heading[:, 1]], 1)
        theirs = np.stack([size[:, 0] * cosine + size[:, 1] * sine, size[:, 0] * sine + size[:, 1] * cosine], 1)
        ours = np.stack([mine[0] * cosine + mine[1] * sine, mine[0] * sine + mine[1] * cosine], 1)
        return bool(((2 * np.abs(one) <= mine + theirs) & (2 * np.abs(two) <= size + ours)).all(1).any())

    def draw(self, way: np.ndarray, size: np.ndarray, heading: np.ndarray) -> np.ndarray:
        dx, dy = self.own[2:4]
        points = np.zeros((3, len(self.ahead), len(self.left)), dtype=bool)
        across = self.own[1] + self.ahead[:, None] * dy + self.left * dx
        for line in self.lines:
            points[0] |= np.abs(across - line) <= CROP[1] / SIZE[1] / 2
        points[2] = (across <= self.lines[0]) | (across >= self.lines[-1])
        ahead, left = way @ [dx, dy], way[:, 1] * dx - way[:, 0] * dy
        reach = np.hypot(*size.T) / 2
        seen = (np.abs(ahead) < CROP[0] / 2 + reach) & (np.abs(left) < CROP[1] / 2 + reach)
        for k in np.flatnonzero(seen):
            # Only the rows of sample points that the car can cover.
            first, last = np.searchsorted(-self.ahead, [-ahead[k] - reach[k], -ahead[k] + reach[k]])
            far, aside = self.ahead[first:last, None] - ahead[k], self.left - left[k]
            cosine = heading[k, 0] * dx + heading[k, 1] * dy
            sine = heading[k, 1] * dx - heading[k, 0] * dy
            inside = (np.abs(far * cosine + aside * sine) <= size[k, 0] / 2) & (
                np.abs(aside * cosine - far * sine) <= size[k, 1] / 2
            )
            points[1, first:last] |= inside
        share = points.reshape(3, SIZE[0], 4, SIZE[1], 4).sum((2, 4))
        return ((share * 255 + 8) // 16).astype(np.uint8)


def replays(tracks: Tracks, egos: int, plain_egos: int) -> tuple[dict[str, Callable[[], Any]], float]:
    """Our batch with and without images, the replay in NumPy, and the fraction of pixels that differ."""
    with_images, without = Replay(tracks, every=1, image=SIZE), Replay(tracks, every=1)
    drawn = torch.Generator().manual_seed(0)
    episodes = torch.randperm(len(without), generator=drawn)[:egos]
    actions = (0.1 * torch.randn(STEPS, egos, 2, generator=drawn)).clamp(-1, 1)

    def ours(replay: Replay) -> Callable[[], list[torch.Tensor]]:
        def run() -> list[torch.Tensor]:
            replay.reset(episodes)
            return [replay.step(action)[0].get("image", action) for action in actions]

        return run

    plain, scene = PlainReplay(tracks), with_images.scene
    # Both take the headings of other cars from the log; ours stores them in float32.
    headings = scene.table[scene.place, 4:6].double().numpy()
    start = without.reset(episodes)
    own, size = start["own"].double().numpy(), start["size"].double().numpy()
    frames, owners = (without.frame + scene.first_frame).tolist(), scene.vehicles[without.vehicle.numpy()]

    def numpy() -> list[np.ndarray]:
        found = []
        for k in range(plain_egos):
            plain.begin(own[k], *size[k], frames[k], owners[k], headings)
            found.append(np.stack([plain.step(action)[0] for action in actions[:, k].double().numpy()]))
        return found

    mine, theirs = torch.stack(ours(with_images)(), 1)[:plain_egos].numpy(), np.stack(numpy())
    # Crashed cars stand still in ours; only cars that still drive in both are compared.
    alive = (with_images.reason[:plain_egos] == 0).numpy()
    return {"images": ours(with_images), "vectors": ours(without), "numpy": numpy}, float(
        (mine != theirs)[alive].mean()
    )


def highway(steps: int) -> Callable[[], None]:
    """Six lanes, 50 vehicles, 10 Hz, an idle own car; after a crash the episode restarts."""
    import gymnasium
    import highway_env

    gymnasium.register_envs(highway_env)
    setting = {
        "lanes_count": 6,
        "vehicles_count": 50,
        "simulation_frequency": 10,
        "policy_frequency": 10,
        "duration": 1e9,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        env = gymnasium.make("highway-v0", config=setting, disable_env_checker=True).unwrapped
    env.reset(seed=0)

    def run() -> None:
        for _ in range(steps):
            _, _, ended, cut, _ = env.step(1)
            if ended or cut:
                env.reset()

    return run


def simulation(egos: int, rounds: int) -> list[dict[str, Any]]:
    """Rows in steps of a car per second."""
    plain_egos, highway_steps = max(1, egos // 64), 20
    field, difference = replays(traffic("validation")[0], egos, plain_egos)
    work = {"images": STEPS * egos, "vectors": STEPS * egos, "numpy": STEPS * plain_egos, "highway-env": highway_steps}
    why = ""
    try:
        field["highway-env"] = highway(highway_steps)
    except ImportError as error:
        why = f"it cannot be imported: {error}"
    times = {name: [t / work[name] for t in spent] for name, spent in race(field, rounds, 1).items()}
    rate = {name: 1 / statistics.median(spent) for name, spent in times.items()}
    case = f"replay, {egos} cars at once, images {SIZE[0]} × {SIZE[1]}"
    rows = [row(case, "steps/s", rate["images"], "aim", 20_000, 1, ratio=rate["images"] / 20_000)]
    more = {"ratio": speed(times["images"], times["numpy"]), "error_ours": 0.0, "error_theirs": difference}
    rows.append(row(case, "steps/s", rate["images"], "plain NumPy", rate["numpy"], 1, **more))
    for name, label in (("images", case), ("vectors", f"replay, {egos} cars at once, vectors")):
        more = {"why": why} if why else {"ratio": speed(times[name], times["highway-env"])}
        rows.append(row(label, "steps/s", rate[name], "highway-env", rate.get("highway-env"), 1, **more))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="under a minute: three rounds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows to this file")
    parser.add_argument("--egos", type=int, default=256, metavar="B", help="cars at once")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = simulation(options.egos, 3 if options.quick else 9)
    print(f"{date.today()}, {device()}\n")
    print(table(rows))
    if options.json:
        write(options.json, __doc__.splitlines()[0], device(), versions("highway-env"), rows)


if __name__ == "__main__":
    main()
