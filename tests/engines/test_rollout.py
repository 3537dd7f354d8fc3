"""Rollouts: one run under one seed, however it is cut, and in either engine."""

import os
import subprocess
import sys

import numpy as np
import pytest
from conftest import random_draws
from descriptors import LAYERS, STEPS, counted, random_masks, random_state
from rules import RULES, filled, some_inputs, some_state

import tfnca
from tfnca.automata.growing import GrowingCA
from tfnca.automata.mnist import MNISTCA

SHAPE = (2, 9, 8)


def start(name):
    step = LAYERS[name].shared()
    return step, random_state(step, SHAPE), random_masks(step, SHAPE)


def assert_one_run(state, expected, engine):
    """Equal to the bit, or in the sparse engine, whose cells may stand in another order, nearly."""
    tolerance = 1e-5 * np.abs(expected).max() if engine == "sparse" else 0
    np.testing.assert_allclose(state, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", STEPS)
def test_a_rollout_is_its_steps_one_after_the_other(name, engine):
    step, state, mask = start(name)
    final = tfnca.rollout(step, state, 3, seed=5, step_offset=40, engine=engine, **mask)
    for index in (40, 41, 42):
        state = step(state, seed=5, index=index, **mask)
    assert np.abs(final).max() > 0.1
    np.testing.assert_allclose(final, state, atol=1e-5 * np.abs(state).max())


@pytest.mark.parametrize("name", STEPS)
def test_an_offset_continues_the_run(name, engine):
    step, state, mask = start(name)

    def run(state, steps, **kwargs):
        return tfnca.rollout(step, state, steps, seed=2**40 + 1, engine=engine, **mask, **kwargs)

    whole = run(state, 20)
    halfway = run(state, 12)
    assert np.abs(whole).max() > 0.1
    assert_one_run(run(halfway, 8, step_offset=12), whole, engine)
    assert np.abs(run(halfway, 8) - whole).max() > 0.1


@pytest.mark.parametrize("name", STEPS)
def test_one_seed_is_one_run_to_the_bit(name, engine):
    step, state, mask = start(name)
    runs = [
        tfnca.rollout(step, state, 8, seed=seed, engine=engine, **mask).numpy()
        for seed in (3, 3, 4, 3 + 2**32)
    ]
    np.testing.assert_array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])
    assert not np.array_equal(runs[0], runs[3])


@pytest.mark.parametrize("name", STEPS)
def test_no_steps_change_nothing(name, engine):
    step, state, mask = start(name)
    np.testing.assert_array_equal(
        tfnca.rollout(step, state, 0, engine=engine, seed=0, **mask), state
    )


def test_adversaries_can_be_switched_on_and_off(engine):
    step, state, mask = start("Injected MNISTCA")

    def run(state, steps, offset, mask=None):
        return tfnca.rollout(step, state, steps, mask, step_offset=offset, engine=engine, seed=0)

    before = run(state, 4, 0)
    np.testing.assert_array_equal(before, tfnca.rollout(step.host, state, 4, engine=engine, seed=0))
    during = run(before, 4, 4, mask["mask"])
    assert np.abs(during - run(before, 4, 4)).max() > 0.1
    np.testing.assert_array_equal(
        run(during, 4, 8), tfnca.rollout(step.host, during, 4, step_offset=8, engine=engine, seed=0)
    )


def test_a_trajectory_is_the_rollout_seen_on_its_way(engine):
    step, state, mask = start("Injected")
    kwargs = {"seed": 1, "engine": engine, **mask}
    seen = list(tfnca.trajectory(step, state, 10, every=4, step_offset=100, **kwargs))
    assert [number for number, _ in seen] == [100, 104, 108, 110]
    np.testing.assert_array_equal(seen[0][1], state)
    for number, state_seen in seen[1:]:
        expected = tfnca.rollout(step, state, number - 100, step_offset=100, **kwargs)
        assert_one_run(state_seen, expected, engine)


def test_a_trajectory_without_steps_between_is_refused():
    step, state, _ = start("GrowingCA")
    for every in (0, -1, 1.5):
        with pytest.raises(ValueError, match=rf"every must be .*Received: every={every}"):
            next(tfnca.trajectory(step, state, 4, every=every))


def test_new_weights_are_used_at_once(engine):
    ca = counted(GrowingCA())
    state = random_state(ca, SHAPE)
    before = tfnca.rollout(ca, state, 3, engine=engine, seed=0).numpy()
    ca.set_weights([-weight for weight in ca.get_weights()])
    after = tfnca.rollout(ca, state, 3, engine=engine, seed=0).numpy()
    assert np.abs(after - before).max() > 0.01
    ca.set_weights([-weight for weight in ca.get_weights()])
    np.testing.assert_array_equal(tfnca.rollout(ca, state, 3, engine=engine, seed=0), before)


class CountingCA(GrowingCA):
    calls = 0

    def call(self, *args, **kwargs):
        self.calls += 1
        return super().call(*args, **kwargs)


def test_one_graph_serves_every_seed_and_number_of_steps():
    ca = CountingCA()
    state = random_state(ca, SHAPE)
    tfnca.rollout(ca, state, 2, engine="dense", seed=0)
    traced = ca.calls
    for steps, seed in ((3, 0), (50, 1), (0, 2)):
        tfnca.rollout(ca, state, steps, seed=seed, step_offset=steps, engine="dense")
    assert 0 < ca.calls == traced < 10


