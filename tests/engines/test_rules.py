"""The living-cells engine runs rules: the dense engine's values and gradients, or says why not."""

import numpy as np
import pytest
import tensorflow as tf
from conftest import gradients
from rules import RULES, filled, some_inputs, some_state

import tfnca
from tfnca.engines import sparse

SHAPE, STEPS = (2, 7, 9), 4

NOT_RUN = {
    "alpha, fixed channels": "its cells die, and it has fixed channels",
    "alpha, depthwise": "its learned perception is depthwise",
    "alpha, inputs": "given inputs in each step",
    "alpha, message bound": "a message_bound, and fixed filters",
    "growing, noise": "its cells die, and it adds noise",
    "gelu": "does not compute gelu",
    "silu": "does not compute silu",
    "sigmoid": "does not compute sigmoid",
    "elu": "does not compute elu",
    "reflect": "does not pad by 'reflect'",
    "replicate": "does not pad by 'replicate'",
    "segmenter": "does not pad by 'reflect'",
    "filters and depthwise": "its learned perception is depthwise",
    "inputs, circular": "given inputs in each step",
}
RUN = [name for name in RULES if name not in NOT_RUN]

INJECTIONS = {
    ("growing", "alpha, learned"): {},
    ("growing, circular", "growing, clipped"): {"padding": "circular"},
    ("digits", "stroke, filters"): {"fixed": 1, "alive": tfnca.Stroke()},
    ("texture", "learned, circular"): {"channels": 5, "fixed": 0},
    ("leaky", "three hidden layers"): {},
}
"""Two rules, and what makes them fit each other."""


def both(step, state, **given):
    """Values and gradients by both engines."""
    upstream = np.random.default_rng(5).normal(size=state.shape).astype(np.float32)
    for engine in ("dense", "sparse"):
        yield gradients(
            lambda x, engine=engine: tfnca.rollout(step, x, STEPS, seed=3, engine=engine, **given),
            step,
            state,
            upstream,
        )


def assert_agree(step, state, **given):
    dense, fast = both(step, state, **given)
    assert np.abs(dense[0] - state).max() > 0.1
    for expected, found in zip(dense, fast, strict=True):
        largest = np.abs(expected).max()
        assert largest > 1e-3
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * largest)


@pytest.mark.parametrize("name", RUN)
def test_values_and_gradients_are_the_dense_engines(name):
    ca = filled(RULES[name])
    assert sparse.supports(ca) is None
    state = some_state(ca.rule, SHAPE)
    assert_agree(ca, state * 0.5 if ca.alive is None else state)


@pytest.mark.parametrize("name", NOT_RUN)
def test_what_is_not_run_says_why(name, capsys):
    ca = filled(RULES[name])
    assert NOT_RUN[name] in sparse.supports(ca)
    inputs = some_inputs(ca.rule, SHAPE)
    with pytest.raises(ValueError, match=f"does not run this step: .*{NOT_RUN[name]}"):
        tfnca.rollout(ca, some_state(ca.rule, SHAPE), 1, engine="sparse", **inputs)


@pytest.mark.parametrize("names", INJECTIONS, ids=" and ".join)
def test_two_rules_in_one_injection(names):
    host, adversary = (filled(RULES[name] | INJECTIONS[names], i) for i, name in enumerate(names))
    step = tfnca.Injected(host, adversary)
    assert sparse.supports(step) is None
    mask = tfnca.random_mask(np.ones(SHAPE, bool), 0.4, seed=0)
    assert_agree(step, some_state(host.rule, SHAPE), mask=mask)


TESTED = {
    "digits": {},
    "stroke, circular": {},
    "stroke, message bound": {"noise_std": None, "activation": "tanh"},
}
"""Rules on whose cells the engine makes the deviation test, and changes of them."""


@pytest.mark.parametrize("mode", ["silence", "clip"])
@pytest.mark.parametrize("name", TESTED)
def test_a_deviation_test_of_any_cells_on_a_stroke(name, mode):
    host, adversary = (filled(RULES[name] | TESTED[name], seed) for seed in (0, 1))
    step = tfnca.Verified(host, adversary, 2.0 if host.noise_std else 200.0, mode)
    assert sparse.supports(step) is None
    mask = tfnca.random_mask(np.ones(SHAPE, bool), 0.4, seed=0)
    state = some_state(host.rule, SHAPE)
    dense, fast = both(step, state, mask=mask)
    unchecked = tfnca.rollout(tfnca.Injected(host, adversary), state, STEPS, seed=3, mask=mask)
    assert np.abs(dense[0] - unchecked).max() > 0.1
    for expected, found in zip(dense, fast, strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize(
    "change",
    [{"step_size": 0.5}, {"network_clip": 1.0}, {"filters": ("identity",), "learned": None}],
)
def test_other_deviation_tests_are_left_to_the_dense_engine(change):
    host, adversary = (filled(RULES["digits"] | change, seed) for seed in (0, 1))
    assert "cells on a stroke" in sparse.supports(tfnca.Verified(host, adversary))


def test_two_rules_of_different_life_are_left_to_the_dense_engine():
    host, adversary = filled(RULES["growing"]), filled({**RULES["leaky"], "channels": 6})
    assert "differ in `alive`" in sparse.supports(tfnca.Injected(host, adversary))


@pytest.mark.parametrize("name", ["growing, circular", "alpha, learned", "growing, clipped"])
def test_perturbations_of_any_rule_whose_cells_die(name):
    host = filled(RULES[name])
    matrix = np.eye(host.channels) + 0.1
    step = tfnca.Perturbed(host, matrix)
    assert sparse.supports(step) is None
    state = some_state(host.rule, SHAPE)
    bound = np.inf if host.state_bound is None else host.state_bound
    assert_agree(step, np.clip(state, -bound, bound))


def test_perturbations_of_other_rules_are_left_to_the_dense_engine():
    assert "live by alpha" in sparse.supports(tfnca.Perturbed(filled(RULES["texture"])))


@pytest.mark.parametrize("grid", [(1, 1, 1), (1, 1, 5), (2, 2, 3), (3, 16, 2)])
@pytest.mark.parametrize("name", ["texture", "growing, circular", "stroke, circular"])
def test_a_torus_of_any_size(name, grid):
    ca = filled(RULES[name])
    state = some_state(ca.rule, grid)
    dense, fast = (
        tfnca.rollout(ca, state, STEPS, seed=1, engine=engine) for engine in ("dense", "sparse")
    )
    np.testing.assert_allclose(fast, dense, atol=2e-5 * max(1, np.abs(dense).max()))


@pytest.mark.parametrize("name", ["texture, clipped", "growing, circular", "segmenter", "gelu"])
def test_compiled_by_xla(name):
    ca = filled(RULES[name])
    state = some_state(ca.rule, SHAPE)
    graph = tf.function(lambda x: ca(x, seed=1, index=2), jit_compile=True)
    np.testing.assert_allclose(graph(state), ca(state, seed=1, index=2), atol=2e-5)
