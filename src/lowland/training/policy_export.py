"""Exports a trained policy: safetensors with the code that loads it without Lowland, ONNX, or a program."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lowland.data.traffic import traffic
from lowland.envs.replay import Replay
from lowland.errors import OptionError, nearest
from lowland.files import write_atomically
from lowland.planning.policies import Policy
from lowland.planning.policy_files import EYES, KIND, PREFIX, build_policy, save_policy
from lowland.training.export import export_onnx, export_program
from lowland.training.source_of import source_of

FORMATS = ("onnx", "safetensors", "program")
_TOLERANCE = 5e-6
"""Tolerance on an action, relative to 1 + |action|, which is at most 2: so ONNX and torch agree to 1e-5."""


def export_policy(policy: Policy, method: str, to: str, folder: str | Path) -> list[Path]:
    """Write a policy for use outside Lowland.

    - "safetensors": `policy-METHOD.safetensors`, and beside it `policy.py`, which needs only torch, numpy and
      safetensors: `from policy import load; policy = load("policy-METHOD.safetensors")`.
    - "onnx": a graph from the policy's inputs, by name, to `output`, the actions (B, 2).
    - "program": the same for `torch.export.load`.

    Args:
        policy: as `lowland.planning.load_policy` returns it.
        method: name of the method that trained it, for the file name.
        to: one of the formats.
        folder: where the files go.

    Returns:
        the paths written.

    Raises:
        OptionError: for an unknown format, or if a package is missing that ONNX needs.
        CheckpointError: if the files cannot be written.
    """
    path = Path(folder) / f"{PREFIX}{method.replace(' ', '-')}"
    if to == "safetensors":
        code = path.with_name("policy.py")
        write_atomically(code, _code(type(policy.inputs)).encode())
        return [save_policy(policy, path.with_name(f"{path.name}.safetensors")), code]
    if to == "onnx":
        return [export_onnx(policy, example_states(policy), path.with_name(f"{path.name}.onnx"), _TOLERANCE)]
    if to == "program":
        return [export_program(policy, example_states(policy), path.with_name(f"{path.name}.pt2"))]
    raise OptionError(f"There is no format {to!r}. {nearest(to, FORMATS)}")


def example_states(policy: Policy, count: int = 2) -> dict[str, Tensor]:
    """Inputs of a driving policy at the start of some episodes, from the traffic that ships with the package.

    Raises:
        OptionError: if the policy does not name its inputs.
    """
    shapes: dict[str, Any] | None = getattr(policy.inputs, "shapes", None)
    if shapes is None or not policy.observation:
        raise OptionError("Only a policy of `lowland run drive`, loaded by load_policy, knows what it looks at.")
    replay = Replay(traffic("validation")[0], **policy.observation)
    state = replay.reset(torch.linspace(0, len(replay) - 1, count).long())
    return {name: state[name] for name in shapes}


_LOAD = '''
def load(path):
    """The trained policy. `policy.act(observation)` takes a Gymnasium observation and returns the action (2,), as a
    fraction of its bounds; `policy(state)` does it for a batch of tensors. `policy.observation` holds the options of
    an environment that gives such observations.
    """
    import json

    from safetensors import safe_open
    from safetensors.torch import load_file

    with safe_open(path, framework="pt") as file:
        header = file.metadata() or {{}}
    if header.get("kind") != "{kind}":
        raise ValueError(f"{{path}} does not hold a policy.")
    weights = load_file(path)
    policy = build_policy(json.loads(header["card"]), {{"{eyes}": {eyes}}})
    policy.to(next(iter(weights.values())).dtype).load_state_dict(weights)
    return policy.eval()
'''


def _code(eyes: type) -> str:
    assert EYES[eyes.__name__] is eyes
    head = (
        '"""A policy trained by Lowland. Needs only torch, numpy and safetensors.\n\n'
        "    from policy import load\n"
        f'    policy = load("{PREFIX}METHOD.safetensors")\n"""\n\n'
        "from __future__ import annotations\n\n"
    )
    return head + source_of(build_policy, eyes) + "\n" + _LOAD.format(kind=KIND, eyes=eyes.__name__)
