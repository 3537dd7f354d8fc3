"""The measures on states whose answers are known."""

import io
import time

import numpy as np
import pytest
from descriptors import shuffled

import tfnca
from tfnca.data.digits import Digits
from tfnca.formats.settings import settings_beside
from tfnca.measures import progress
from tfnca.measures.digits import (
    attack_digits,
    digit_mask,
    digit_measures,
    has_flipped,
    mean_and_spread,
    measure_digits,
    swap_digits,
)
from tfnca.measures.lizard import host_cell_errors


def saying(*items):
    """States of 1×n grids: each item lists what its cells say; None is a dead cell that says 0."""
    state = np.zeros((len(items), 1, len(items[0]), 20), np.float32)
    for i, cells in enumerate(items):
        for j, said in enumerate(cells):
            state[i, 0, j, 0] = 0.05 if said is None else 0.5
            state[i, 0, j, 10 + (said or 0)] = 1.0
    return state


def masks(*items):
    return np.array(items, np.float32)[:, None, :]


def test_a_digit_is_right_from_half_of_its_cells_on():
    state = saying([3, 3, 5, 5], [3, 5, 5, 5], [3, 5, None, None], [0, 5, 5, None])
    for i, right in enumerate([1, 0, 1, 0]):
        labels = [3, 3, 3, 0]  # the last one's dead cell says 0 too, and does not count
        measures = digit_measures(state[i : i + 1], labels[i : i + 1])
        assert measures["digit_accuracy"] == right
    assert digit_measures(state, labels)["digit_accuracy"] == 0.5


def test_cell_accuracy_counts_living_cells_and_not_digits():
    state = saying([3, 3, 3, 5], [7, None, None, None])
    assert digit_measures(state, [3, 2])["cell_accuracy"] == 3 / 5


def test_agreement_is_on_anything_by_all_living_cells():
    state = saying([5, 5, 5, None], [9, 9, 9, 9], [5, 5, 5, 4], [0, 0, None, None])
    assert digit_measures(state, [3, 9, 5, 1])["agreement"] == 3 / 4
    assert digit_measures(saying([0, 0, 9]), [0])["agreement"] == 0


def test_takeover_is_by_more_than_half_and_of_other_digits():
    state = saying([8, 8, 8, 1], [8, 8, 1, 1], [8, 8, None, 1], [8, 8, 8, 8], [1, 1, 1, 1])
    labels = [1, 1, 1, 8, 8]
    assert digit_measures(state, labels)["takeover"] == 2 / 3
    assert digit_measures(state, labels, target=1)["takeover"] == 1 / 2
    assert np.isnan(digit_measures(state[3:], labels[3:])["takeover"])


def test_with_a_mask_the_host_cells_are_judged_alone():
    state = saying([8, 8, 8, 3], [8, 3, 8, 8], [8, None, None, 8])
    mask = masks([1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 0, 0])
    labels = [3, 3, 3]
    without = digit_measures(state, labels)
    assert set(without) == {"digit_accuracy", "cell_accuracy", "agreement", "takeover"}
    measures = digit_measures(state, labels, mask=mask)
    assert {name: measures[name] for name in without} == without
    assert without["takeover"] == 1.0
    assert measures["host_takeover"] == 2 / 3  # 1 of 2, 2 of 3, 1 of 1
    assert measures["host_cell_accuracy"] == 2 / 6


def test_half_of_the_host_cells_have_flipped():
    state = saying([8, 8, 8, 3], [8, 8, 3, 3], [8, 3, 3, 3], [8, 8, None, 3])
    mask = masks([1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0])
    np.testing.assert_array_equal(has_flipped(state, mask), [True, False, False, True])
    np.testing.assert_array_equal(has_flipped(state, mask, target=3), [True, True, True, False])


def test_without_a_host_cell_nothing_has_flipped_and_there_is_no_error():
    state, mask = saying([8, 8], [8, 1]), masks([1, 1], [1, 0])
    assert has_flipped(state, mask).tolist() == [False, False]
    errors = host_cell_errors(state[..., :4], np.ones((1, 2, 4)), mask)
    assert np.isnan(errors).tolist() == [True, False]


