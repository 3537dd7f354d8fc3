"""The published MNIST models, loaded by `tfnca.load`, do what they did when they were published."""

import math

import pytest
from originals import originals

import tfnca
from tfnca.measures.digits import digit_mask, mean_and_spread, measure_digits

SEEDS = (0, 1, 2)
MEASURES = ("digit_accuracy", "cell_accuracy", "agreement", "takeover")

# Means and standard deviations over 8 seeds of masks and noise, first 500 test digits.
REFERENCE = {
    20: ((0.910, 0.007), (0.816, 0.002), (0.155, 0.012), (0.004, 0.002)),
    50: ((0.960, 0.004), (0.947, 0.005), (0.818, 0.010), (0.008, 0.002)),
    200: ((0.958, 0.005), (0.945, 0.006), (0.876, 0.005), (0.013, 0.002)),
    250: ((0.080, 0.001), (0.108, 0.001), (0.746, 0.013), (0.996, 0.003)),
    400: ((0.080, 0.001), (0.107, 0.002), (0.752, 0.015), (0.995, 0.003)),
    450: ((0.851, 0.007), (0.809, 0.006), (0.620, 0.003), (0.115, 0.004)),
    600: ((0.901, 0.009), (0.883, 0.007), (0.856, 0.006), (0.078, 0.005)),
}
ONE_PERCENT = ((0.354, 0.011), (0.391, 0.005), (0.157, 0.011), (0.428, 0.019))


@pytest.fixture(scope="module")
def attack():
    folder = originals()
    host = tfnca.load(folder / "mnist_ca.json")
    return tfnca.Injected(host, tfnca.load(folder / "mnist_ca_adversarial_model.zip"))


@pytest.fixture(scope="module")
def digits():
    return tfnca.load_digits("test", count=500)


def assert_reproduced(row, reference):
    """The three-seed mean lies within max(.01, three standard errors) of the reference."""
    for measure, (mean, spread) in zip(MEASURES, reference, strict=True):
        margin = max(0.01, 3 * spread / math.sqrt(len(SEEDS)))
        assert row[measure] == pytest.approx(mean, abs=margin), f"{measure} at {row['step']}"


@pytest.mark.originals
def test_base_and_takeover_and_recovery(attack, digits):
    runs = []
    for seed in SEEDS:
        phases = [(200, None), (200, digit_mask(digits, 0.1, seed)), (200, None)]
        runs.append(measure_digits(attack, digits, phases, seed, at=REFERENCE))
    rows = mean_and_spread(runs)
    assert [row["step"] for row in rows] == list(REFERENCE)
    for row in rows:
        assert_reproduced(row, REFERENCE[row["step"]])


@pytest.mark.originals
def test_one_percent(attack, digits):
    runs = []
    for seed in SEEDS:
        mask = digit_mask(digits, 0.01, seed, at_least_one=True)
        runs.append(measure_digits(attack, digits, [(200, mask)], seed))
    assert_reproduced(mean_and_spread(runs)[0], ONE_PERCENT)
