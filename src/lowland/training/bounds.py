"""Bounds of options that are numbers, as annotations of the fields of a dataclass."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

from lowland.errors import OptionError, check_number


@dataclasses.dataclass(frozen=True)
class Bound:
    """The bounds of an option that is a number, or several: `steps: Annotated[int, Bound(least=1)] = 100`.

    Args:
        least: the smallest value.
        above, below: bounds that it may not reach.
        most: the largest value.
    """

    least: float | None = None
    above: float | None = None
    below: float | None = None
    most: float | None = None

    @property
    def text(self) -> str:
        """The bounds in words.

        >>> Bound(least=0, most=1).text
        'at least 0, at most 1'
        """
        limits = {"at least": self.least, "above": self.above, "below": self.below, "at most": self.most}
        return ", ".join(f"{word} {limit:g}" for word, limit in limits.items() if limit is not None)

    def check(self, name: str, value: Any, whole: bool) -> None:
        """Raise an OptionError that names the option and its bounds, unless the value is within them."""
        for number in value if isinstance(value, tuple | list) else (value,):
            check_number(name, number, self.least, self.above, self.below, whole)
            if self.most is not None and number > self.most:
                raise OptionError(f"{name} must be at most {self.most:g}, but it is {number:g}.")


Count = Annotated[int, Bound(least=1)]
Positive = Annotated[float, Bound(above=0)]
NotNegative = Annotated[float, Bound(least=0)]
Share = Annotated[float, Bound(least=0, most=1)]