def test_a_swap_brings_the_next_image_and_keeps_the_state_where_it_lives():
    random = np.random.default_rng(0)
    images = np.where(random.random((3, 4, 5)) < 0.5, 0.7, 0.05).astype(np.float32)
    state = random.normal(size=(3, 4, 5, 20)).astype(np.float32)
    new, labels = swap_digits(state, images, np.array([4, 5, 6]))
    np.testing.assert_array_equal(labels, [5, 6, 4])
    for i, following in enumerate([1, 2, 0]):
        np.testing.assert_array_equal(new[i, ..., 0], images[following])
        kept = np.where(images[following][..., None] > 0.1, state[i, ..., 1:], 0)
        np.testing.assert_array_equal(new[i, ..., 1:], kept)


# Runs


def digits(labels=(3, 5, 8, 1), side=8):
    images = np.where(np.random.default_rng(0).random((len(labels), side, side)) < 0.8, 0.9, 0.0)
    return Digits(images.astype(np.float32), np.array(labels, np.int32), "made up")


def stubborn(digit):
    """Its cells say this digit from the first time they fire."""
    ca = tfnca.MNISTCA(noise_std=0.0)
    ca.update_layers[-1].bias.assign(np.eye(19)[9 + digit])
    return ca


def contagious(digit=8):
    """Its cells begin to say the digit when a neighbour does."""
    ca = tfnca.MNISTCA(noise_std=0.0)
    for weight in ca.weights:
        weight.assign(np.zeros(weight.shape))
    heard = np.zeros(ca.perceive.kernel.shape)
    heard[:, :, 10 + digit, :2] = 1.0
    ca.perceive.kernel.assign(heard)
    ca.perceive.bias.assign(-np.eye(80)[1])
    ca.update_layers[0].kernel.assign(np.eye(80))
    bounded = np.zeros((80, 19))
    bounded[:2, 9 + digit] = 1.0, -1.0  # min(what is heard, 1)
    ca.update_layers[1].kernel.assign(bounded)
    return ca


def test_phases_and_steps_to_measure_at():
    some = digits()
    mask = np.zeros((4, 8, 8))
    mask[:, :4] = 1
    step = tfnca.Injected(stubborn(5), stubborn(8))
    phases = [(20, None), (300, mask), (5, None)]
    rows = measure_digits(step, some, phases, at=(3, 10, 20, 30, 320, 400))
    assert [row["step"] for row in rows] == [3, 10, 20, 30, 320, 325]
    assert [("host_takeover" in row, "flipped" in row) for row in rows] == [
        (with_mask, with_mask) for with_mask in (False, False, False, True, True, False)
    ]
    settled, attacked = rows[2], rows[4]
    assert settled["digit_accuracy"] == 1 / 4
    assert settled["agreement"] == 1
    assert settled["takeover"] == 0
    # The adversaries' cells come to say 8, and no other's.
    assert attacked["agreement"] == 0
    said_8 = (some.images > 0.1) & (mask > 0)
    taken = 2 * said_8.sum((1, 2)) > (some.images > 0.1).sum((1, 2))
    assert attacked["takeover"] == taken[some.labels != 8].mean()
    assert attacked["host_takeover"] == attacked["flipped"] == 0


def test_the_rows_are_those_of_one_rollout():
    some, step = digits(), shuffled(tfnca.MNISTCA(), 1, scale=0.5)
    rows = measure_digits(step, some, [(7, None), (9, None)], seed=3, at=(2, 11))
    state = tfnca.digit_state(some.images)
    for row, count in zip(rows, (2, 7, 11, 16), strict=True):
        final = tfnca.rollout(step, state, count, seed=3)
        assert row == {"step": count, **digit_measures(final, some.labels)}
    assert len({row["cell_accuracy"] for row in rows}) == 4


def test_swapped_digits_are_measured_against_the_new_labels():
    some = digits(labels=(5, 5, 5, 1))
    step = stubborn(5)
    rows = measure_digits(step, some, [(20, None), (20, None)], swap=True)
    assert [row["digit_accuracy"] for row in rows] == [3 / 4, 3 / 4]
    same_way = measure_digits(step, digits(labels=(5, 1, 1, 5)), [(20, None), (1, None)], swap=True)
    assert same_way[0]["agreement"] == 1
    assert same_way[1]["agreement"] < 1  # cells that were dead and now live have said nothing yet


