"""Digits: the printf of Python where that is plain, and one style for all."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from lowland.reports.digits import aligned, number


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (1.0, "1"),
        (0.5, "0.5"),
        (99.996, "100"),
        (1234.56, "1,235"),
        (-0.00123456, "−0.001235"),
        (5e-324, "4.94 × 10⁻³²⁴"),
        (1e-17, "1 × 10⁻¹⁷"),
        (2.5e12, "2.5 × 10¹²"),
        (-7, "−7"),
        (1_000_000, "1,000,000"),
        (True, "True"),
        ([1.0, None], "1"),
        ([1.0, 0.0], "1 ± 0"),
        ([12.345, 1.5], "12.3 ± 1.5"),
        ([0.09093, 7.24e-4], "0.09093 ± 0.00072"),
        ([0.98, 1.23e-5], "0.980000 ± 0.000012"),
        ([0.98, 1.23e-6], "0.98 ± 1.23 × 10⁻⁶"),
        ([-2e-5, 0.0213], "0.000 ± 0.021"),
        ([1234.5, 456.7], "1,234 ± 457"),
        ([3, 0.5], "3.00 ± 0.50"),
        ([1e-9, 2e-10], "(1.00 ± 0.20) × 10⁻⁹"),
        ([-4.2e-4, 1.1e-5], "(−4.20 ± 0.11) × 10⁻⁴"),
        ([2.5e12, 3e10], "(2.500 ± 0.030) × 10¹²"),
        ([5e-324, 5e-324], "4.94 × 10⁻³²⁴ ± 4.94 × 10⁻³²⁴"),
        ([math.inf, 1.0], "∞ ± 1"),
        ([None, 1.0], "– ± 1"),
    ],
)
def test_a_number(value: object, text: str) -> None:
    assert number(value) == text


def test_numbers_keep_their_value() -> None:
    generator = np.random.default_rng(0)
    for value in (generator.choice([-1, 1], 500) * 10 ** generator.uniform(-20, 15, 500)).tolist():
        text = number(value).replace("−", "-").replace(",", "")
        text = text.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789"))
        read = float(re.sub(r" × 10(.*)", r"e\1", text))
        # Three significant digits at the least, of which the last is rounded.
        assert math.isclose(read, value, rel_tol=5.01e-3)


def test_a_mean_and_its_deviation_have_one_form() -> None:
    """Read back, both are right to the last decimal shown, and the deviation has two digits."""
    generator = np.random.default_rng(1)
    for exponent in range(-12, 13):
        for share in (0.5, 0.05, 0.003):
            mean = float(generator.uniform(1, 9.9)) * 10.0**exponent
            text = number([mean, share * mean]).translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹−", "-0123456789-", ","))
            found = re.fullmatch(r"\(?([\d.]+) ± ([\d.]+)(?:\) × 10(-?\d+))?", text)
            assert found is not None, text
            assert len(found[1].partition(".")[2]) == len(found[2].partition(".")[2])
            power = 10.0 ** int(found[3] or 0)
            last = power * 10.0 ** -len(found[2].partition(".")[2])
            assert abs(float(found[1]) * power - mean) <= 0.501 * last
            assert abs(float(found[2]) * power - share * mean) <= 0.501 * last
            assert len(found[2].replace(".", "").lstrip("0")) >= 2


@pytest.mark.parametrize(
    ("cells", "texts"),
    [
        ([0.9989, 1.0, 0.4719], ["0.999", "1.000", "0.472"]),
        ([92.4, 91.0], ["92.4", "91.0"]),
        ([96.3, 0.0], ["96.3", "0.0"]),
        ([5.548, 8.869e-5], ["5.548", "8.87 × 10⁻⁵"]),
        ([1, None, 20], ["1", "–", "20"]),
        ([[81.3, 0.42], [7.0, 1.0]], ["81.30 ± 0.42", "7.00 ± 1.00"]),
        ([None, None], ["–", "–"]),
        ([], []),
    ],
)
def test_a_column_has_equal_decimals(cells: list[object], texts: list[str]) -> None:
    assert aligned(cells) == texts
