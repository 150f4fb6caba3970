"""Numbers of a page, in one style: four significant digits, a true minus, powers of ten, columns of equal decimals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_LEAST, _MOST = 1e-3, 1e9
"""Between these sizes a number is written without a power of ten."""


def number(value: Any) -> str:
    """A number as text: four significant digits; (mean, standard deviation) with two digits of the latter.

    >>> number(0.98765432), number([0.9, 0.0123]), number(None), number(12345), number(-1.24e-9)
    ('0.9877', '0.900 ± 0.012', '–', '12,345', '−1.24 × 10⁻⁹')
    >>> number([0.09093, 7.24e-4]), number([-1.24e-9, 2e-10])
    ('0.09093 ± 0.00072', '(−1.24 ± 0.20) × 10⁻⁹')
    """
    if value is None or value == "":
        return "–"
    if isinstance(value, list):
        mean, deviation = value
        return number(mean) if deviation is None else _spread(mean, deviation)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}".replace("-", "−")
    if value != 0 and not _sizable(value):
        return _scientific(value)
    # Four digits, and no zeros at their end.
    text = _fixed(value, _clipped(3 - _magnitude(value)) if value else 0)
    return text.rstrip("0").rstrip(".") if "." in text else text


def aligned(cells: Sequence[Any]) -> list[str]:
    """The cells of a column with equal decimals, where that leaves none of its numbers without two digits.

    >>> aligned([96.3, 81.333, None]), aligned([[0.99, 0.001], [0.5, 0.1]])
    (['96.30', '81.33', '–'], ['0.990 ± 0.001', '0.500 ± 0.100'])
    >>> aligned([43.77, 0.00029]), aligned([3, 200])
    (['43.77', '2.9 × 10⁻⁴'], ['3', '200'])
    """
    means, deviations = _floats(cells, 0), _floats(cells, 1)
    every = [size for size in means + deviations if size]
    if not means or not every or not all(_sizable(size) for size in every):
        return [number(cell) for cell in cells]
    exact = next((few for few in range(6) if all(round(size, few) == size for size in every)), 6)
    decimals = min(exact, _clipped(3 - _magnitude(max(means) or max(every))) + bool(deviations))
    if min(every) < 10.0 ** (1 - decimals) and any(round(size, decimals) != size for size in every):
        return [number(cell) for cell in cells]
    return [_cell(cell, decimals) for cell in cells]


def _cell(cell: Any, decimals: int) -> str:
    if isinstance(cell, list):
        mean, deviation = cell
        return _cell(mean, decimals) if deviation is None else f"{_cell(mean, decimals)} ± {_cell(deviation, decimals)}"
    return _fixed(cell, decimals) if isinstance(cell, float) else number(cell)


def _floats(cells: Sequence[Any], place: int) -> list[float]:
    """Sizes of the numbers with a fraction in a column, or of their deviations."""
    parts = [(cell if isinstance(cell, list) else [cell, None])[place] for cell in cells]
    return [abs(part) for part in parts if isinstance(part, float)]


def _spread(mean: Any, deviation: Any) -> str:
    """Mean ± deviation with the same decimals and, where neither is of a usual size, one power of ten for both."""
    apart = f"{number(mean)} ± {number(deviation)}"
    if not deviation or not all(isinstance(part, (int, float)) and math.isfinite(part) for part in (mean, deviation)):
        return apart
    size = max(abs(mean), abs(deviation))
    power = 0 if _sizable(size) else _magnitude(size)
    decimals = power + 1 - _magnitude(deviation)
    if decimals > 6 or abs(power) > 300:
        return apart  # a row of zeros, or a power that is no number
    both = " ± ".join(_fixed(part / 10.0**power, max(decimals, 0)) for part in (mean, deviation))
    return f"({both}) × {_ten(power)}" if power else both


def _ten(power: int) -> str:
    return f"10{str(power).translate(_RAISED)}"


def _fixed(value: float, decimals: int) -> str:
    text = f"{value:,.{decimals}f}"
    return (text[1:] if float(text.replace(",", "")) == 0 and text[0] == "-" else text).replace("-", "−")


def _scientific(value: float) -> str:
    if not math.isfinite(value):
        return str(value).replace("-", "−").replace("inf", "∞").replace("nan", "–")
    digits, power = f"{value:.3g}".split("e") if "e" in f"{value:.3g}" else f"{value:.2e}".split("e")
    digits = digits.rstrip("0").rstrip(".") if "." in digits else digits
    return f"{digits} × {_ten(int(power))}".replace("-", "−")


def _sizable(value: Any) -> bool:
    return isinstance(value, (int, float)) and (value == 0 or _LEAST <= abs(value) < _MOST)


def _magnitude(value: float) -> int:
    return math.floor(math.log10(abs(value))) if value else 0


def _clipped(decimals: int) -> int:
    return min(max(decimals, 0), 6)
