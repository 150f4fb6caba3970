"""Measures of energies as classifiers, against what the outputs of the network say."""

from __future__ import annotations

import dataclasses

import pytest
import torch

import lowland as ll
from lowland.data import digits
from lowland.energies import Classifier
from lowland.errors import OptionError, UnsupportedError
from lowland.evaluation.classification import (
    answer_energies,
    answer_slopes,
    classification_baselines,
    confusion_counts,
    fit_by_validation,
    inferred_accuracy,
    inputs_and_answers,
    margin,
)


def linear() -> Classifier:
    return Classifier(64, 10, hidden=(), generator=torch.Generator().manual_seed(0))


def test_energies_of_all_answers_are_those_of_the_energy() -> None:
    energy = linear()
    x, y = inputs_and_answers(energy, digits(), "test")
    table = answer_energies(energy, x)
    torch.testing.assert_close((table * y).sum(dim=1), energy(x=x, y=y))
    assert inferred_accuracy(energy, x, y) == pytest.approx(
        float((table.argmin(dim=1) == y.argmax(dim=1)).double().mean())
    )
    with pytest.raises(UnsupportedError, match="no table"):
        answer_energies(ll.energies.Gaussian(2), torch.zeros(1, 2))


def test_a_margin_is_negative_exactly_where_the_answer_is_wrong() -> None:
    energy = linear()
    x, _ = inputs_and_answers(energy, digits(), "test")
    table, labels = answer_energies(energy, x), digits().test_labels
    assert torch.equal(margin(table, labels) > 0, table.argmin(dim=1) == labels)


def test_counts_add_up() -> None:
    labels, answers = torch.tensor([0, 0, 2, 1, 2]), torch.tensor([0, 1, 2, 1, 0])
    counts = confusion_counts(labels, answers, 4)
    assert counts.tolist() == [[1, 1, 0, 0], [0, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]]


def test_the_slope_of_a_linear_classifier_is_its_weight() -> None:
    energy = linear()
    torch.testing.assert_close(answer_slopes(energy, torch.rand(5, 64)), energy.network[0].weight.detach())


def test_the_kept_weights_are_those_of_the_best_number_of_steps() -> None:
    energy, data = linear(), digits()
    errors = fit_by_validation(energy, data, ll.shaping.MaximumLikelihood(), (2, 10, 40))
    assert list(errors) == [2, 10, 40]
    best = min(errors, key=errors.__getitem__)
    alone = linear()
    train = inputs_and_answers(alone, data, "train")
    ll.fit(alone, train, ll.shaping.MaximumLikelihood(), max_steps=best, batch_size=128, validation=0.0)
    assert torch.equal(energy.network[0].weight, alone.network[0].weight)
    assert 1 - inferred_accuracy(energy, *inputs_and_answers(energy, data, "validation")) == errors[best]
    with pytest.raises(OptionError, match="rising"):
        fit_by_validation(energy, data, ll.shaping.MaximumLikelihood(), ())


def test_baselines_are_chosen_among_strengths() -> None:
    data = digits()
    small = dataclasses.replace(data, train=data.train[:300], train_labels=data.train_labels[:300])
    found = classification_baselines(small, (0.01, 1.0))
    assert found["most frequent class"]["test"] < 0.2
    assert 0.85 < found["logistic regression"]["test"] < 1
    assert found["logistic regression"] != classification_baselines(small, (1e-6,))["logistic regression"]
