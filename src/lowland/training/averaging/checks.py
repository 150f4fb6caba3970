"""What links and centres check before they begin, and how a rule and a shard are told apart."""

from __future__ import annotations

import itertools

from torch import distributed

from lowland.errors import OptionError, ShapeError, UnsupportedError, check_instance
from lowland.files import fingerprint
from lowland.training.averaging.rules import Rule

_ALIGN = 64
"""Numbers. Vector instructions may round the last few numbers of a tensor in another way: no shard ends among them."""


def parse_address(text: str) -> tuple[str, int]:
    """Host and port.

    >>> parse_address("127.0.0.1:29600"), parse_address("[::1]:80")
    (('127.0.0.1', 29600), ('::1', 80))
    >>> parse_address("29600")
    Traceback (most recent call last):
    lowland.errors.OptionError: The address of a centre is HOST:PORT, such as 127.0.0.1:29600, but it is '29600'.

    Raises:
        OptionError: if it is no host:port.
    """
    host, colon, port = text.rpartition(":") if isinstance(text, str) else ("", "", "")
    if not (colon and host and port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
        raise OptionError(f"The address of a centre is HOST:PORT, such as 127.0.0.1:29600, but it is {text!r}.")
    return host.removeprefix("[").removesuffix("]"), int(port)


def rule_code(rule: Rule) -> int:
    """A number that differs where the class of a rule or one of its parameters does."""
    kept = {name: float(value) if isinstance(value, int) else value for name, value in vars(rule).items()}
    return int(fingerprint(type(rule).__qualname__, kept)[:15], 16)


def check_rule(rule: Rule) -> None:
    """Raise an error unless workers and a centre can train by this rule, on this machine.

    Raises:
        OptionError: if it is no rule.
        UnsupportedError: if it is one for analysis only, or this build of torch lacks Gloo.
    """
    if not (distributed.is_available() and distributed.is_gloo_available()):
        raise UnsupportedError(
            "This build of torch comes without Gloo, by which workers and a centre talk: install another."
        )
    check_instance(rule, Rule, "The rule")
    if type(rule).message is Rule.message or type(rule).meet is Rule.meet or type(rule).take is Rule.take:
        raise UnsupportedError(
            f"{type(rule).__name__} is for analysis only, since its centre needs all workers at once: train by "
            "Elastic, Downpour or Outer."
        )


def span(numbers: int, shard: int, shards: int) -> slice:
    """The numbers of shard k of n.

    Raises:
        ShapeError: if a shard would have none.
    """
    edges = [number * numbers // shards // _ALIGN * _ALIGN for number in range(shards)] + [numbers]
    if min(b - a for a, b in itertools.pairwise(edges)) < 1:
        raise ShapeError(f"A model of {numbers:,} numbers is too small for {shards} shards of a centre: use fewer.")
    return slice(edges[shard], edges[shard + 1])
