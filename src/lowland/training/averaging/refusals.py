"""Why a centre refused a worker, as a sentence."""

from __future__ import annotations

from lowland.training.averaging import wire
from lowland.training.averaging.rules import Rule
from lowland.training.averaging.wire import Header


def refusal(address: str, rule: Rule, asked: Header, reply: Header, said: dict[str, str]) -> str:
    """What was wrong, and what to do.

    Args:
        address: of the centre.
        rule: of the worker.
        asked: what the worker said.
        reply: what the centre answered.
        said: what the centre says of itself in its store.
    """
    centre = f"The centre at {address}"
    if reply.flag == wire.ODD_VERSION:
        return (
            f"{centre} speaks version {reply.version} of the protocol, but this worker version {asked.version}: use "
            "the same version of Lowland on both sides."
        )
    if reply.flag == wire.ODD_SIZE:
        return (
            f"{centre} holds a model of {reply.numbers:,} numbers, but this one has {asked.numbers:,}: link a model "
            "like that of the other workers, or start a centre with another run."
        )
    if reply.flag == wire.ODD_DTYPE:
        return (
            f"{centre} holds numbers of {wire.dtype_name(reply.dtype)}, but this model has "
            f"{wire.dtype_name(asked.dtype)}: convert the model with model.to."
        )
    if reply.flag == wire.ODD_RULE:
        return f"{centre} has the rule {said.get('rule', '?')}, but this worker {rule}: give both the same."
    if reply.flag == wire.ODD_RUN:
        return (
            f"{centre} belongs to another run than the one that this worker has lost: give the address of the right "
            "one, or start the worker again to join this one."
        )
    if reply.flag == wire.ODD_SHARD:
        return (
            f"{centre} is shard {reply.shard} of {reply.shards}, but was given as shard {asked.shard} of "
            f"{asked.shards}: give the addresses of all shards in their order."
        )
    return (
        f"{centre} refused the numbers of this worker after {asked.steps:,} steps, since some are NaN, infinite or "
        "nearly so: lower the learning rate. The centre itself goes on."
    )
