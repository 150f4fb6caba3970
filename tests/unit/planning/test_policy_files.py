"""A learned policy is loaded, driven and exported, and is the same wherever it runs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from lowland.cli import main
from lowland.data.traffic import traffic
from lowland.domains import Box
from lowland.envs import Replay
from lowland.envs.plant import run_plant
from lowland.envs.traffic import TrafficReplay, TrafficReplayVector
from lowland.errors import CheckpointError, DomainError, OptionError, ShapeError, UnsupportedError
from lowland.nn.convolutional import FilmEyes
from lowland.nn.scene import SceneEncoder
from lowland.nn.vector_eyes import VectorEyes
from lowland.planning import Policy, load_policy, save_policy
from lowland.planning.policy_files import SHIPPED
from lowland.training import export_safetensors
from lowland.training.exported import run_exported
from lowland.training.policy_export import example_states, export_policy, write_policy

ACTIONS = Box(2, low=-1.0, high=1.0)


def of_numbers(gaussian: bool = False) -> Policy:
    eyes = SceneEncoder(16, torch.Generator().manual_seed(1))
    policy = Policy(eyes, eyes.size, ACTIONS, (16,), gaussian, generator=torch.Generator().manual_seed(2))
    policy.observation = {"every": 2, "cars": 10}
    return policy


def of_images(gaussian: bool = False) -> Policy:
    eyes = FilmEyes(3, 3, (20, 8), (4, 4, 8), 8, torch.Generator().manual_seed(1), through=False)
    policy = Policy(eyes, eyes.size, ACTIONS, (8,), gaussian, "clamp", torch.Generator().manual_seed(2))
    policy.observation = {"every": 1, "cars": 10, "image": (20, 8), "history": 3}
    return policy


@pytest.fixture
def float64() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("gaussian", [False, True])
@pytest.mark.parametrize("made", [of_numbers, of_images])
def test_what_is_loaded_is_what_was_saved(made: Any, gaussian: bool, tmp_path: Path) -> None:
    policy = made(gaussian).eval()
    again = load_policy(save_policy(policy, tmp_path / "policy-one.safetensors"))
    state = example_states(policy, 5)
    assert torch.equal(again(state), policy(state))
    assert (again.observation, again.gaussian, again.bound) == (policy.observation, policy.gaussian, policy.bound)
    assert not again.training


@pytest.mark.usefixtures("float64")
def test_the_type_of_numbers_is_kept(tmp_path: Path) -> None:
    wide = save_policy(of_numbers().double(), tmp_path / "policy-wide.safetensors")
    assert next(load_policy(wide).parameters()).dtype == torch.float64
    assert next(load_policy("shipped", "VG").parameters()).dtype == torch.float32


def test_it_drives_in_gymnasium_as_in_the_test_of_the_recipe() -> None:
    """The recipe drives a batch of tensors by `Replay.run`; people drive arrays by `env.step`."""
    policy = load_policy("shipped", "MPUR z-dropout")
    env = gymnasium.make("lowland/TrafficReplay-v0", tracks="validation", **policy.observation)
    replay = Replay(traffic("validation")[0], **policy.observation)
    for row in replay.run(policy, torch.tensor([0, 300])):
        (observation, info), over = env.reset(options={"episode": row["episode"]}), False
        while not over:
            observation, _, ended, cut, info = env.step(policy.act(observation))
            over = ended or cut
        assert (info["reason"], info["succeeded"]) == (row["reason"], row["success"])
        # A batch of two and one alone are multiplied in another order, at each of a few hundred steps.
        assert info["distance"] == pytest.approx(row["distance"], abs=0.05)


@pytest.mark.parametrize("made", [of_numbers, of_images])
def test_one_observation_and_a_batch_of_them(made: Any) -> None:
    policy = made().eval()
    (tracks,) = traffic("validation")
    seen, _ = TrafficReplayVector(4, tracks, **policy.observation).reset(seed=0)
    several = policy.act(seen)
    assert several.shape == (4, 2)
    wanted = policy({name: torch.from_numpy(leaf) for name, leaf in seen.items()})
    np.testing.assert_array_equal(several, wanted.detach().numpy())
    single = policy.act({name: leaf[1] for name, leaf in seen.items()})
    np.testing.assert_allclose(single, several[1], atol=1e-6)  # sums in another order


def test_what_it_cannot_look_at_is_refused() -> None:
    (tracks,) = traffic("validation")
    numbers, _ = TrafficReplay(tracks).reset(seed=0)
    films, _ = TrafficReplay(tracks, **of_images().observation).reset(seed=0)
    with pytest.raises(
        ShapeError, match=r"looks at image .* has none: make the environment with \*\*policy.observation"
    ):
        of_images().act(numbers)
    with pytest.raises(ShapeError, match=r"has shape \(2, 3, 20, 8\)"):
        of_images().act(films | {"image": films["image"][1:]})
    with pytest.raises(DomainError, match="divide it by 255"):
        of_images().act(films | {"image": films["image"].astype(np.float32)})
    scaled = films | {"image": films["image"].astype(np.float32) / 255}
    np.testing.assert_allclose(of_images().act(scaled), of_images().act(films), atol=1e-6)
    with pytest.raises(ShapeError, match="Some parts of the observation have a batch axis"):
        of_numbers().act(numbers | {"own": numbers["own"][None]})
    with pytest.raises(UnsupportedError, match="has no `shapes`"):
        Policy(lambda state: state["own"], 5, ACTIONS).act(numbers)


def test_which_policy_is_said(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"more than one policy in shipped.*MPUR-z-dropout, VG, imitation"):
        load_policy("shipped")
    with pytest.raises(OptionError, match=r"no policy 'MPUR'.*Did you mean 'MPUR-z-dropout'"):
        load_policy("shipped", "MPUR")
    with pytest.raises(OptionError, match="no policies in"):
        load_policy(tmp_path)
    save_policy(of_numbers(), tmp_path / "checkpoints" / "policy-VG.safetensors")
    assert torch.equal(load_policy(tmp_path)(example_states(of_numbers())), of_numbers()(example_states(of_numbers())))


def test_files_that_hold_no_policy_are_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_policy(tmp_path / "policy-none.safetensors")
    (tmp_path / "text.safetensors").write_text("no weights")
    with pytest.raises(CheckpointError, match="is not a whole policy"):
        load_policy(tmp_path / "text.safetensors")
    with pytest.raises(CheckpointError, match="not a policy that `lowland run drive` or `plant` wrote"):
        load_policy(SHIPPED / "world-deterministic.safetensors")
    before = export_safetensors(of_numbers(), tmp_path / "policy-before.safetensors", {"images": ""})
    with pytest.raises(CheckpointError, match="lowland run drive --models"):
        load_policy(before)
    os.mkfifo(tmp_path / "pipe.safetensors")
    with pytest.raises(CheckpointError, match="named pipe"):
        load_policy(tmp_path / "pipe.safetensors")
    other = Policy(lambda state: state["own"], 5, ACTIONS)
    with pytest.raises(UnsupportedError, match="export_safetensors"):
        save_policy(other, tmp_path / "policy-other.safetensors")


def test_every_flipped_bit_is_noticed(tmp_path: Path) -> None:
    """Of the weights all are; of the header those that matter: a version or a note may change."""
    policy = of_numbers()
    path, state = save_policy(policy, tmp_path / "policy-one.safetensors"), example_states(policy)
    whole, wanted = path.read_bytes(), policy(state)
    generator = np.random.default_rng(0)
    begin = 8 + int.from_bytes(whole[:8], "little")
    for place in (*generator.integers(begin, len(whole), size=40), *generator.integers(begin, size=40)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(generator.integers(8))
        path.write_bytes(damaged)
        try:
            again = load_policy(path)
        except CheckpointError:
            continue
        assert place < begin
        assert again.observation == policy.observation
        assert torch.equal(again(state), wanted)


@pytest.mark.parametrize("made", [lambda: load_policy("shipped", "VG"), of_images], ids=["numbers", "images"])
def test_onnx_and_torch_agree(made: Any, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    import onnxruntime

    policy = made().eval()
    (path,) = export_policy(policy, "one", "onnx", tmp_path)
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    assert [node.name for node in session.get_inputs()] == list(policy.inputs.shapes)
    state = example_states(policy, 200)
    (found,) = session.run(None, {name: leaf.numpy() for name, leaf in state.items()})
    assert np.abs(found - policy(state).detach().numpy()).max() <= 1e-5


@pytest.mark.parametrize("made", [lambda: load_policy("shipped", "VG"), of_images], ids=["numbers", "images"])
def test_the_code_beside_the_weights_needs_no_lowland(made: Any, tmp_path: Path) -> None:
    policy = made().eval()
    weights, code = export_policy(policy, "one", "safetensors", tmp_path)
    assert (weights.name, code.name) == ("policy-one.safetensors", "policy.py")
    state = {name: leaf.numpy() for name, leaf in example_states(policy, 3).items()}
    np.savez(tmp_path / "state.npz", **state)
    program = (
        "import sys; sys.modules['lowland'] = None; import numpy as np; from policy import load\n"
        "policy = load('policy-one.safetensors'); print(policy.observation)\n"
        "np.save('action.npy', policy.act(dict(np.load('state.npz'))))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, str(policy.observation)), done.stderr
    np.testing.assert_array_equal(np.load(tmp_path / "action.npy"), policy.act(state))


def test_the_command_exports_policies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["export", "shipped", "--to", "safetensors"]) == 0
    written = capsys.readouterr().out.split()
    assert [Path(name).name for name in written] == [
        "policy-MPUR-z-dropout.safetensors", "policy.py", "policy-VG.safetensors", "policy-imitation.safetensors"
    ]  # fmt: skip
    assert main(["export", written[0], "--to", "program"]) == 0
    assert Path(capsys.readouterr().out.strip()).name == "policy-MPUR-z-dropout.pt2"
    assert main(["export", "shipped", "--to", "onnx", "--energy", "vg"]) == 2
    assert "keeps no policy called 'vg'" in capsys.readouterr().err
    assert main(["export", "shipped", "--to", "onnx", "--part", "eyes"]) == 2
    assert "leave out --part" in capsys.readouterr().err


def of_vectors(gaussian: bool = False) -> Policy:
    eyes = VectorEyes(3)
    eyes.mean.copy_(torch.tensor([1.0, -2.0, 0.5]))
    eyes.deviation.copy_(torch.tensor([0.5, 4.0, 1.0]))
    policy = Policy(eyes, 3, Box(2, low=-1.0, high=1.0), (8,), gaussian, generator=torch.Generator().manual_seed(2))
    policy.bounds, policy.certificate = ([-2.0, 0.0], [2.0, 10.0]), {"promised": 90.5, "held out": 84.0}
    return policy


@pytest.mark.parametrize("gaussian", [False, True])
def test_a_policy_of_a_plant_acts_in_its_units(gaussian: bool, tmp_path: Path) -> None:
    policy = of_vectors(gaussian).eval()
    again = load_policy(write_policy(policy, tmp_path / "policy", {"learned from": "mine.npz"}).parent)
    assert (again.bounds, again.certificate) == (([-2.0, 0.0], [2.0, 10.0]), policy.certificate)
    seen = np.random.default_rng(0).normal(size=(5, 3))
    shares = policy({"observation": torch.from_numpy(seen).float()}).detach().numpy()
    actions = again.act(seen)
    np.testing.assert_allclose(actions, np.array([-2, 0]) + (shares + 1) / 2 * np.array([4, 10]), rtol=1e-5)
    np.testing.assert_allclose(again.act(seen[1]), actions[1], rtol=1e-5)
    np.testing.assert_allclose(again.act({"observation": seen[1], "other": 0}), actions[1], rtol=1e-5)
    far = again.act(np.full(3, 1e30))
    assert ((far >= [-2, 0]) & (far <= [2, 10])).all()
    assert torch.equal(load_policy(tmp_path)(example_states(policy)), policy(example_states(policy)))


def test_what_a_plant_does_not_show_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ShapeError, match=r"of shape \(3,\), but .* has shape \(4,\): use its own plant"):
        of_vectors().act(np.zeros(4))
    with pytest.raises(DomainError, match="NaN or infinity"):
        of_vectors().act(np.array([0, np.nan, 0]))
    wide = Policy(VectorEyes(3), 3, Box(2, low=-2.0, high=2.0))
    wide.bounds = ([-1.0, -1.0], [1.0, 1.0])
    with pytest.raises(UnsupportedError, match="fractions from −1 to 1"):
        save_policy(wide, tmp_path / "policy.safetensors")


def test_the_card_says_what_was_measured(tmp_path: Path) -> None:
    write_policy(of_vectors(), tmp_path, {"learned from": "1,000 steps of mine.npz"})
    card = (tmp_path / "README.md").read_text()
    assert "| learned from | 1,000 steps of mine.npz |" in card
    assert "| promised | 90.5 | what the model in which it was trained promises |" in card
    assert "| actions | -2 to 2; 0 to 10, in the units of the plant |" in card
    assert 'policy = load("policy.safetensors")' in card


def test_a_policy_of_a_plant_runs_without_lowland(tmp_path: Path) -> None:
    policy = of_vectors().eval()
    write_policy(policy, tmp_path, {})
    program = (
        "import sys; sys.modules['lowland'] = None; import numpy as np; from policy import load\n"
        "policy = load('policy.safetensors'); print(policy.certificate)\n"
        "np.save('action.npy', policy.act(np.arange(3.0)))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, str(policy.certificate)), done.stderr
    np.testing.assert_array_equal(np.load(tmp_path / "action.npy"), policy.act(np.arange(3.0)))


@pytest.mark.parametrize("to", ["onnx", "program"])
def test_exported_policies_of_plants_act_in_its_units(
    to: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxscript")
    policy = of_vectors().eval()
    weights = write_policy(policy, tmp_path / "policy", {})
    assert main(["export", str(weights), "--to", to]) == 0
    (path,) = capsys.readouterr().out.split()
    state = example_states(policy, 7)
    np.testing.assert_allclose(run_exported(path, state).detach().numpy(), policy.act(state), atol=1e-5)


def test_it_acts_in_gymnasium_as_in_the_test_of_the_recipe(tmp_path: Path) -> None:
    """`run_plant` scales the fractions of the network, and `act` does so by the bounds in the file."""
    policy = Policy(VectorEyes(3), 3, Box(1, low=-1.0, high=1.0), (8,), generator=torch.Generator().manual_seed(0))
    policy.bounds = ([-2.0], [2.0])
    again = load_policy(write_policy(policy.eval(), tmp_path, {}))
    runs = run_plant("Pendulum-v1", policy, episodes=1, steps=30, seed=4)
    env = gymnasium.make("Pendulum-v1")
    observation, _ = env.reset(seed=4)
    rewards = []
    for _ in range(30):
        observation, reward, *_ = env.step(again.act(observation))
        rewards.append(float(reward))
    np.testing.assert_allclose(rewards, runs.rewards[0].numpy(), rtol=1e-3, atol=1e-4)
    assert np.ptp(rewards) > 1