GROWING, DIGITS, INJECTED = GrowingCA(), MNISTCA(), LAYERS["Injected"]()
STATE, DIGIT = np.zeros((2, 4, 5, 16), np.float32), np.zeros((2, 4, 5, 20), np.float32)
MISTAKES = {
    "steps": (GROWING, STATE, {"steps": -1}, "steps must .*Received: steps=-1"),
    "engine": (GROWING, STATE, {"engine": "gpu"}, "engine must .*Received: engine='gpu'"),
    "channels": (GROWING, DIGIT, {}, r"GrowingCA .*16.*Received: .*20"),
    "rank": (DIGITS, DIGIT[0], {}, r"batch, height, width, 20.*Received: .*4, 5, 20"),
    "negative seed": (GROWING, STATE, {"seed": -1}, "seed must .*Received: seed=-1"),
    "large seed": (GROWING, STATE, {"seed": 2**63}, f"seed must .*Received: seed={2**63}"),
    "mask": (INJECTED, STATE, {"mask": np.ones((2, 5, 4))}, r"mask must .*Received: .*2, 5, 4"),
    "half a step": (GROWING, STATE, {"steps": 2.5}, "steps must be an int.*Received: steps=2.5"),
    "a name": (GROWING, STATE, {"seed": "x"}, "seed must be an integer.*Received: seed='x'"),
    "offset": (GROWING, STATE, {"step_offset": -1}, "step_offset must .*Received: step_offset=-1"),
    "sevens": (INJECTED, STATE, {"mask": np.full((2, 4, 5), 7)}, "mask must be 1 .*from 7 to 7"),
    "empty": (GROWING, STATE[:0], {}, r"batch, height.*Received: .*0, 4, 5"),
    "no adversary": (DIGITS, DIGIT, {"mask": np.ones((2, 4, 5))}, "no adversary.*Received: a mask"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_named(mistake, engine):
    step, state, wrong, message = MISTAKES[mistake]
    with pytest.raises(ValueError, match=f"(?s){message}"):
        tfnca.rollout(step, state, **{"steps": 1, "engine": engine} | wrong)


DRAWS = {
    "too few steps": (INJECTED, STATE, lambda fires: fires[:1]),
    "one network": (INJECTED, STATE, lambda fires: fires[:, :1]),
    "batch": (GROWING, STATE, lambda fires: fires[:, :, :1]),
    "columns": (DIGITS, DIGIT, lambda fires: fires[..., :3]),
    "a channel": (GROWING, STATE, lambda fires: fires[..., None]),
}


@pytest.mark.parametrize("mistake", DRAWS)
def test_given_fire_masks_must_fit(mistake, engine):
    step, state, cut = DRAWS[mistake]
    fire_masks = cut(random_draws(step, state.shape[:3], 2)["fire_masks"])
    with pytest.raises(ValueError, match=r"(?s)fire_masks.*Received"):
        tfnca.rollout(step, state, 2, engine=engine, fire_masks=fire_masks, seed=0)


def test_given_noise_must_fit_and_have_a_use(engine):
    noise = np.zeros((1, 1, *DIGIT.shape[:3], 19))
    for step, state, given in ((DIGITS, DIGIT, noise[..., :18]), (GROWING, STATE, noise)):
        with pytest.raises(ValueError, match=r"(?s)noise.*Received"):
            tfnca.rollout(step, state, 1, engine=engine, noise=given, seed=0)


def test_an_adversary_that_runs_nowhere_is_spoken_of_once(capsys, monkeypatch):
    monkeypatch.setattr("tfnca.engines.choice._said", set())
    step, state, mask = start("Injected")
    tfnca.rollout(step, state, 1, seed=0, **mask)
    assert capsys.readouterr().out == ""
    tfnca.rollout(step, state, 1, seed=0)
    tfnca.rollout(step, state, 1, seed=0)
    assert capsys.readouterr().err.count("Injected without a mask: no cell runs the advers") == 1


FORK = """
import os, numpy as np, tfnca
state = np.asarray(tfnca.seed_state(12))
ca = tfnca.GrowingCA()
tfnca.rollout(ca, state, 1)
child = os.fork()
if child == 0:
    try:
        tfnca.rollout(ca, state, 1)
    except RuntimeError as error:
        os._exit(7 if "get_context('spawn')" in str(error) else 1)
    os._exit(0)
os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="This system has no fork.")
def test_a_fork_is_refused_and_does_not_wait_for_ever():
    command = [sys.executable, "-c", FORK]
    assert subprocess.run(command, capture_output=True, timeout=120).returncode == 7


@pytest.mark.parametrize("wrong", [{"steps": -5}, {"steps": 2.5}, {"steps": 4, "every": 0}])
def test_a_trajectory_refuses_what_a_rollout_does(wrong):
    along = tfnca.trajectory(tfnca.GrowingCA(), tfnca.seed_state(8), **wrong)
    with pytest.raises(ValueError, match=r"(steps|every) must .*Received: "):
        next(along)


def test_inputs_per_item_are_the_same_in_every_cell():
    """One after the other, in either order, with one step."""
    step = filled({**RULES["alpha, inputs"]})
    state = some_state(step.rule, SHAPE)
    (inputs,) = some_inputs(step.rule, SHAPE).values()
    everywhere = np.broadcast_to(inputs[:, None, None], (*SHAPE, inputs.shape[-1]))
    runs = [
        np.asarray(tfnca.rollout(step, state, 3, seed=0, inputs=each))
        for each in (inputs, everywhere, inputs)
    ]
    np.testing.assert_array_equal(runs[0], runs[1])
    np.testing.assert_array_equal(runs[0], runs[2])
    assert np.abs(runs[0] - np.asarray(tfnca.rollout(step, state, 3, seed=0, inputs=-inputs))).max()
    with pytest.raises(ValueError, match=r"inputs of shape \(batch, .*Received: .*\(2, 99\)"):
        tfnca.rollout(step, state, 3, seed=0, inputs=np.zeros((2, 99)))
