"""Files of policies: weights, architecture, and the observation that they need."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from lowland.domains import Box
from lowland.errors import CheckpointError, OptionError, UnsupportedError, nearest
from lowland.files import fingerprint, regular, write_atomically
from lowland.nn.convolutional import FilmEyes
from lowland.nn.scene import SceneEncoder
from lowland.nn.vector_eyes import VectorEyes
from lowland.planning.policies import Policy
from lowland.version import __version__

KIND = "lowland policy 1"
PREFIX = "policy-"
WEIGHTS = "policy.safetensors"
SHIPPED = Path(str(files("lowland") / "recipes" / "driving" / "models"))
"""Made by `lowland run drive`, whose `checkpoints` they are."""
EYES: dict[str, type[nn.Module]] = {kind.__name__: kind for kind in (SceneEncoder, FilmEyes, VectorEyes)}


def save_policy(policy: Policy, path: str | Path, note: Mapping[str, str] | None = None) -> Path:
    """Write a policy as one safetensors file, with its architecture in the header.

    Args:
        policy: its `inputs` are a `SceneEncoder`, `FilmEyes` or `VectorEyes`, and its actions are a box; its
            `observation`, `bounds` and `certificate` are kept.
        path: of the file.
        note: further entries of the header.

    Raises:
        UnsupportedError: for a policy with other inputs or actions, or with bounds and actions other than [−1, 1].
        CheckpointError: if the file cannot be written.
    """
    actions, eyes = policy.actions, policy.inputs
    if not isinstance(actions, Box) or type(eyes).__name__ not in EYES:
        raise UnsupportedError(
            f"A policy that looks through {' or '.join(EYES)} at a box of actions is saved whole, but this one looks "
            f"through a {type(eyes).__name__} at {actions}: keep its weights with ll.training.export_safetensors, and "
            "build it in code before loading them."
        )
    weights = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in policy.state_dict().items()}
    if policy.bounds is not None and (actions.low, actions.high) != (-1, 1):
        raise UnsupportedError(f"A policy with bounds acts in fractions from −1 to 1, but this one has {actions}.")
    card: dict[str, Any] = {
        "eyes": type(eyes).__name__,
        "options": eyes.options,  # pyright: ignore[reportFunctionMemberAccess]
        "actions": {"shape": list(actions.shape), "low": actions.low, "high": actions.high},
        "hidden": list(policy.hidden),
        "gaussian": policy.gaussian,
        "bound": policy.bound,
        "sight": dict(policy.observation),  # the name that the format has for it
    }
    if policy.bounds is not None:
        card["bounds"] = [[float(number) for number in bound] for bound in policy.bounds]
    if policy.certificate:
        card["certificate"] = {name: float(number) for name, number in policy.certificate.items()}
    header = {"format": "pt", "lowland": __version__, "class": "Policy", "kind": KIND, "card": json.dumps(card)}
    header |= {"content": fingerprint(header["card"], weights)} | dict(note or {})
    write_atomically(Path(path), save(weights, metadata=header))
    return Path(path)


def load_policy(path: str | Path, method: str = "") -> Policy:
    """A policy of `lowland run drive`, ready to drive, or of `lowland run plant`, ready to control.

        policy = ll.planning.load_policy("runs/drive/latest", "VG")
        env = gymnasium.make("lowland/TrafficReplay-v0", tracks="own.csv", **policy.observation)
        observation, info = env.reset(seed=0)
        observation, reward, ended, cut, info = env.step(policy.act(observation))

    A plant needs no options: `policy.act` takes its observation (D,) and returns the action in its own units.

    Args:
        path: of the file, of its folder, of the run, or of its `checkpoints`; `shipped` for the policies that come with
            the package.
        method: name of the policy, as on the page; needed if there are several.

    Raises:
        OptionError: where there is no policy of that method, or several and none is named.
        CheckpointError: if the file is missing, damaged or not a policy.

    >>> policy = load_policy("shipped", "MPUR z-dropout")
    >>> policy.observation
    {'every': 2, 'cars': 10}
    """
    path = _chosen(path, method)
    header = policy_header(path)
    if header.get("kind") != KIND:
        if header.get("class") == "Policy":
            raise CheckpointError(
                f"{path} holds the weights of a policy but not how it is built, as an earlier Lowland wrote it: "
                f"`lowland run drive --models {path.parent}`, with the options of that run, writes it anew."
            )
        raise CheckpointError(
            f"{path} is a safetensors file, but not a policy that `lowland run drive` or `plant` wrote."
        )
    try:
        with safe_open(path, framework="pt") as file:
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a dictionary
        if fingerprint(header["card"], weights) != header["content"]:
            raise CheckpointError(f"{path} is damaged: its content is not what was written. Use another copy.")
        policy = build_policy(json.loads(header["card"]), EYES)
        policy.to(next(iter(weights.values())).dtype).load_state_dict(weights)
    except CheckpointError:
        raise
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise CheckpointError(f"{path} is not a whole policy: {' '.join(str(error).split())}.") from None
    return policy.eval()


def policy_files(path: str | Path) -> dict[str, Path]:
    """The policy files in a run of `drive` or `plant`, by method; empty for another folder.

    A single `policy.safetensors`, with its card beside it, is called "policy".
    """
    path = SHIPPED if str(path) == "shipped" else Path(path)
    for folder in (path, path / "checkpoints", path / "latest" / "checkpoints"):
        if found := sorted(folder.glob(f"{PREFIX}*.safetensors")):
            return {file.stem.removeprefix(PREFIX): file for file in found}
    single = (folder / WEIGHTS for folder in (path, path / "policy", path / "latest" / "policy"))
    return {Path(WEIGHTS).stem: file for file in single if file.is_file()}


def policy_header(path: Path) -> dict[str, str]:
    """The header of a safetensors file.

    Raises:
        CheckpointError: if the file is missing, or not a safetensors file.
    """
    try:
        with safe_open(regular(path, CheckpointError), framework="pt") as file:
            return file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} is not a whole policy: {' '.join(str(error).split())}.") from None


def build_policy(card: Mapping[str, Any], eyes: Mapping[str, Any]) -> Policy:
    """The policy that a card describes, with random weights. Lists become tuples, which JSON does not have."""
    options, observation = (
        {name: tuple(value) if isinstance(value, list) else value for name, value in card[key].items()}
        for key in ("options", "sight")
    )
    looks, box = eyes[card["eyes"]](**options), card["actions"]
    actions = Box(*box["shape"], low=box["low"], high=box["high"])
    policy = Policy(looks, looks.size, actions, tuple(card["hidden"]), card["gaussian"], card["bound"])
    policy.observation = observation
    if "bounds" in card:
        policy.bounds = (card["bounds"][0], card["bounds"][1])
    policy.certificate = dict(card.get("certificate", {}))
    return policy


def _chosen(path: str | Path, method: str) -> Path:
    known = policy_files(path)
    if not known:
        if method or Path(path).is_dir():
            raise OptionError(
                f"There are no policies in {path}: name a run of `lowland run drive` or `plant`, its checkpoints, or "
                "'shipped'."
            )
        return Path(path)
    if not method and len(known) == 1:
        return next(iter(known.values()))
    if (name := method.replace(" ", "-")) not in known:
        asked = f"no policy {method!r}" if method else "more than one policy"
        raise OptionError(f"There is {asked} in {path}: name one as `method`. {nearest(name, known)}")
    return known[name]
