"""Whether pretraining helped: a verdict needs evidence, and windows of one file are not independent."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import binomtest

from lowland.evaluation.pretrained import RAW, SUPERVISED, TRAINED, UNTRAINED, gains, helped


@pytest.mark.parametrize(
    ("ahead", "behind", "answer"),
    [
        (1, 0, None),
        (5, 0, None),
        (6, 0, True),
        (0, 6, False),
        (9, 5, None),
    ],
)
def test_a_verdict_needs_evidence(ahead: int, behind: int, answer: bool | None) -> None:
    """On 75 images, of which the classifiers disagree on few: yes only where the exact sign test says so.

    Of m that all speak for one side the chance is 2 · ½ᵐ: 0.063 for five and 0.031 for six.
    """
    own, other = torch.zeros(75), torch.zeros(75)
    own[:ahead], other[ahead : ahead + behind] = 1, 1
    found = gains({TRAINED: own, UNTRAINED: other, RAW: other, SUPERVISED: other}, [str(n) for n in range(75)])
    assert helped(found) is answer
    differ = ahead + behind
    exact = binomtest(ahead, differ).proportion_ci(0.95, "exact")
    for verdict in found.values():
        assert verdict.difference.value == pytest.approx((ahead - behind) / 75)
        assert verdict.difference.low == pytest.approx((2 * exact.low - 1) * differ / 75)
        assert verdict.difference.high == pytest.approx((2 * exact.high - 1) * differ / 75)


def test_windows_of_one_file_count_as_one() -> None:
    """Thirty windows of three files, all for one side, are three files for it."""
    right = {TRAINED: torch.ones(30), RAW: torch.zeros(30)}
    owners = [str(number // 10) for number in range(30)]
    assert gains(right, owners)[RAW].close
    assert not gains(right, [str(number) for number in range(30)])[RAW].close
