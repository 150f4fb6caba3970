"""Forecasts of images are scored in the cells that a car may cover."""

from __future__ import annotations

import torch

from lowland.envs.episodes import read_logs
from lowland.evaluation.film_forecasts import cell_coverage, compare_film_forecasts, newest_frames
from lowland.evaluation.forward_models import COPY, VELOCITY
from lowland.training.observation import ImageObservation
from lowland.worlds.driving_costs import CARS
from lowland.worlds.forward_training import ForwardTraining
from lowland.worlds.rollout import at


def test_the_truth_is_covered_as_often_as_it_should_be() -> None:
    """The truth is a draw like the others: at each step 80 % of about 2,900 cells lie inside, give or take 0.75 %."""
    generator = torch.Generator().manual_seed(0)
    drawn = (torch.rand(50, 10, 3, 60, generator=generator) - 0.7).clamp_min(0)
    level, shares = cell_coverage(drawn[:, :9], drawn[:, 9], generator)
    assert level == 0.8
    assert float((shares - 0.8).abs().max()) < 0.03


def test_cells_that_no_future_has_a_car_in_do_not_count() -> None:
    """One cell has a car in the truth alone, which no interval of empty futures holds; all others stay empty."""
    samples, truth = torch.zeros(1, 9, 2, 40), torch.zeros(1, 2, 40)
    truth[0, 0, 7] = 0.5
    _, shares = cell_coverage(samples, truth, torch.Generator().manual_seed(0))
    assert float(shares[0]) == 0
    assert bool(shares[1].isnan())


def test_the_baselines_are_those_of_the_films_and_answers_have_z_0() -> None:
    observation = ImageObservation((16, 8), frames=2, maps=(4, 6, 8), latents=2, hidden=8)
    logs = read_logs("", 4, "cpu", 1, observation.replay)
    films = observation.films(logs, 5, 3, torch.Generator().manual_seed(0), "held")
    world = observation.world(True, torch.Generator().manual_seed(1))
    posterior = observation.posterior(world, torch.Generator().manual_seed(2))
    models = {"warp": (world.eval(), ForwardTraining(posterior))}
    found = compare_film_forecasts(models, films, 9, torch.Generator().manual_seed(3), shown=2, drawn=1)
    images = films.states(torch.arange(5), steps=3)["image"][:, :, -1]
    copied = (images[:, :1] - images[:, 1:])[:, :, CARS].square().mean(dim=(0, 2, 3))
    torch.testing.assert_close(found.errors[COPY], copied)
    torch.testing.assert_close(found.shown["truth"], images[:2, 1:])
    answer = newest_frames(world, {"state": at(films.states(torch.arange(5)), 0), "actions": films.actions}, None)
    torch.testing.assert_close(found.shown["warp"]["zero"], answer[:2].detach())
    assert found.shown["warp"]["drawn"].shape == (2, 1, 3, 3, 16, 8)
    assert set(found.crps) == {"warp", "warp, z = 0", COPY, VELOCITY}
