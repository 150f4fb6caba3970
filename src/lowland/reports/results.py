"""What a run measured: one number for each method, measure and seed. Claims, tables, sentences and pictures read it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lowland.errors import OptionError, nearest
from lowland.evaluation.verdict import Verdict, verdict, verdict_of_accuracies
from lowland.reports.plain import plain

Number = float | int | None


class Results:
    """A table of numbers, method × measure × seed.

    None stands for a seed whose method failed. Means are over the seeds that did not fail, and are None if all did.

    >>> results = Results()
    >>> results.add({"ours": {"error": 1.0}, "nothing": {"error": 4.0}})
    >>> results.add({"ours": {"error": 2.0}, "nothing": {"error": 5.0}})
    >>> results.mean("ours", "error"), results.each("nothing", "error"), results.best("error")
    (1.5, [4.0, 5.0], 'ours')
    >>> round(results.sd("ours", "error"), 4)
    0.7071
    """

    def __init__(self, values: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        self.values: dict[str, dict[str, Any]] = {name: dict(row) for name, row in (values or {}).items()}

    def add(self, rows: Mapping[str, Mapping[str, Any]]) -> None:
        """The numbers of one seed, {method: {measure: number}}.

        Raises:
            OptionError: if a value is not a number or None.
        """
        for method, row in rows.items():
            for measure, value in row.items():
                held = self.values.setdefault(method, {}).setdefault(measure, [])
                if not isinstance(held, list):
                    raise OptionError(f"{measure} of {method} has a summary already: no seed can be added to it.")
                held.append(_checked(value, method, measure))

    def set(self, method: str, measure: str, mean: Number, sd: Number = None, seeds: int = 1) -> None:
        """A mean with a standard deviation that is not over the numbers of seeds, such as one over test samples."""
        summary = {"mean": _checked(mean, method, measure), "sd": _checked(sd, method, measure), "seeds": int(seeds)}
        self.values.setdefault(method, {})[measure] = summary

    def has(self, method: str, measure: str) -> bool:
        """Whether the method has a number of that measure."""
        return measure in self.values.get(method, {})

    def methods(self, measure: str | None = None) -> list[str]:
        """All methods in the order in which they were added, or those that have a measure."""
        return [name for name, row in self.values.items() if measure is None or measure in row]

    def each(self, method: str, measure: str) -> list[float]:
        """One number for each seed that did not fail.

        Raises:
            OptionError: if nothing of that name was measured.
        """
        held = self._held(method, measure)
        if isinstance(held, list):
            return [value for value in held if value is not None]
        return [] if held["mean"] is None else [held["mean"]]

    def mean(self, method: str, measure: str) -> float | None:
        """The mean over seeds; the number itself for one seed."""
        values = self.each(method, measure)
        return values[0] if len(values) == 1 else statistics.fmean(values) if values else None

    def curve(self, method: str, measure: str, counts: Iterable[Any]) -> tuple[list[Any], list[float]]:
        """Means by a count that the names of measures or methods have in them, as a line for `lowland.plots.curves`.

        Args:
            method, measure: with `{}` in the place of the count.
            counts: such as steps or horizons.

        Returns:
            The counts and the means; NaN, which leaves a gap, where all seeds failed.

        >>> results = Results({"ours": {"error after 1": [4.0, 6.0], "error after 2": [None, None]}})
        >>> results.curve("ours", "error after {}", [1, 2])
        ([1, 2], [5.0, nan])
        """
        counts = list(counts)
        names = [(method.replace("{}", str(count)), measure.replace("{}", str(count))) for count in counts]
        means = [self.mean(*name) for name in names]
        return counts, [math.nan if mean is None else mean for mean in means]

    def sd(self, method: str, measure: str) -> float | None:
        """The standard deviation over seeds (divided by one less than their number); None for one seed, or with ∞."""
        held = self._held(method, measure)
        if not isinstance(held, list):
            return held["sd"]
        values = self.each(method, measure)
        return statistics.stdev(values) if len(values) > 1 and all(map(math.isfinite, values)) else None

    def seeds(self, method: str, measure: str) -> int:
        """How many seeds the mean is over."""
        held = self._held(method, measure)
        return held["seeds"] if not isinstance(held, list) else len(self.each(method, measure))

    def cell(self, method: str, measure: str, decimals: int = 3) -> Any:
        """For a table: the rounded mean, or (mean, standard deviation); None if nothing was measured.

        >>> Results({"ours": {"error": [1.0, 2.5]}, "nothing": {"error": [4.0004]}}).cell("ours", "error")
        (1.75, 1.061)
        """
        if not self.has(method, measure) or (mean := self.mean(method, measure)) is None:
            return None
        sd = self.sd(method, measure)
        return round(mean, decimals) if sd is None else (round(mean, decimals), round(sd, decimals))

    def best(self, measure: str, methods: Iterable[str] | None = None, most: bool = False) -> str:
        """The method with the least mean, or with the greatest."""
        means = {name: self.mean(name, measure) for name in (self.methods(measure) if methods is None else methods)}
        known = {name: value for name, value in means.items() if value is not None}
        if not known:
            raise OptionError(f"No method has a number of {measure!r}.")
        return (max if most else min)(known, key=known.__getitem__)

    def verdict(
        self, method: str, others: str | Sequence[str], measure: str, words: tuple[str, str] = ("higher", "lower")
    ) -> Verdict:
        """`lowland.evaluation.verdict` over paired seeds, against one method or, seed by seed, the least of several."""
        rivals = [self.each(name, measure) for name in ([others] if isinstance(others, str) else others)]
        return verdict(self.each(method, measure), [min(row) for row in zip(*rivals, strict=True)], tuple(words))  # pyright: ignore[reportArgumentType]  pages write pairs as lists

    def gains(self, methods: Iterable[str], rival: str, measure: str, samples: int) -> list[dict[str, Any]]:
        """Each method's accuracy less a rival's, largest first, with a word: [{"method", "points", "word"}].

        Words are "above", "below" or that it is too close to call: over paired seeds, or over the test samples if there
        is one seed (`verdict_of_accuracies`). A method is left out if it failed in all seeds.

        Args:
            methods, rival, measure: what to compare, with accuracies in percent.
            samples: test samples of each accuracy.

        >>> results = Results({"ours": {"accuracy": [90.0]}, "theirs": {"accuracy": [80.0]}})
        >>> results.gains(["ours"], "theirs", "accuracy", 300)
        [{'method': 'ours', 'points': 10.0, 'word': 'above'}]
        """
        found = []
        for name in methods:
            both = zip(self._held(name, measure), self._held(rival, measure), strict=True)
            if pairs := [(a / 100, b / 100) for a, b in both if None not in (a, b)]:
                ours, theirs = zip(*pairs, strict=True)
                gap, word = verdict_of_accuracies(ours, theirs, samples, ("above", "below"))
                found.append({"method": name, "points": round(100 * gap.value, 9), "word": word})
        return sorted(found, key=lambda one: -one["points"])

    def _held(self, method: str, measure: str) -> Any:
        row = self.values.get(method)
        if row is None:
            raise OptionError(f"The run measured no method {method!r}. {nearest(method, self.values)}")
        if measure not in row:
            raise OptionError(f"The run measured no {measure!r} of {method!r}. {nearest(measure, row)}")
        return row[measure]


def _checked(value: Any, method: str, measure: str) -> Number:
    value = plain(value)
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if value in ("inf", "-inf"):
        return float(value)
    raise OptionError(f"{measure} of {method} must be one number, but it is {repr(value)[:80]}.")
