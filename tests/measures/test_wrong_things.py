"""Measures of the wrong thing: each says what it was given, before it runs a step."""

import importlib

import numpy as np
import pytest

import tfnca
from tfnca.defence import watch
from tfnca.measures import digits as of_digits
from tfnca.measures import lizard as of_lizards
from tfnca.measures import protocol, sweep
from tfnca.placement.influence import influence_maps
from tfnca.placement.study import study_placement

GROWING, DIGIT_CA = tfnca.GrowingCA(hidden=4), tfnca.MNISTCA(hidden=4)
STEPS = {
    "a Growing CA": GROWING,
    "an MNIST CA": DIGIT_CA,
    "an injected Growing CA": tfnca.Injected(GROWING, GROWING),
    "an injected MNIST CA": tfnca.Injected(DIGIT_CA, DIGIT_CA),
    "a verified MNIST CA": tfnca.Verified(DIGIT_CA, DIGIT_CA),
    "a perturbed Growing CA": tfnca.Perturbed(GROWING),
    "a perturbation": tfnca.MatrixPerturbation(),
    "a name": "mnist",
}
TARGET = tfnca.pad_target(tfnca.load_target("lizard", 8), 2)
STATE = tfnca.seed_state(12)
DIGITS = tfnca.load_digits("test", count=2, source="sample")
INJECTED_DIGITS = {"an injected MNIST CA", "a verified MNIST CA"}
ALL_GROWING = {"a Growing CA", "an injected Growing CA", "a perturbed Growing CA"}

MEASURES = {
    "base_digits": (lambda s: of_digits.base_digits(s, DIGITS, (0,)), {"an MNIST CA"}),
    "attack_digits": (lambda s: of_digits.attack_digits(s, DIGITS), INJECTED_DIGITS),
    "measure_digits": (
        lambda s: of_digits.measure_digits(s, DIGITS, [(1, None)]),
        {"an MNIST CA", *INJECTED_DIGITS},
    ),
    "sweep_digits": (lambda s: sweep.sweep_digits(s, DIGITS), INJECTED_DIGITS),
    "watch": (lambda s: watch(s, DIGITS), INJECTED_DIGITS),
    "influence_maps": (lambda s: influence_maps(s, DIGITS.images), INJECTED_DIGITS),
    "study_placement": (lambda s: study_placement(s, DIGITS), INJECTED_DIGITS),
    "grown_states": (lambda s: of_lizards.grown_states(s, (12, 12), 1), ALL_GROWING),
    "measure_growing": (
        lambda s: of_lizards.measure_growing(s, STATE, TARGET),
        ALL_GROWING - {"an injected Growing CA"},  # it needs a mask
    ),
    "measure_damage": (lambda s: of_lizards.measure_damage(s, TARGET), {"a Growing CA"}),
    "measure_bounds": (lambda s: of_lizards.measure_bounds(s, (12, 12)), {"a Growing CA"}),
    "measure_lift": (
        lambda s: of_lizards.measure_lift(s, STATE, TARGET),
        {"a perturbed Growing CA"},
    ),
    "measure_drift": (
        lambda s: of_lizards.measure_drift(s, STATE, 1),
        ALL_GROWING - {"an injected Growing CA"},
    ),
    "measure_strengths": (
        lambda s: of_lizards.measure_strengths(
            s, tfnca.MatrixPerturbation(), TARGET[..., 3] > 0.1, (1.0,)
        ),
        {"a Growing CA"},
    ),
    "measure_base": (lambda s: protocol.measure_base(s, TARGET), {"a Growing CA"}),
    "measure_perturbation": (
        lambda s: protocol.measure_perturbation(s, TARGET, TARGET),
        {"a perturbed Growing CA"},
    ),
    "measure_adversary": (
        lambda s: protocol.measure_adversary(s, TARGET, 0.1),
        {"an injected Growing CA"},
    ),
    "sweep_lizard": (
        lambda s: sweep.sweep_lizard(s, TARGET, TARGET),
        {"an injected Growing CA"},
    ),
}


class RanError(Exception):
    """A measure has begun."""


