"""Writes a trained policy for use elsewhere: safetensors with a card and the code that loads it, ONNX, or a program."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lowland.data.gym_log import GymLog
from lowland.data.traffic import traffic
from lowland.envs.replay import Replay
from lowland.errors import OptionError, nearest
from lowland.files import write_atomically
from lowland.nn.vector_eyes import VectorEyes
from lowland.planning.policies import Policy
from lowland.planning.policy_files import EYES, KIND, PREFIX, WEIGHTS, build_policy, save_policy
from lowland.training.export import export_onnx, export_program
from lowland.training.source_of import source_of

FORMATS = ("onnx", "safetensors", "program")
CERTIFICATE = {
    "promised": "what the model in which it was trained promises",
    "held out": "what a model of held-out episodes promises for it",
    "predicted": "cost of a step that its model predicts",
    "realised": "what it reached in the plant, or in held-out traffic",
    "success": "% of held-out episodes",
    "behaviour": "what the log's own behaviour reached",
    "sensitivity": "error of the model with actions of other steps / with the true ones: at 1 it is blind to them",
    "distance": "largest distance of an observation of the log from its mean, in deviations",
}
"""What `Policy.certificate` may hold, by name; other names are shown as they are."""
_TOLERANCE = 5e-6
"""Tolerance on an action, relative to 1 + |action|, which is at most 2: so ONNX and torch agree to 1e-5."""


def export_policy(policy: Policy, method: str, to: str, folder: str | Path) -> list[Path]:
    """Write a policy for use outside Lowland.

    - "safetensors": `policy-METHOD.safetensors`, and beside it `policy.py`, which needs only torch, numpy and
      safetensors: `from policy import load; policy = load("policy-METHOD.safetensors")`.
    - "onnx": a graph from the policy's inputs, by name, to `output`, the actions (B, A), in the units of the plant if
      the policy has `bounds`.
    - "program": the same for `torch.export.load`.

    Args:
        policy: as `lowland.planning.load_policy` returns it.
        method: name of the method that trained it, for the file name; "policy" for `policy.safetensors`.
        to: one of the formats.
        folder: where the files go.

    Returns:
        the paths written.

    Raises:
        OptionError: for an unknown format, or if a package is missing that ONNX needs.
        CheckpointError: if the files cannot be written.
    """
    name = method.replace(" ", "-")
    path = Path(folder) / ("policy" if name == "policy" else f"{PREFIX}{name}")
    if to == "safetensors":
        code = _write_code(policy, path.parent, WEIGHTS if path.name == "policy" else f"{PREFIX}METHOD.safetensors")
        return [save_policy(policy, path.with_name(f"{path.name}.safetensors")), code]
    if to == "onnx":
        states = example_states(policy)
        return [export_onnx(InUnits(policy), states, path.with_name(f"{path.name}.onnx"), _TOLERANCE, list(states))]
    if to == "program":
        return [export_program(InUnits(policy), example_states(policy), path.with_name(f"{path.name}.pt2"))]
    raise OptionError(f"There is no format {to!r}. {nearest(to, FORMATS)}")


def write_policy(policy: Policy, folder: str | Path, facts: Mapping[str, str]) -> Path:
    """Write `policy.safetensors`, the code `policy.py` and the card `README.md`; returns the path of the weights.

    Args:
        policy: see `save_policy`; its `certificate` goes into the card.
        folder: where the three files go.
        facts: lines of the card, such as {"learned from": "20,000 steps of my.npz"}; kept in the file's header too.

    Raises:
        CheckpointError, UnsupportedError: see `save_policy`.

    >>> import tempfile
    >>> from lowland.domains import Box
    >>> from lowland.planning.policy_files import load_policy
    >>> policy = Policy(VectorEyes(3), 3, Box(1, low=-1.0, high=1.0), hidden=(8,))
    >>> policy.bounds, policy.certificate = ([-2.0], [2.0]), {"promised": 90.0, "held out": 84.0}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = write_policy(policy, folder, {"learned from": "pendulum.npz"})
    ...     print(path.name, load_policy(folder).certificate)
    policy.safetensors {'promised': 90.0, 'held out': 84.0}
    """
    folder = Path(folder)
    weights = save_policy(policy, folder / WEIGHTS, {"facts": json.dumps(dict(facts))})
    _write_code(policy, folder, WEIGHTS)
    write_atomically(folder / "README.md", policy_card(policy, facts).encode())
    return weights


def log_certificate(policy: Policy, log: GymLog, steps: int) -> dict[str, float]:
    """What a log alone says of a policy, for `Policy.certificate`.

    Args:
        policy: looks through `VectorEyes`.
        log: it was learned from, with rewards.
        steps: T of the returns in the certificate.

    Returns:
        "behaviour", the mean return of the first T steps of an episode, and "distance", the largest in the log.

    >>> from lowland.domains import Box
    >>> path = {"observation": torch.tensor([[0.0], [-3.0], [1.0]]), "reward": torch.tensor([0.0, 4.0, 7.0])}
    >>> policy = Policy(VectorEyes(1), 1, Box(1, low=-1.0, high=1.0))
    >>> log_certificate(policy, GymLog((path,), None, None, "mine"), steps=1)
    {'behaviour': 4.0, 'distance': 3.0}
    """
    assert isinstance(policy.inputs, VectorEyes)
    early = [float(path["reward"][1 : steps + 1].sum()) for path in log.paths]
    far = [float(policy.inputs.distance(path).max()) for path in log.paths]
    return {"behaviour": sum(early) / len(early), "distance": max(far)}


def usage(policy: Policy) -> str:
    """Python code that loads the policy and asks it for an action, run in the folder of its files."""
    if isinstance(policy.inputs, VectorEyes):
        size, count = policy.inputs.size, policy.actions.size
        what = f"({size},) or (B, {size}) → ({count},) or (B, {count})"
        what += ", in the units of the plant" if policy.bounds is not None else ", fractions from −1 to 1"
    else:
        what = "of an environment made with **policy.observation → fractions from −1 to 1"
    return f'from policy import load\n\npolicy = load("{WEIGHTS}")\naction = policy.act(observation)  # {what}'


def policy_card(policy: Policy, facts: Mapping[str, str]) -> str:
    """The card as Markdown; see `write_policy`."""
    looks = ", ".join(f"{name} {shape}" for name, shape in getattr(policy.inputs, "shapes", {}).items())
    lines = {"looks at": looks, "network": f"{' × '.join(map(str, policy.hidden))} units"}
    if policy.bounds is not None:
        parts = (f"{low:g} to {high:g}" for low, high in zip(*policy.bounds, strict=True))
        lines["actions"] = "; ".join(parts) + ", in the units of the plant"
    lines |= {"parameters": f"{sum(part.numel() for part in policy.parameters()):,}"} | dict(facts)
    measured = [f"| {name} | {value:.4g} | {CERTIFICATE.get(name, '')} |" for name, value in policy.certificate.items()]
    return _CARD.format(
        usage=usage(policy),
        facts="\n".join(f"| {name} | {text} |" for name, text in lines.items()),
        measured="\n".join(measured or ["| nothing was measured | | |"]),
    )


_CARD = """# A policy

