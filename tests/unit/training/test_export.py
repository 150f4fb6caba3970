from __future__ import annotations

import builtins
import json

import pytest
import torch
from safetensors import safe_open
from torch import nn

import lowland as ll
from lowland.checksums import write_json
from lowland.errors import CheckpointError, OptionError, UnsupportedError
from lowland.registry import registered
from lowland.training import (
    export_onnx,
    export_program,
    export_safetensors,
    load_energy,
    load_world,
    save_energy,
    save_world,
)
from lowland.training.export import import_safetensors
from lowland.training.latent_worlds import PixelCode
from lowland.worlds.latent import LatentWorld


def ellipse():
    return ll.energies.Ellipse((3.0, 1.0)), {"y": torch.randn(4, 2), "z": torch.rand(4, 1)}


def test_an_energy_is_saved_with_its_arguments(tmp_path):
    energy = ll.energies.SparseCoding(4, 6, sparsity=0.3, positive=True, generator=torch.Generator().manual_seed(3))
    folder = save_energy(energy, tmp_path / "a" / "b")
    again = load_energy(folder)
    assert isinstance(again, ll.energies.SparseCoding)
    assert (again.sparsity, again.positive) == (0.3, True)
    assert torch.equal(again.dictionary, energy.dictionary)


def test_an_energy_around_others_is_not_saved_alone(tmp_path):
    with pytest.raises(UnsupportedError, match="not plain JSON"):
        save_energy(ll.energies.Ellipse() + ll.energies.Ellipse(), tmp_path)