def test_the_attack_measures_before_during_and_after():
    some = digits()
    step = tfnca.Injected(contagious(), stubborn(8))
    metrics = attack_digits(step, some, density=0.2, seeds=(0, 1))
    assert metrics["digits"] == 4
    assert metrics["others"] == 3
    assert metrics["seeds"] == [0, 1]
    assert metrics["density"] == 0.2
    assert metrics["target"] == 8
    steps = [row["step"] for row in metrics["attack"]]
    assert steps == sorted({*range(10, 601, 10), *range(202, 260, 2)})
    at = {row["step"]: row for row in metrics["attack"]}
    assert at[200]["takeover"] == 0
    assert at[200]["digit_accuracy"] == 0
    assert at[400]["takeover"] == at[400]["host_takeover"] == at[400]["flipped"] == 1
    assert at[600]["takeover"] == 1
    assert at[600]["digit_accuracy"] == 1 / 4
    first = next(row["step"] for row in metrics["attack"] if row.get("flipped", 0) >= 0.5)
    assert metrics["steps_to_flip"] == first - 200
    assert 2 <= metrics["steps_to_flip"] <= 40
    assert [row["step"] for row in metrics["sparse"]] == [200]
    assert metrics["sparse"][0]["takeover"] == 1  # one adversary is enough to infect a digit


def test_without_effect_there_are_no_steps_to_flip():
    step = tfnca.Injected(stubborn(5), tfnca.MNISTCA(noise_std=0.0))
    assert attack_digits(step, digits(), seeds=(0,))["steps_to_flip"] is None


# Masks and statistics


def test_digit_masks_have_one_adversary_on_each_stroke_if_asked():
    some = digits(labels=np.arange(200) % 10)
    stroke = some.images > 0.1
    plain = np.asarray(digit_mask(some, 0.01, seed=1))
    thin = np.asarray(digit_mask(some, 0.01, seed=1, at_least_one=True))
    assert abs(plain.mean() - 0.01) < 4 * np.sqrt(0.01 / plain.size)
    assert plain[~stroke].any()
    had_one = (plain * stroke).any((1, 2))
    assert 0.2 < had_one.mean() < 0.8
    np.testing.assert_array_equal(thin[had_one], plain[had_one])
    counts = (thin * stroke).sum((1, 2))[~had_one]
    assert counts.min() == 1
    assert 1 < counts.mean() < 1.6  # of a Poisson distribution of mean 0.5, given one at least
    assert not np.array_equal(plain, digit_mask(some, 0.01, seed=2))


def test_a_digit_without_a_stroke_takes_any_mask():
    digits = Digits(np.zeros((2, 5, 5), np.float32), np.array([1, 2]), "")
    digits.images[0, 2, 2] = 1.0
    mask = np.asarray(digit_mask(digits, 0.1, seed=0, at_least_one=True))
    assert mask[0, 2, 2] == 1


def test_mean_and_spread_over_seeds():
    runs = [
        [{"step": 5, "a": a, "b": 1.0}, {"step": 9, "a": 2 * a, "b": a}] for a in (1.0, 2.0, 6.0)
    ]
    first, second = mean_and_spread(runs)
    assert first == {
        "step": 5,
        "a": 3.0,
        "a_sd": pytest.approx(np.sqrt(7)),
        "b": 1.0,
        "b_sd": 0.0,
    }
    assert second["step"] == 9
    assert second["a"] == 6.0
    assert second["a_sd"] == pytest.approx(2 * np.sqrt(7))
    assert mean_and_spread(runs[:1])[0] == {"step": 5, "a": 1.0, "a_sd": 0.0, "b": 1.0, "b_sd": 0.0}


def test_the_clock_of_a_bar_goes_on_between_two_updates(monkeypatch):
    monkeypatch.setattr(progress.Clock, "SECONDS", 0.02)
    shown = io.StringIO()
    bar = progress.Clock(total=10, file=shown)
    deadline = time.monotonic() + 10
    while shown.getvalue().count("\r") < 4 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert shown.getvalue().count("\r") >= 4
    bar.update(10)
    bar.close()
    bar.close()
    written = len(shown.getvalue())
    time.sleep(0.1)
    assert len(shown.getvalue()) == written


def test_a_model_of_that_name_has_its_settings():
    """`python -m tfnca.measures no_tail` is to measure a lizard without its tail."""
    assert settings_beside("no_tail")["target"] == "no_tail"
    assert settings_beside("mnist_adversary")["digit"] == 8
