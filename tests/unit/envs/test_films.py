"""Films are what a replay shows, whichever segments and steps are asked for."""

from __future__ import annotations

import torch

from lowland.data.tracks import Tracks
from lowland.envs.films import Films
from lowland.envs.picture import Camera
from lowland.envs.replay import Replay


def test_films_are_what_a_replay_shows(log: Tracks) -> None:
    """Segments of two recordings, asked for in any order and from any step on."""
    replay = Replay(log, image=(39, 8), history=3)
    rows = replay.starts[:10]
    films = Films([(replay.scene, rows[:5]), (replay.scene, rows[5:])], Camera(39, 8), frames=3, steps=6)
    assert torch.equal(films.actions, replay.scene.logged(rows, steps=6)[1])
    shown = [replay.reset(torch.arange(10))]
    for _ in range(6):
        shown.append(replay.step(None)[0])
    chosen, first = torch.tensor([7, 0, 4, 5, 0]), torch.tensor([0, 2, 1, 2, 1])
    found = films.states(chosen, first, steps=4)
    for k in range(5):
        for name, leaf in found.items():
            expected = torch.stack([shown[int(first[k]) + t][name][chosen[k]] for t in range(5)])
            assert torch.equal(leaf[k], expected / 255 if name == "image" else expected)