Learned by Lowland from a log, through a model of it.

```python
{usage}
```

`policy.py` needs torch, numpy and safetensors.

| | |
|---|---|
{facts}

## Measured

| | | |
|---|---|---|
{measured}

## Limits

A promise is made by a model, and a model errs most where the log has nothing. Where the promise of held-out data is \
the same, the policy exploits no error that chance put into one model. Models of one log may still be wrong in the \
same way, and only the plant shows that: begin where the log is dense, with a limit on actions and a way to stop.
"""


def example_states(policy: Policy, count: int = 2) -> dict[str, Tensor]:
    """Inputs of a policy.

    For driving they are those at the start of some episodes of the traffic that ships with the package, for a plant
    draws of a Gaussian with the mean and deviation of its log.

    Raises:
        OptionError: if the policy does not name its inputs.
    """
    if isinstance(eyes := policy.inputs, VectorEyes):
        noise = torch.randn(count, eyes.size, generator=torch.Generator().manual_seed(0))
        return {"observation": eyes.mean + eyes.deviation * noise.to(eyes.mean)}
    shapes: dict[str, Any] | None = getattr(policy.inputs, "shapes", None)
    if shapes is None or not policy.observation:
        raise OptionError("Only a policy that load_policy read knows what it looks at.")
    replay = Replay(traffic("validation")[0], **policy.observation)
    state = replay.reset(torch.linspace(0, len(replay) - 1, count).long())
    return {name: state[name] for name in shapes}


class InUnits(nn.Module):
    """A policy as `act` computes it, for a batch of tensors."""

    def __init__(self, policy: Policy) -> None:
        super().__init__()
        self.policy = policy

    def forward(self, state: dict[str, Tensor]) -> Tensor:
        return self.policy.in_units(self.policy(state))


_LOAD = '''
def load(path):
    """The trained policy. `policy.act(observation)` takes an observation of Gymnasium and returns the action: in the
    units of the plant if `policy.bounds` has them, otherwise as a fraction of its bounds. `policy(state)` returns
    fractions for a batch of tensors. `policy.observation` holds the options of an environment that gives such
    observations, and `policy.certificate` what was measured.
    """
    import json

    from safetensors import safe_open
    from safetensors.torch import load_file

    with safe_open(path, framework="pt") as file:
        header = file.metadata() or {{}}
    if header.get("kind") != "{kind}":
        raise ValueError(f"{{path}} does not hold a policy.")
    weights = load_file(path)
    card = json.loads(header["card"])
    if card["eyes"] != "{eyes}":
        raise ValueError(f"{{path}} looks through {{card['eyes']}}: use the policy.py that was written beside it.")
    policy = build_policy(card, {{"{eyes}": {eyes}}})
    policy.to(next(iter(weights.values())).dtype).load_state_dict(weights)
    return policy.eval()
'''


def _write_code(policy: Policy, folder: Path, file: str) -> Path:
    eyes = type(policy.inputs)
    assert EYES[eyes.__name__] is eyes
    head = (
        '"""A policy trained by Lowland. Needs only torch, numpy and safetensors.\n\n'
        "    from policy import load\n"
        f'    policy = load("{file}")\n"""\n\n'
        "from __future__ import annotations\n\n"
    )
    code = head + source_of(build_policy, eyes) + "\n" + _LOAD.format(kind=KIND, eyes=eyes.__name__)
    write_atomically(folder / "policy.py", code.encode())
    return folder / "policy.py"
