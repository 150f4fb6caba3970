"""Restoration by a dictionary of windows: where it starts, what it learns, and what stands beside it."""

from __future__ import annotations

import pytest
import torch

from lowland.data.windows import Windows
from lowland.evaluation.inpainting import inpaint
from lowland.evaluation.restoration import (
    average_windows,
    centred_windows,
    cosine_dictionary,
    denoise,
    learn_dictionary,
    local_mean,
    psnr,
    window_dictionary,
)
from lowland.evaluation.restoration_baselines import best_setting, biharmonic, denoisers


def test_the_first_dictionary_is_centred_cosines() -> None:
    atoms = cosine_dictionary(8, 255)
    torch.testing.assert_close(atoms.norm(dim=0), torch.ones(255).double())
    assert float(atoms.mean(dim=0).abs().max()) < 1e-12


def test_known_pixels_stay_and_hidden_ones_are_means_of_those_around() -> None:
    truth, hidden = torch.full((1, 30, 30), 0.25), torch.zeros(1, 30, 30, dtype=torch.bool)
    hidden[0, 3:27, 3:27] = True
    torch.testing.assert_close(local_mean(truth, hidden), truth)
    noise = torch.rand(1, 30, 30, generator=torch.Generator().manual_seed(0))
    assert torch.equal(local_mean(noise, hidden)[~hidden], noise[~hidden])
    secret = torch.where(hidden, torch.ones(()), noise)
    assert torch.equal(local_mean(noise, hidden), local_mean(secret, hidden))


def test_psnr_of_one_tenth_is_twenty_decibels() -> None:
    assert psnr(torch.zeros(1, 2, 2), torch.full((1, 2, 2), 0.1)) == pytest.approx(20.0)
    assert psnr(torch.ones(1, 2, 2), torch.ones(1, 2, 2)) == pytest.approx(200.0)


def test_a_dictionary_codes_the_windows_that_it_learned() -> None:
    """A picture of two stripes: one atom explains every window of it, none explains what was added."""
    generator = torch.Generator().manual_seed(0)
    clean = (torch.arange(24) % 4 < 2).float().expand(24, 24)[None] * 0.5
    noisy = clean + 0.05 * torch.randn(clean.shape, generator=generator)
    energy, windows = window_dictionary(4, 20, 4), Windows(24, 24, size=4)
    error = 0.5 * 16 * 0.06**2
    learn_dictionary(energy, centred_windows(noisy, windows), error, rounds=3)
    assert psnr(average_windows(energy, noisy, windows, error), clean) > psnr(noisy, clean) + 3


def test_denoising_learns_from_the_noisy_picture_alone() -> None:
    """Two stripes again; what differs from `average_windows` is that values stay in [0, 1]."""
    generator = torch.Generator().manual_seed(0)
    clean = (torch.arange(24) % 4 < 2).float().expand(24, 24)[None]
    noisy = clean + 0.1 * torch.randn(clean.shape, generator=generator)
    found, use = denoise(window_dictionary(4, 20, 4), noisy, 0.5 * 16 * 0.12**2, 3, 200, generator)
    assert psnr(found, clean) > psnr(noisy.clamp(0, 1), clean) + 3
    assert float(found.min()) >= 0
    assert float(found.max()) <= 1
    assert use.shape == (20,)


def test_hidden_pixels_are_filled_in_and_known_ones_stay() -> None:
    """Waves with a third of their pixels hidden: a dictionary does better than a blur, and judges itself the same."""
    generator = torch.Generator().manual_seed(0)
    truth = (0.5 + 0.4 * torch.sin(torch.arange(24) * 1.3)).expand(24, 24)[None].contiguous()
    hidden = torch.rand(1, 24, 24, generator=generator) < 0.3
    errors = [0.5 * 16 * level**2 for level in (0.1, 0.05, 0.02)]
    filled, quality = inpaint(window_dictionary(4, 20, 4), truth, hidden, errors, samples=400)
    assert torch.equal(filled[~hidden], truth[~hidden])
    assert psnr(filled, truth) > psnr(local_mean(truth, hidden), truth) + 3
    assert quality == []
    secret = torch.where(hidden, torch.ones(()), truth)
    assert torch.equal(inpaint(window_dictionary(4, 20, 4), secret, hidden, errors, samples=400)[0], filled)
    judged, quality = inpaint(window_dictionary(4, 20, 4), truth, hidden, errors, samples=400, judged=hidden)
    assert len(quality) == 3
    assert quality[-1] == pytest.approx(psnr(judged[:, hidden[0]], truth[:, hidden[0]]))


def test_baselines_restore_too() -> None:
    generator = torch.Generator().manual_seed(0)
    clean = torch.linspace(0, 1, 32).expand(2, 32, 32)
    noisy = clean + 0.1 * torch.randn(clean.shape, generator=generator)
    for settings in denoisers(noisy, 0.1).values():
        made, chosen = best_setting(settings, clean)
        assert chosen in settings
        assert psnr(made, clean) > psnr(noisy, clean) + 3
    hidden = torch.rand(1, 32, 32, generator=generator) < 0.3
    filled = biharmonic(clean, hidden)
    assert torch.equal(filled[~hidden.expand(2, -1, -1)], clean[~hidden.expand(2, -1, -1)])
    assert psnr(filled, clean) > psnr(local_mean(clean, hidden), clean)
