"""Encoders of few bits: the limit, the report, the file, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from lowland import cli
from lowland.errors import CheckpointError, DataError, OptionError, UnsupportedError
from lowland.evaluation.shrinking import Loss, Part, bit_chain, shrink
from lowland.evaluation.shrinking_files import shrink_folder
from lowland.nn.encoders.perceptron import Perceptron
from lowland.nn.quantised import quantised, settings_of
from lowland.nn.standardised import Standardised
from lowland.training.encoder_files import build_encoder, load_encoder, save_encoder

OPTIONS = {"hidden": (32,), "size": 8}


@pytest.fixture
def encoder(generator: torch.Generator) -> Perceptron:
    return Perceptron((6,), **OPTIONS, generator=generator)


@pytest.fixture
def parts(generator: torch.Generator) -> list[Part]:
    return [Part(torch.randn(80, 6, generator=generator)) for _ in range(3)]


@pytest.fixture
def saved(tmp_path: Path, generator: torch.Generator) -> Path:
    """An encoder of series with two channels, and 40 series in two classes that differ in their mean."""
    network = Standardised(build_encoder("Perceptron", (2, 16), {**OPTIONS, "generator": generator}))
    save_encoder(network, OPTIONS, tmp_path / "encoder", {"kind": "series"})
    for number in range(40):
        place = tmp_path / "series" / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        values = torch.randn(16, 2, generator=generator) + 3 * (number % 2)
        np.save(place / f"{number}.npy", values.numpy())
    return tmp_path


def test_loss_is_the_share_of_variance_and_the_points_of_a_probe(encoder: Perceptron, parts: list[Part]) -> None:
    small = quantised(encoder, 3, None)
    with torch.no_grad():
        whole, found = encoder(parts[2].samples), small(parts[2].samples)
    share = (found - whole).square().sum() / (whole - whole.mean(0)).square().sum()
    assert Loss(encoder, parts[0], parts[1])(small, parts[2]) == pytest.approx(100 * share.item(), rel=1e-4)
    labelled = [Part(x, (x[:, 0] > 0).long()) for x, _ in parts]
    loss = Loss(encoder, *labelled[:2])
    assert loss.probe is not None
    right = [
        (loss.probe.logits(codes).argmax(1) == labelled[2].labels).double().mean().item() for codes in (whole, found)
    ]
    assert loss(small, labelled[2]) == pytest.approx(100 * (right[0] - right[1]))


def test_the_chain_raises_the_layer_that_costs_most_for_its_bytes() -> None:
    chain = bit_chain({"a": 1.0, "b": 1.0}, {"a": 1, "b": 100}, 2, 5)
    assert chain[0] == {"a": 2, "b": 2}
    assert chain[3] == {"a": 5, "b": 2}  # S / n of a: 1, 1/4, 1/16, all above 1/100
    assert chain[-1] == {"a": 5, "b": 5}
    assert bit_chain({"a": 1.0}, {"a": 1}, 8, 8) == [{"a": 8}]


def test_few_bits_are_kept_if_they_are_enough_and_raised_if_not(encoder: Perceptron, parts: list[Part]) -> None:
    lax = shrink(encoder, *parts, bits=2, limit=1000.0)
    assert set(lax.bits.values()) == {2}
    before = {name: one.clone() for name, one in encoder.state_dict().items()}
    strict = shrink(encoder, *parts, bits=2, limit=0.5)
    assert max(strict.bits.values()) > 2
    assert strict.steps == 0
    assert strict.chosen <= 0.5
    assert strict.lost == pytest.approx(Loss(encoder, *parts[:2])(strict.encoder, parts[2]))
    # One bit less, anywhere on the chain, would have been too much.
    sizes = {name: encoder.get_submodule(name).weight.numel() for name in strict.bits}
    chain = bit_chain(strict.sensitivity, sizes, 2, 8)
    fewer = quantised(encoder, chain[chain.index(strict.bits) - 1], None)
    assert Loss(encoder, *parts[:2])(fewer, parts[1]) > 0.5
    assert all(torch.equal(one, before[name]) for name, one in encoder.state_dict().items())


def test_training_only_where_no_bits_are_left_and_it_helps(encoder: Perceptron, parts: list[Part]) -> None:
    after = shrink(encoder, *parts, bits=2, most=2, limit=1.0, steps=0)
    trained = shrink(encoder, *parts, bits=2, most=2, limit=1.0, steps=300, rate=5e-3)
    assert after.steps == 0
    assert trained.steps > 0
    assert trained.chosen < 0.7 * after.chosen
    assert trained.lost < after.lost
    assert set(trained.bits.values()) == {2}


@pytest.mark.parametrize("activations", [None, 8])
def test_the_file_gives_the_same_codes(saved: Path, activations: int | None) -> None:
    made = shrink_folder(saved / "encoder", saved / "series", bits=4, limit=5.0, activations=activations)
    again, card = load_encoder(made.path)
    x = torch.randn(7, 2, 16)
    assert isinstance(made.found.encoder, Standardised)
    with torch.no_grad():
        assert torch.equal(again(x), made.found.encoder.eval()(x))
    assert card["small"]["bits"] == made.found.bits
    assert made.bytes == (made.path.stat().st_size, (saved / "encoder" / "encoder.safetensors").stat().st_size)
    assert made.bytes[0] < made.bytes[1]
    with pytest.raises(UnsupportedError, match="few bits already"):
        shrink_folder(made.path, saved / "series", saved / "smaller.safetensors")


def test_the_command_reports_and_says_where_the_limit_is_not_kept(
    saved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["shrink", str(saved / "encoder"), str(saved / "series")]
    assert cli.main([*words, "--labels", "folders", "--error", "10"]) == 0
    shown = capsys.readouterr().out
    assert "bytes before" in shown
    assert "points of a linear probe" in shown
    assert "10 held-out samples" in shown  # a quarter of 40 files
    assert "NOT KEPT" not in shown
    assert cli.main([*words, "--bits", "1", "--most", "1", "--error", "0.01", "--steps", "0"]) == 1
    shown = capsys.readouterr().out
    assert "The limit of 0.01 is NOT KEPT" in shown
    assert (saved / "encoder" / "small.safetensors").is_file()
    assert cli.main(["embed", str(saved / "encoder" / "small.safetensors"), words[2], "--out", f"{saved}/v.npy"]) == 0


def test_what_cannot_be_done_is_said(saved: Path, encoder: Perceptron, parts: list[Part]) -> None:
    home, series = saved / "encoder", saved / "series"
    for wrong in ({"bits": 0}, {"bits": 9}, {"most": 9}, {"bits": 6, "most": 5}, {"limit": -1.0}, {"activations": 0}):
        with pytest.raises(OptionError, match="must be"):
            shrink_folder(home, series, **wrong)
    with pytest.raises(OptionError, match="the encoder itself"):
        shrink_folder(home, series, home / "encoder.safetensors")
    (saved / "none").mkdir()
    with pytest.raises(DataError):
        shrink_folder(home, saved / "none")
    (saved / "few").mkdir()
    np.save(saved / "few" / "a.npy", np.random.default_rng(0).normal(size=(40, 2)))
    with pytest.raises(DataError, match="too few"):
        shrink_folder(home, saved / "few")
    (saved / "labels.csv").write_text("".join(f"{n}.npy,a\n" for n in range(40)))
    with pytest.raises(DataError, match="only one class"):
        shrink_folder(home, series, labels=str(saved / "labels.csv"))
    path = home / "encoder.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    with pytest.raises(CheckpointError):
        shrink_folder(home, series)
    (saved / "foreign.safetensors").write_bytes(b"something else")
    with pytest.raises(CheckpointError):
        shrink_folder(saved / "foreign.safetensors", series)
    small = quantised(encoder, 4, None)
    assert settings_of(small) is not None
    with pytest.raises(UnsupportedError, match="few bits already"):
        shrink(small, *parts)
    with pytest.raises(OptionError, match="these layers"):
        quantised(encoder, {"elsewhere": 4}, None)
