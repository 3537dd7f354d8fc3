"""What a step is told: draws, a run's age, and steps of a user's own making in every place."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import random_draws
from descriptors import LAYERS, STEPS, counted, random_masks, random_state

import tfnca
from tfnca.automata.context import Context
from tfnca.automata.growing import GrowingCA
from tfnca.automata.step import Step, freeze_copy, next_state
from tfnca.export.portable import _Masked
from tfnca.export.signatures import Signatures
from tfnca.measures.lizard import measure_lift

SHAPE = (2, 6, 7)


# Draws


FIRES = np.ones((*SHAPE, 1), np.float32)
UNFIT = [
    ("GrowingCA", "fire_mask", FIRES[..., 0], r"\(2, 6, 7, 1\). Received: \(2, 6, 7\)"),
    ("GrowingCA", "fire_mask", FIRES[:1], r"\(2, 6, 7, 1\). Received: \(1, 6, 7, 1\)"),
    ("GrowingCA", "fire_mask", 1.0, r"\(2, 6, 7, 1\). Received: \(\)"),
    ("GrowingCA", "fire_mask", 0.5 * FIRES, "fire_mask must be 0 or 1"),
    ("GrowingCA", "fire_mask", np.nan * FIRES, "fire_mask must be 0 or 1"),
    ("GrowingCA", "noise", np.ones((*SHAPE, 16)), "GrowingCA adds no noise"),
    ("MNISTCA", "noise", FIRES, r"noise must .*\(2, 6, 7, 19\). Received: \(2, 6, 7, 1\)"),
    ("MNISTCA", "noise", np.ones((*SHAPE, 20)), r"\(2, 6, 7, 19\). Received: \(2, 6, 7, 20\)"),
    ("Injected", "fire_mask", FIRES, "fire_mask must be a pair"),
    ("Injected", "fire_mask", [FIRES, 2 * FIRES], "fire_mask must be 0 or 1"),
]


@pytest.mark.parametrize(("name", "argument", "given", "message"), UNFIT)
def test_draws_that_do_not_fit_a_call_are_refused(name, argument, given, message):
    step = LAYERS[name]()
    state, told = random_state(step, SHAPE), {argument: given}
    for call in (
        lambda: step(state, **told),
        lambda: step(state, context=Context(**told)),
        lambda: step.call(state, **told),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    if "of shape" in message or "Received" in message:  # the values of a graph cannot be read
        graph = tf.function(lambda given: step(state, **{argument: given}))
        with pytest.raises(ValueError, match=message):
            graph(tf.constant(given, tf.float32))


def test_draws_of_unknown_shape_are_left_to_the_graph():
    step = LAYERS["MNISTCA"]()
    state = random_state(step, SHAPE)
    fires, noise = FIRES > 0, np.ones((*SHAPE, 19), np.float32)

    @tf.function(input_signature=[tf.TensorSpec(None, tf.bool), tf.TensorSpec(None)])
    def graph(fires, noise):
        return step(state, fire_mask=fires, noise=noise)

    np.testing.assert_allclose(
        graph(fires, noise), step(state, fire_mask=fires, noise=noise), atol=1e-5
    )


def test_noise_of_an_injection_has_the_channels_of_the_network_that_changes_most():
    host, adversary = (tfnca.NeuralCA(5, fixed=fixed, noise_std=0.1) for fixed in (2, 1))
    step, state = tfnca.Injected(host, adversary), random_state(host, SHAPE)
    noise = np.random.default_rng(0).normal(size=(2, *SHAPE, 4)).astype(np.float32)
    found = step(state, fire_mask=[FIRES, FIRES], noise=list(noise))
    np.testing.assert_array_equal(found, host(state, fire_mask=FIRES, noise=noise[0, ..., 1:]))


def calls(name):
    """Everything that draws, as functions without arguments, each called without a seed."""
    step = LAYERS[name]()
    state, masks = random_state(step, SHAPE), random_masks(step, SHAPE)
    inputs = keras.Input((6, 7, step.channels))
    model = keras.Model(inputs, step(inputs))
    return {
        "a step": lambda: step(state, **masks),
        "a step in a graph": tf.function(lambda: step(state, **masks)),
        "a functional model": lambda: model(state),
        "rollout": lambda: tfnca.rollout(step, state, 1, **masks),
        "rollout in a graph": tf.function(lambda: tfnca.rollout(step, state, 1, **masks)),
        "trajectory": lambda: list(tfnca.trajectory(step, state, 2, **masks))[-1][1],
        "random_mask": lambda: tfnca.random_mask(np.ones(SHAPE), 0.5),
    }


@pytest.mark.parametrize("name", ["GrowingCA", "Injected MNISTCA"])
def test_without_a_seed_each_call_draws_anew_as_set_random_seed_says(name):
    for what, call in calls(name).items():
        runs = []
        for _ in range(2):
            keras.utils.set_random_seed(5)
            runs.append([np.asarray(call()) for _ in range(2)])
        assert not np.array_equal(*runs[0]), what
        if "graph" in what:  # TensorFlow seeds a graph's draws when it is traced
            continue
        np.testing.assert_array_equal(runs[0], runs[1], err_msg=what)
        keras.utils.set_random_seed(6)
        assert not np.array_equal(np.asarray(call()), runs[1][0]), what


def test_a_trajectory_without_a_seed_is_one_run(monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "tfnca.engines.rollout.new_seed", lambda: drawn.append(1) or tf.constant(9, tf.int64)
    )
    ca = LAYERS["GrowingCA"]()
    seen = list(tfnca.trajectory(ca, random_state(ca, SHAPE), 4))
    assert len(drawn) == 1
    assert all(tf.is_tensor(state) and state.dtype == tf.float32 for _, state in seen)
    expected = list(tfnca.trajectory(ca, random_state(ca, SHAPE), 4, seed=9))
    for (_, ours), (_, theirs) in zip(seen, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("name", STEPS)
def test_draws_add_no_weight(name):
    step = LAYERS[name]()
    before = [weight.path for weight in step.variables]
    step(random_state(step, SHAPE))
    tfnca.rollout(step, random_state(step, SHAPE), 1)
    assert [weight.path for weight in step.variables] == before


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"seed": -1}, "seed must be .*Received: seed=-1"),
        ({"seed": 1.5}, "seed must be .*Received: seed=1.5"),
        ({"seed": 0, "index": -2}, "index must be .*Received: index=-2"),
        ({"seed": 0, "age": "old"}, "age must be .*Received: age='old'"),
    ],
)
def test_numbers_that_are_none_are_refused(wrong, message):
    ca = GrowingCA()
    with pytest.raises(ValueError, match=f"(?s){message}"):
        ca(tfnca.seed_state(4), **wrong)


# Steps of a user's own, in every place


@keras.saving.register_keras_serializable("test_context")
class Advancing(GrowingCA):
    def advance(self, state, context):
        return keras.ops.roll(super().advance(state, context), 1, axis=2)


@keras.saving.register_keras_serializable("test_context")
class Calling(GrowingCA):
    def call(self, state, mask=None, seed=0, index=0, fire_mask=None, noise=None, network=0):
        state = super().call(state, mask, seed, index, fire_mask, noise, network)
        return keras.ops.roll(state, 1, axis=2)


@keras.saving.register_keras_serializable("test_context")
class CallingAny(GrowingCA):
    def call(self, state, **kwargs):
        return keras.ops.roll(super().call(state, **kwargs), 1, axis=2)


@keras.saving.register_keras_serializable("test_context")
class CallingFew(GrowingCA):
    def call(self, state, seed=0, index=0, fire_mask=None, network=0):
        told = {"seed": seed, "index": index, "fire_mask": fire_mask, "network": network}
        return keras.ops.roll(super().call(state, **told), 1, axis=2)


OWN = [Advancing, Calling, CallingAny, CallingFew]


@pytest.mark.parametrize("own", OWN)
def test_a_step_of_ones_own_runs_in_every_place(own):
    state, mask = random_state(GrowingCA(), SHAPE), random_masks(LAYERS["Injected"](), SHAPE)
    places = {
        "alone": (lambda ca: ca, {}),
        "injected": (lambda ca: tfnca.Injected(ca, ca), mask),
        "perturbed": (tfnca.Perturbed, {}),
        "perturbed injected": (lambda ca: tfnca.Perturbed(tfnca.Injected(ca, ca)), mask),
    }
    for place, (wrap, masks) in places.items():
        step, like = wrap(counted(own())), wrap(counted(Advancing()))
        expected = tfnca.rollout(like, state, 3, seed=2**40, step_offset=2, **masks)
        found = tfnca.rollout(step, state, 3, seed=2**40, step_offset=2, **masks)
        assert np.abs(expected - state).max() > 0.1
        np.testing.assert_array_equal(found, expected, err_msg=place)
        one = step(state, seed=3, index=4, **masks) if own is not CallingFew or masks else None
        if one is not None:
            np.testing.assert_array_equal(one, like(state, seed=3, index=4, **masks))


@pytest.mark.parametrize("own", OWN)
def test_a_step_of_ones_own_is_trained_and_exported(own):
    trainer = tfnca.Trainer(counted(own()), tfnca.TargetLoss(np.zeros((6, 7, 4))), steps=2)
    trainer.compile(keras.optimizers.Adam(1e-2))
    before = trainer.step.get_weights()
    pool = tfnca.GrowingPool(random_state(trainer.step, (1, 6, 7)), size=8)
    trainer.fit(pool, steps_per_epoch=1, verbose=0)
    assert any(np.any(a != b) for a, b in zip(before, trainer.step.get_weights(), strict=True))
    step = tfnca.Injected(trainer.step, trainer.step)
    signatures = Signatures(step)
    for name in signatures.NAMES:  # what the SavedModel, TF.js and LiteRT exports are traced from
        signatures.traced(name)
    specs = signatures.state | signatures.draws | signatures.given
    state = random_state(step, SHAPE)
    draws = random_draws(step, SHAPE, 1)
    given = {"state": state, "fire_mask": draws["fire_masks"][0].astype(np.float32)}
    given["mask"] = draws["mask"]
    layer = _Masked(signatures, list(specs))
    found = layer([tf.constant(given[name], tf.float32) for name in specs])
    expected = tfnca.rollout(
        step, state, 1, draws["mask"], engine="dense", fire_masks=draws["fire_masks"]
    )
    np.testing.assert_allclose(found, expected, atol=1e-6)


class Mean(Step):
    channels = 5

    def advance(self, state, context):
        return keras.ops.average_pool(state, 3, strides=1, padding="same")


def test_a_bare_step_needs_channels_and_advance_alone():
    state = np.random.default_rng(0).normal(size=(*SHAPE, 5)).astype(np.float32)
    final = tfnca.rollout(Mean(), state, 2)
    np.testing.assert_allclose(final, Mean()(Mean()(state)), atol=1e-6)


def test_a_step_that_says_too_little_says_what_is_missing():
    class Nothing(Step):
        channels = 5

    with pytest.raises(NotImplementedError, match=r"Nothing must say .*advance\(state, context\)"):
        Nothing()(np.zeros((*SHAPE, 5), np.float32))
    with pytest.raises(ValueError, match=r"Step must say its `channels`. Received: channels=0"):
        tfnca.rollout(Step(), np.zeros((*SHAPE, 5), np.float32), 1)


@pytest.mark.parametrize(
    "step", [tfnca.MatrixPerturbation(), None, "lizard", keras.layers.Dense(2)]
)
def test_what_is_no_step_is_refused(step):
    expected = r"step must be a Step.*Received: " + type(step).__name__
    with pytest.raises(ValueError, match=expected):
        tfnca.rollout(step, tfnca.seed_state(8), 1)
    with pytest.raises(ValueError, match=expected):
        tfnca.Trainer(step, tfnca.TargetLoss(np.zeros((8, 8, 4))))


# A run's age


@keras.saving.register_keras_serializable("test_context")
class AgeIn3(GrowingCA):
    """A CA that shows its age in channel 3."""

    def advance(self, state, context):
        age = keras.ops.cast(context.age, "float32")
        return keras.ops.concatenate([state[..., :3], 0 * state[..., 3:] + age], axis=-1)


@keras.saving.register_keras_serializable("test_context")
class Brief(tfnca.Perturbed):
    """A perturbation for the first two steps of a run."""

    def advance(self, state, context):
        early = keras.ops.cast(context.age < 2, "float32")
        state = early * self.perturbation(state) + (1 - early) * state
        return next_state(self.host, state, context, training=False)


def test_an_age_counts_from_the_offset_and_in_training_from_zero():
    ages = []

    class Noting(Mean):
        def advance(self, state, context):
            tf.py_function(
                lambda age, index: ages.append((int(age), int(index))),
                [context.age, context.index],
                [],
            )
            return super().advance(state, context)

    tfnca.rollout(Noting(), np.zeros((1, 4, 4, 5), np.float32), 3, seed=0, step_offset=7)
    assert ages == [(7, 7), (8, 8), (9, 9)]
    Noting()(np.zeros((1, 4, 4, 5), np.float32), seed=0, index=4)
    assert ages[3:] == [(4, 4)]


def test_a_run_may_begin_at_an_age_of_its_own():
    step, state = Brief(counted(GrowingCA())), random_state(GrowingCA(), SHAPE)
    run = {"seed": 3, "step_offset": 200, "engine": "dense"}
    host = tfnca.rollout(step.host, state, 4, **run)
    np.testing.assert_array_equal(tfnca.rollout(step, state, 4, **run), host)
    attacked = tfnca.rollout(step, state, 4, first_age=0, **run)
    assert np.abs(attacked - host).max() > 1e-4
    *_, (_, parts) = tfnca.trajectory(step, state, 4, 1, first_age=0, **run)
    np.testing.assert_array_equal(parts, attacked)
    clocks, mask = tfnca.Injected(AgeIn3(), AgeIn3()), np.ones(SHAPE, np.float32)
    for timed in (mask, lambda number: mask if number % 2 else None):
        aged = tfnca.rollout(clocks, state, 4, timed, first_age=0, **run)
        np.testing.assert_array_equal(aged[..., 3], np.full(SHAPE, 3.0))
    with pytest.raises(ValueError, match=r"first_age must be .*Received: first_age=-1"):
        tfnca.rollout(step, state, 1, first_age=-1)


@keras.saving.register_keras_serializable("test_context")
class Weighted(Mean):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.added = self.add_weight(shape=(), initializer="ones", name="added")

    def advance(self, state, context):
        return state + self.added


def test_a_step_that_was_called_can_be_copied_and_saved(tmp_path):
    step, state = Weighted(), np.zeros((*SHAPE, 5), np.float32)
    step.added.assign(2.0)
    step(state)
    keras.saving.save_model(step, tmp_path / "step.keras")
    for copy in (freeze_copy(step), tfnca.load(tmp_path / "step.keras")):
        np.testing.assert_array_equal(copy(state), state + 2)


def test_a_lift_begins_an_attack_at_age_0():
    step = Brief(counted(GrowingCA()), np.zeros((16, 16)))
    state, plain = np.ones((2, 6, 7, 16), np.float32), np.zeros((6, 7, 4), np.float32)
    assert measure_lift(step, state, plain, on=1, off=1, first_step=200)["dead"] == 2


def test_an_attack_on_a_runs_first_steps_trains_in_every_training_step():
    step = Brief(counted(GrowingCA()))
    trainer = tfnca.Trainer(step, tfnca.TargetLoss(np.zeros((6, 7, 4))), steps=4)
    trainer.compile(keras.optimizers.SGD(1e-2))
    pool = tfnca.GrowingPool(random_state(step, (1, 6, 7)), size=8)
    for _ in range(3):
        before = step.perturbation.to_array()
        trainer.fit(pool, steps_per_epoch=1, verbose=0)
        assert np.abs(step.perturbation.to_array() - before).max() > 1e-4


# Which cells live


class Everywhere(GrowingCA):
    """A CA all of whose cells live."""

    def living(self, state):
        return keras.ops.ones_like(state[..., :1], dtype="bool")


@keras.saving.register_keras_serializable("test_context")
class Silent(tfnca.automata.step.CellularAutomaton):
    channels = 16

    def advance(self, state, context):
        return state


def test_a_perturbation_takes_the_hosts_living_cells(monkeypatch):
    state = np.random.default_rng(0).uniform(-0.9, 0.9, (*SHAPE, 16)).astype(np.float32)
    state[..., 3] = 0.0  # by alpha none of them lives
    np.testing.assert_allclose(tfnca.Perturbed(Silent())(state, seed=0), state, atol=1e-6)
    monkeypatch.setattr(Silent, "living", lambda self, state: state[..., :1] > 0)
    alive = state[..., :1] > 0
    np.testing.assert_allclose(tfnca.Perturbed(Silent())(state, seed=0), state * alive, atol=1e-6)


def test_states_beyond_the_bound_bring_one_warning_that_names_the_cure():
    state = random_state(GrowingCA(), SHAPE)
    state[..., 3] = 1.0
    state[0, 2, 2, 9] = 4.5
    step = tfnca.Perturbed(counted(GrowingCA()))
    with pytest.warns(UserWarning, match=r"states reach 4.5, .*at 3, .*host.scaled"):
        tfnca.rollout(step, state, 1)
    tfnca.rollout(step, state, 1)
    trainer = tfnca.Trainer(
        tfnca.Perturbed(counted(GrowingCA())), tfnca.TargetLoss(np.zeros((6, 7, 4))), steps=2
    )
    trainer.compile("sgd")
    pool = tfnca.GrowingPool(state, size=8)
    with pytest.warns(UserWarning, match=r"host.scaled"):
        trainer.fit(pool, steps_per_epoch=1, verbose=0)
    state[0, 2, 2, 9] = 2.9
    tfnca.rollout(tfnca.Perturbed(counted(GrowingCA())), state, 1)