@pytest.fixture
def no_steps(monkeypatch):
    """Whatever runs a step raises `RanError`."""

    def run(*arguments, **options):
        raise RanError

    for place in (
        "measures.progress.trajectory",
        "measures.task.trajectory",
        "measures.lizard.trajectory",
        "measures.lizard.rollout",
        "measures.sweep.run_cells",
        "defence.detection.rollout",
    ):
        module, _, name = place.rpartition(".")
        monkeypatch.setattr(importlib.import_module(f"tfnca.{module}"), name, run)


@pytest.mark.parametrize("name", MEASURES)
def test_a_measure_of_the_wrong_thing_is_refused(name, no_steps):
    measure, takes = MEASURES[name]
    for what, step in STEPS.items():
        if what in takes:
            with pytest.raises(RanError):
                measure(step)
        else:
            with pytest.raises(
                ValueError, match=r"must be .* CAs?\b.*Received|must be Injected|needs a mask"
            ) as error:
                measure(step)
            assert "shape" not in str(error.value)


STRAIGHT = np.where(TARGET[..., 3:] > 0, [1.0, 1.0, 1.0, 0.5], 0.0)
PICTURES = {
    "straight alpha": (STRAIGHT, "must be premultiplied"),
    "bytes": (np.round(255 * TARGET).astype(np.uint8), "divide bytes by 255"),
    "RGB": (TARGET[..., :3], "must be RGBA"),
    "a single pixel": (np.zeros((1, 1, 4)), "of the grid's size|must be of one size|grid"),
}
OF_PICTURES = {
    "TargetLoss": lambda p: tfnca.TargetLoss(p)(STATE),
    "measure_growing": lambda p: of_lizards.measure_growing(GROWING, STATE, p, at=(1,)),
    "measure_lift": lambda p: of_lizards.measure_lift(tfnca.Perturbed(GROWING), STATE, p, 1, 1),
    "shifted_errors": lambda p: of_lizards.shifted_errors(STATE, p),
    "region_picture": lambda p: of_lizards.region_picture("host", TARGET, p),
    "lost_cells": lambda p: of_lizards.lost_cells(TARGET, p),
}


@pytest.mark.parametrize("picture", PICTURES)
@pytest.mark.parametrize("name", OF_PICTURES)
def test_a_picture_that_is_no_target_is_refused(name, picture):
    OF_PICTURES[name](TARGET)
    picture, message = PICTURES[picture]
    with pytest.raises(ValueError, match=message):
        OF_PICTURES[name](picture)


STATES = tfnca.digit_state(DIGITS.images)
WRONG = {
    "too few labels": (lambda: of_digits.digit_measures(STATES, DIGITS.labels[:1]), "labels"),
    "a lizard's state": (lambda: of_digits.digit_measures(np.zeros((1, 2, 2, 4)), [1]), "MNIST CA"),
    "a class of 10": (lambda: of_digits.digit_measures(STATES, DIGITS.labels, 10), "0 to 9"),
    "one mask for all": (
        lambda: of_digits.digit_measures(STATES, DIGITS.labels, mask=np.zeros((1, 28, 28))),
        "mask must have",
    ),
    "no digits": (lambda: of_digits.base_digits(DIGIT_CA, DIGITS.images), "tfnca.Digits"),
    "a number of seeds": (lambda: of_digits.base_digits(DIGIT_CA, DIGITS, 3), "seeds must be"),
    "no seeds": (lambda: of_digits.base_digits(DIGIT_CA, DIGITS, ()), "seeds must be"),
    "a seed below 0": (lambda: of_digits.base_digits(DIGIT_CA, DIGITS, [-1]), "seed must be"),
    "steps that fall": (
        lambda: of_lizards.measure_growing(GROWING, STATE, TARGET, at=(2, 1)),
        "at must be in ascending order",
    ),
    "a mask without adversaries": (
        lambda: of_lizards.measure_growing(
            GROWING, STATE, TARGET, at=(1,), mask=np.zeros((1, 12, 12))
        ),
        "no adversary.*Received: a mask",
    ),
    "another place": (lambda: of_lizards.region_picture("all", TARGET, TARGET), "region must be"),
    "cells that are none": (
        lambda: of_lizards.measure_strengths(
            GROWING, tfnca.MatrixPerturbation(), TARGET[..., 3], (1,)
        ),
        "cells must be",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit_is_refused(name, no_steps):
    call, message = WRONG[name]
    with pytest.raises(ValueError, match=message):
        call()