def test_a_world_with_an_encoder_from_elsewhere_is_refused_at_once(tmp_path):
    """It was written, and the folder could not be read."""
    world = LatentWorld((2, 16, 16), size=128, encoder=PixelCode(8))
    with pytest.raises(UnsupportedError, match="options do not tell of"):
        save_world(world, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_world_with_a_scene_is_read_as_it_was_written(tmp_path):
    world = LatentWorld((2, 16, 16), size=4, maps=(4, 4), hidden=8, scene=2)
    again = load_world(save_world(world, tmp_path))
    image, action = torch.rand(3, 2, 16, 16), torch.ones(3, 2)
    assert torch.equal(world.step({"image": image}, action)["code"], again.step({"image": image}, action)["code"])


@pytest.mark.parametrize("name", sorted(registered("energy")))
def test_the_number_type_of_every_weight_is_kept(name, tmp_path):
    energy = registered("energy")[name].reference_case().energy.double()
    for number, buffer in enumerate(energy.buffers()):
        if number == 1 and buffer.is_floating_point():
            buffer.data = buffer.data.float()  # a type for each, not one for all
    try:
        again = load_energy(save_energy(energy, tmp_path))
    except UnsupportedError:
        pytest.skip("is built of parts that are not plain JSON")
    state, found = energy.state_dict(), again.state_dict()
    assert {key: tensor.dtype for key, tensor in found.items()} == {key: tensor.dtype for key, tensor in state.items()}
    assert all(torch.equal(found[key], state[key]) for key in state)
    assert [p.requires_grad for p in again.parameters()] == [p.requires_grad for p in energy.parameters()]


def test_double_weights_of_any_module_stay_double(tmp_path):
    module = nn.BatchNorm1d(3).double()
    module.running_mean += 1e-12
    again = nn.BatchNorm1d(3)
    import_safetensors(again, export_safetensors(module, tmp_path / "a.safetensors"))
    assert again.weight.dtype == torch.float64
    assert torch.equal(again.running_mean, module.running_mean)
    assert again.num_batches_tracked.dtype == torch.int64


@pytest.mark.parametrize("kind", ["missing", "weights", "config", "class", "shape", "argument"])
def test_a_damaged_energy_is_named(kind, tmp_path):
    folder = save_energy(ll.energies.SparseCoding(4, 6), tmp_path / "saved")
    config = folder / "config.json"
    content = json.loads(config.read_text())
    if kind == "missing":
        config.unlink()
    elif kind == "weights":
        (folder / "model.safetensors").write_bytes(b"1234567890")
    elif kind == "config":
        config.write_text("{")
    else:
        content |= {"class": {"energy": "SparseCodin"}, "shape": {"n_atoms": 7}, "argument": {"n_atoms": "six"}}[kind]
        write_json(config, content)
    words = "Did you mean 'SparseCoding'" if kind == "class" else str(folder)
    with pytest.raises((CheckpointError, OptionError), match=words):
        load_energy(folder)


def test_weights_of_any_module(tmp_path):
    path = export_safetensors(nn.Linear(2, 3), tmp_path / "a.safetensors", {"note": "hello"})
    with safe_open(path, framework="pt") as file:
        assert set(file.keys()) == {"weight", "bias"}
        assert (file.metadata()["note"], file.metadata()["class"]) == ("hello", "Linear")


def test_weights_that_were_made_for_something_else_are_refused(tmp_path):
    path = export_safetensors(nn.Linear(2, 3), tmp_path / "a.safetensors", {"image": "64 × 16"})
    import_safetensors(nn.Linear(2, 3), path, {"image": "64 × 16", "note": ""})
    with pytest.raises(CheckpointError, match="made with image 64 × 16, but are used with image 117 × 24"):
        import_safetensors(nn.Linear(2, 3), path, {"image": "117 × 24"})


def test_a_program_takes_any_batch(tmp_path):
    energy, example = ellipse()
    program = torch.export.load(export_program(energy, example, tmp_path / "a.pt2")).module()
    y, z = torch.randn(7, 2), torch.rand(7, 1)
    # The same operations in the same order: equal but for fused kernels, a few units in the last place of float32.
    assert torch.allclose(program(y, z), energy(y=y, z=z), rtol=1e-6)


def test_onnx_takes_any_batch_and_agrees(tmp_path):
    import onnxruntime

    energy, example = ellipse()
    path = export_onnx(energy.train(), example, tmp_path / "a.onnx")
    assert energy.training
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.onnx"]
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    y, z = torch.randn(9, 2), torch.rand(9, 1)
    (found,) = session.run(None, {"y": y.numpy(), "z": z.numpy()})
    assert torch.allclose(torch.from_numpy(found), energy(y=y, z=z), atol=1e-4)


def test_an_encoder_is_a_module_of_tensors(tmp_path):
    encoder = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(72, 3))
    assert export_onnx(encoder, torch.randn(2, 1, 8, 8), tmp_path / "a.onnx").is_file()


def test_a_graph_that_gives_other_numbers_is_not_written(tmp_path):
    energy, example = ellipse()
    with pytest.raises(UnsupportedError, match="differs from torch"):
        export_onnx(energy, example, tmp_path / "a.onnx", tolerance=-1.0)
    assert list(tmp_path.iterdir()) == []


class Branching(nn.Module):
    def forward(self, x):
        return x * 2 if bool(x.sum() > 0) else x


@pytest.mark.parametrize(
    ("module", "example", "kind", "words"),
    [
        (ll.energies.Ellipse(), torch.zeros(2, 2), OptionError, "dictionary with the keys y, z"),
        (ll.energies.Ellipse(), {"y": torch.zeros(2, 2)}, OptionError, "keys y, z"),
        (nn.Linear(2, 2), torch.zeros(1, 2), OptionError, "two samples"),
        (nn.Linear(2, 2), "text", OptionError, "tensor"),
        (Branching(), torch.ones(2, 2), UnsupportedError, "Branching cannot be exported"),
    ],
)
def test_what_cannot_be_exported_is_named(module, example, kind, words, tmp_path):
    with pytest.raises(kind, match=words):
        export_program(module, example, tmp_path / "a.pt2")


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "onnxruntime":
            raise ImportError("No module named 'onnxruntime'", name=name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(OptionError, match=r"onnxruntime: pip install lowland\[export\]"):
        export_onnx(nn.Linear(2, 2), torch.ones(2, 2), tmp_path / "a.onnx")
