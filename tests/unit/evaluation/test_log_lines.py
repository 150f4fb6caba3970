"""Planted faults, average precision, rivals, and the choice of a score."""

from __future__ import annotations

import pytest

from lowland.data.simulated_log import LabelledLog, simulated_log
from lowland.errors import DataError
from lowland.evaluation.log_lines import (
    BIGRAM,
    NOTHING,
    OURS,
    PLANTED,
    TFIDF,
    average_precision,
    choose_ways,
    found_row,
    judge,
    plant,
    rivals,
)
from lowland.training.line_scoring import LineScorer
from lowland.training.log_lines import LineTraining, line_energy, vocabulary_of


def test_planted_lines_differ_and_the_others_do_not() -> None:
    lines = simulated_log(300, 0).texts
    log = plant(lines, 0.2, seed=1)
    assert {kind for kind in log.kinds if kind} == set(PLANTED)
    assert log == plant(lines, 0.2, seed=1)
    for before, after, kind in zip(lines, log.texts, log.kinds, strict=True):
        assert (before != after) == (kind != "")
    short = plant(["ok"] * 100, 0.1, seed=0)
    assert {kind for kind in short.kinds if kind} == {"corrupted"}


def test_other_spaces_alone_are_no_fault() -> None:
    lines = ["INFO    started", "WARN    stopped"] * 100
    log = plant(lines, 0.5, seed=0)
    for before, after, kind in zip(lines, log.texts, log.kinds, strict=True):
        assert not kind or before.split() != after.split()


def test_a_new_word_is_far_from_all_normal_lines() -> None:
    scores = rivals(["opened session", "closed session"] * 20, ["opened session", "opened sesame"])[TFIDF]
    assert scores[0] == 0
    assert scores[1] > 0.3


def test_average_precision_needs_both() -> None:
    assert average_precision([0.0, 0.0, 0.0, 0.0], [True, False, False, False]) == 0.25
    for faulty in ([True], [False]):
        with pytest.raises(DataError, match="both"):
            average_precision([1.0], faulty)


def test_each_kind_is_measured_among_normal_lines() -> None:
    row = found_row([0.0, 3.0, 2.0, 1.0], ["", "a", "", "b"])
    assert row == {"AUC": 0.75, "average precision": pytest.approx(5 / 6), "a": 1.0, "b": 0.5}


def test_rivals_find_a_line_that_is_new() -> None:
    train = ["open door one", "shut door two", "open gate two"] * 20
    found = rivals(train, ["open door one", "open window three"])
    assert found[TFIDF][0] == pytest.approx(0, abs=1e-9)
    assert found[TFIDF][1] > 0.1
    assert found[BIGRAM][0] < found[BIGRAM][1]


def test_a_scorer_is_judged_on_lines_that_it_was_not_chosen_on() -> None:
    train = simulated_log(400, 0).texts
    words = vocabulary_of(train)
    energy = line_energy(words, train, 2, 16)
    LineTraining(energy, words, train, 60, 1e-2).fit()
    scorer = LineScorer(energy.network, words, {})
    validation, test = simulated_log(150, 1, 0.2, 0), simulated_log(150, 2, 0.2, 1)
    found = judge(scorer, train, validation, test, alarms=0.05)
    assert next(iter(found.rows)) == OURS
    assert list(found.rows)[-1] == NOTHING
    assert found.rows[OURS]["AUC"] > 0.7 > found.rows[NOTHING]["AUC"] == 0.5
    assert found.rows[NOTHING]["caught"] == 0
    assert len(found.choices) == 78
    assert len(scorer.ways) in (1, 2)
    # A twentieth of the normal validation lines is above the least score.
    normal = [k for k, kind in enumerate(validation.kinds) if not kind]
    scores = scorer.combined(scorer.values(validation.texts))
    assert sum(scores[row] >= found.least for row in normal) <= 0.05 * len(normal)
    assert found.choices == choose_ways(scorer, LabelledLog(*validation))
