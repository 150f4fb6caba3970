from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter

import pytest

from lowland.errors import OptionError
from lowland.systems import load_sources, load_systems, published

# How many rows each letter has, in the order of the list.
LETTERS = {
    "E": 7, "C": 3, "A": 4, "L": 3, "R": 1, "S": 15, "J": 7, "G": 6, "W": 11,
    "V": 14, "M": 11, "P": 5, "D": 5, "H": 5, "O": 3,
}  # fmt: skip
SECTIONS = [
    "Energy-based learning",
    "Sparse and regularised latent variables",
    "Joint embedding and self-supervision",
    "Adversarial and video prediction",
    "World models, planning, driving",
    "ConvNets and structured prediction",
    "Sequences, memory, reasoning",
    "Graphs, sparse 3-D, physics",
    "Scale",
    "Hardware",
    "Theory",
]


def test_every_row_is_there_once_and_in_order():
    expected = [f"{letter}{number}" for letter, count in LETTERS.items() for number in range(1, count + 1)]
    assert list(load_systems()) == expected
    assert len(expected) == 100


def test_ids_are_unique_in_the_file():
    from importlib import resources

    ids = re.findall(
        r'^id = "(.*)"$', resources.files("lowland").joinpath("systems/systems.toml").read_text("utf-8"), re.MULTILINE
    )
    assert [name for name, count in Counter(ids).items() if count > 1] == []
    assert ids == list(load_systems())


def test_sections_are_all_present_and_hold_together():
    assert list(dict.fromkeys(row.section for row in load_systems().values())) == SECTIONS
    assert {row.section for name, row in load_systems().items() if name[0] in "ECALR"} == {SECTIONS[0]}


def test_every_row_is_filled_in():
    sources = load_sources()
    for name, row in load_systems().items():
        assert re.fullmatch("[A-Z][1-9][0-9]?", row.id), name
        assert row.title, name
        assert not row.title.endswith("."), name
        assert row.what.endswith("."), name
        assert row.source, name
        assert set(row.source) <= set(sources), name


def test_published_figures_are_numbers_with_unit_and_source():
    for name, row in load_systems().items():
        for figure in row.published:
            assert isinstance(figure.figure, (int, float)), name
            assert not isinstance(figure.figure, bool), name
            assert figure.claim, name
            assert figure.unit, name
            assert figure.source, name
            assert isinstance(figure.checked, bool), name
        claims = Counter(figure.key for figure in row.published)
        assert max(claims.values(), default=1) == 1, name


def test_figures_known_to_be_right_are_right():
    rows = load_systems()

    def figure(name, claim, unit):
        return next(p.figure for p in rows[name].published if p.claim == claim and unit in p.unit)

    assert figure("V7", "ConvNet", "error") == 5.8
    assert figure("M10", "beam 50, integration", "correct") == 99.6
    assert figure("G4", "4 to 1 frames, adversarial + gradient difference, first frame", "PSNR") == 27.2
    assert figure("W8", "MPUR stochastic, latent dropout", "success") == 74.8
    assert figure("J7", "SIGReg", "linear probe") == 91.02


def test_a_figure_of_second_hand_is_never_given():
    for name, row in load_systems().items():
        for figure in row.published:
            told = published(name, figure.key)
            assert (told is None) is not figure.checked, (name, figure)
    with pytest.raises(OptionError, match=r"no published figure 'humans'.*Did you mean 'human"):
        published("W8", "humans")


def test_admm_eigenvalues_follow_from_the_update():
    """D4 from its definition: on F(x) = ½x² one round in which each worker in turn updates multiplier, x and centre."""
    import numpy as np

    def largest(workers: int, step: float, spring: float) -> float:
        size = 2 * workers + 1
        centre = 2 * workers
        round_ = np.eye(size)
        for worker in range(workers):
            multiplier, own = 2 * worker, 2 * worker + 1
            first, second, third = np.eye(size), np.eye(size), np.eye(size)
            first[multiplier, [own, centre]] = -1, 1
            second[own] = 0
            second[own, own] = (1 - step) / (1 + step * spring)
            second[own, [multiplier, centre]] = step * spring / (1 + step * spring)
            third[centre] = 0
            third[centre, 0:centre:2], third[centre, 1:centre:2] = -1 / workers, 1 / workers
            round_ = third @ second @ first @ round_
        return float(np.abs(np.linalg.eigvals(round_)).max())

    figures = [figure.figure for figure in load_systems()["D4"].published]
    # Published to five and to four decimals.
    assert abs(largest(3, 0.001, 2.5) - figures[0]) < 0.5e-5
    assert abs(largest(8, 0.001, 2.5) - figures[1]) < 0.5e-4


def test_reading_the_rows_imports_nothing_heavy():
    code = (
        "import sys, lowland.systems; lowland.systems.load_systems(); print(*({'torch', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
