"""What must not reach compiled code, what it must not run, and what it must not keep."""

import gc
import threading
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import gradients
from descriptors import LAYERS, STEPS, counted, random_masks, random_state, shuffled, symmetric
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tfnca
from tfnca.automata.growing import GrowingCA
from tfnca.automata.perturbations.matrix import MatrixPerturbation
from tfnca.automata.perturbed import Perturbed
from tfnca.engines import arguments, sparse, tapes, tiles
from tfnca.engines.rollout import resolve_engine, run, run_recorded

SHAPE = (2, 6, 7)
NUMBERS = [tf.constant(number, tf.int64) for number in (3, 0, 0)]


def run_in_graph(step, state, engine, mask=None, fire_masks=None, noise=None, known=True):
    """`run` in a graph that knows its arrays' shapes, or nothing of them but their axes."""
    given = [
        None if value is None else tf.constant(value, tf.float32)
        for value in (state, mask, fire_masks, noise)
    ]

    def spec(value):
        shape = value.shape if known else [None] * len(value.shape)
        return tf.TensorSpec(shape, tf.float32)

    @tf.function(input_signature=[spec(value) for value in given if value is not None])
    def call(*values):
        values = iter(values)
        state, mask, fire_masks, noise = (
            None if value is None else next(values) for value in given
        )
        steps, seed, first = NUMBERS
        return run(step, state, steps, mask, seed, first, fire_masks, noise, engine)

    return call(*(value for value in given if value is not None))


# Arrays that do not fit


MISFITS = {
    "channels": ("GrowingCA", (*SHAPE, 20), {}),
    "a digit": ("GrowingCA", (*SHAPE, 20), {}),
    "a lizard": ("MNISTCA", (*SHAPE, 16), {}),
    "mask of another batch": ("Injected", (*SHAPE, 16), {"mask": np.ones((1, 6, 7))}),
    "mask of another grid": ("Injected MNISTCA", (*SHAPE, 20), {"mask": np.ones((2, 7, 6))}),
    "fire masks of a batch": ("GrowingCA", (*SHAPE, 16), {"fire_masks": np.ones((3, 1, 1, 6, 7))}),
    "fire masks of one CA": ("Injected", (*SHAPE, 16), {"fire_masks": np.ones((3, 1, 2, 6, 7))}),
    "noise too narrow": ("MNISTCA", (*SHAPE, 20), {"noise": np.ones((3, 1, 2, 6, 7, 18))}),
}  # fmt: skip


@pytest.mark.parametrize("misfit", MISFITS)
def test_what_does_not_fit_is_a_value_error_when_the_graph_is_built(misfit, engine):
    name, shape, wrong = MISFITS[misfit]
    with pytest.raises(ValueError, match=r"(?s)Received"):
        run_in_graph(LAYERS[name](), np.zeros(shape), engine, **wrong)


@pytest.mark.parametrize("misfit", [*MISFITS, "too few steps", "an empty axis"])
def test_what_a_graph_cannot_know_is_checked_when_it_runs(misfit):
    late = {
        "too few steps": (
            "GrowingCA",
            (*SHAPE, 16),
            {"fire_masks": np.ones((2, 1, *SHAPE))},
        ),
        "an empty axis": ("GrowingCA", (2, 0, 7, 16), {}),
    }
    name, shape, wrong = (MISFITS | late)[misfit]
    step = LAYERS[name]()
    with pytest.raises((ValueError, tf.errors.OpError), match=r"(?s)Received"):
        run_in_graph(step, np.zeros(shape), "sparse", known=False, **wrong)


def test_a_gradient_of_another_shape_is_refused():
    step, state = LAYERS["GrowingCA"](), random_state(LAYERS["GrowingCA"](), SHAPE)
    form, numbers, stencils = sparse._describe(step)
    nothing = np.zeros(0, np.float32)
    weights = [weight.numpy() for weight in step.weights_in_order]
    inputs = [form, numbers, stencils, state, nothing, nothing, nothing, np.array([1, 0, 0])]
    with pytest.raises(ValueError, match=r"upstream.*Received"):
        sparse._backward(0, np.ones((2, 6, 8, 16), np.float32), *inputs, *weights)
    with pytest.raises(ValueError, match=r"kernel.*Received"):
        sparse._forward(*inputs, weights[0][:47], *weights[1:])


def test_a_trainer_on_states_of_another_width_says_so(engine):
    trainer = tfnca.Trainer(
        GrowingCA(channels=64), tfnca.TargetLoss(np.zeros((8, 8, 4))), steps=2, engine=engine
    )
    trainer.compile(keras.optimizers.Adam(1e-3))
    pool = tfnca.GrowingPool(tfnca.seed_state(8), size=8)
    with pytest.raises(ValueError, match=r"(?s)64.*Received.*16"):
        trainer.fit(pool, epochs=1, steps_per_epoch=1, verbose=0)


def values_of(*shape):
    """Arrays of that shape of every kind of number, some not finite."""
    size = int(np.prod(shape))
    kinds = [np.float16, np.float32, np.float64, np.int8, np.int64, np.uint8, bool]
    odd = st.sampled_from([np.nan, np.inf, -np.inf, 0.0, 0.1, -1.0, 3.0])

    def make(kind, seed, odds):
        values = np.random.default_rng(seed).normal(size=size)
        if np.dtype(kind).kind == "f":
            values[: len(odds)] = odds[:size]
        else:
            values = np.round(3 * values).clip(0, 100)
        return values.reshape(shape).astype(kind)

    return st.builds(make, st.sampled_from(kinds), st.integers(0, 99), st.lists(odd, max_size=2))


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_any_call_gives_the_dense_result_or_a_value_error(data):
    step = LAYERS[data.draw(st.sampled_from(STEPS))].shared()
    grid = data.draw(st.sampled_from([(1, 3, 4), (2, 4, 3), (1, 1, 1), (5, 2, 2), (0, 3, 3)]))
    channels = data.draw(st.sampled_from([step.channels] * 4 + [16, 20, 3]))
    state = data.draw(values_of(*grid, channels))
    arguments = {
        "steps": data.draw(st.sampled_from([0, 1, 2, 3, np.int64(2), -1, 1.5, 2**31])),
        "seed": data.draw(st.sampled_from([0, 7, 2**40, 2**63 - 1, 2**63, -1])),
        "step_offset": data.draw(st.sampled_from([0, 5, 2**32 - 1, 2**32, 2**62, -3])),
    }
    if data.draw(st.booleans()):
        of_mask = data.draw(st.sampled_from([grid, grid, grid, grid[1:], (1, *grid[1:])]))
        mask = np.random.default_rng(0).integers(0, 2, of_mask)
        arguments["mask"] = mask.astype(data.draw(st.sampled_from([bool, np.int32, np.float64])))
    if data.draw(st.booleans()):
        networks = data.draw(st.sampled_from([len(step.networks)] * 3 + [1, 3]))
        fires = np.random.default_rng(1).integers(
            0, 2, (int(arguments["steps"]) % 5, networks, *grid)
        )
        arguments["fire_masks"] = fires.astype(data.draw(st.sampled_from([bool, np.float32])))
    results = []
    for engine in ("dense", "sparse"):
        try:
            results.append(tfnca.rollout(step, state, engine=engine, **arguments).numpy())
        except ValueError as error:
            results.append(str(error))
    dense, ours = results
    if isinstance(dense, str):
        assert dense == ours
    else:
        finite = np.isfinite(dense)
        np.testing.assert_array_equal(np.isnan(ours), np.isnan(dense))
        np.testing.assert_array_equal(ours[~finite], dense[~finite])
        scale = np.abs(dense[finite]).max(initial=1.0)
        np.testing.assert_allclose(ours[finite], dense[finite], atol=1e-4 * scale)


# Numbers that are not finite


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["alpha or grey", "hidden", "last channel", "dead cell"])
@pytest.mark.parametrize("name", STEPS)
def test_both_engines_agree_on_what_is_not_finite(name, where, value):
    step = LAYERS[name].shared()
    state = random_state(step, (2, 9, 10), seed=2)
    first = 3 if step.channels == 16 else 0
    channel = {"alpha or grey": first, "hidden": 8, "last channel": -1, "dead cell": 8}[where]
    state[0, 4, 4, channel] = value
    state[1, 0, 9, channel] = value
    if where == "dead cell":
        state[0, 2:7, 2:7, first] = 0.0
    kwargs = {"seed": 5, **random_masks(step, (2, 9, 10))}
    for steps in (1, 3):
        dense, ours = (
            tfnca.rollout(step, state, steps, engine=engine, **kwargs).numpy()
            for engine in ("dense", "sparse")
        )
        np.testing.assert_array_equal(np.isnan(ours), np.isnan(dense))
        np.testing.assert_array_equal(
            np.isinf(ours) * np.sign(ours), np.isinf(dense) * np.sign(dense)
        )
        good = np.isfinite(dense)
        assert good.any()
        np.testing.assert_allclose(ours[good], dense[good], atol=1e-4 * np.abs(dense[good]).max())


@pytest.mark.parametrize("name", STEPS)
def test_what_stood_in_the_rooms_before_does_not_show(name, monkeypatch):
    step = LAYERS[name].shared()
    state, masks = random_state(step, SHAPE), random_masks(step, SHAPE)
    upstream = np.random.default_rng(1).normal(size=state.shape).astype(np.float32)

    def results(left):
        def room(*shape):
            return np.full(shape, left, np.float32)

        monkeypatch.setattr(arguments, "_room", room)
        return gradients(
            lambda state: tfnca.rollout(step, state, 3, engine="sparse", seed=0, **masks),
            step,
            state,
            upstream,
        )

    for nothing, other in zip(results(0.0), results(np.nan), strict=True):
        np.testing.assert_array_equal(other, nothing)


def test_a_cell_without_a_number_for_alpha_is_not_alive():
    state = tfnca.seed_state(5)
    assert np.sum(tfnca.living_mask(state)) == 9
    state[0, 2, 2, 3] = np.nan
    assert not np.any(tfnca.living_mask(state))
    state[0, 2, 2, 3] = np.inf
    assert np.sum(tfnca.living_mask(state)) == 9


# Steps that this engine does not know


class Rolling(GrowingCA):
    def call(self, state, mask=None, seed=0, index=0, fire_mask=None, noise=None, network=0):
        state = super().call(state, mask, seed, index, fire_mask, noise, network)
        return keras.ops.roll(state, 1, axis=1)


class Halving(MatrixPerturbation):
    def call(self, state):
        return 0.5 * super().call(state)


class OwnInjected(tfnca.Injected):
    pass


class OwnPerturbed(Perturbed):
    pass


def replaced(layer, attribute, value):
    setattr(layer, attribute, value)
    return layer


def odd_layer(change):
    ca = counted(GrowingCA())
    change(ca.update_layers)
    return ca


UNKNOWN = {
    "a subclass": lambda: counted(Rolling()),
    "a subclass inside": lambda: Perturbed(counted(Rolling()), symmetric(1)),
    "a subclass injected": lambda: tfnca.Injected(counted(GrowingCA()), counted(Rolling())),
    "a perturbation's subclass": lambda: Perturbed(counted(GrowingCA()), Halving()),
    "an injection's subclass": lambda: OwnInjected(counted(GrowingCA()), counted(GrowingCA())),
    "a perturbed step's subclass": lambda: OwnPerturbed(counted(GrowingCA()), symmetric(1)),
    "a call replaced": lambda: (
        (ca := counted(GrowingCA()))
        and replaced(ca, "call", lambda state, **kwargs: 2.0 * GrowingCA.call(ca, state, **kwargs))
    ),
    "a perturbation's call replaced": lambda: (
        (step := LAYERS["Perturbed"]())
        and replaced(step.perturbation, "call", lambda state: 0.5 * state)
        and step
    ),
    "another activation": lambda: odd_layer(
        lambda layers: replaced(layers[0], "activation", keras.activations.tanh)
    ),
    "another precision": lambda: counted(GrowingCA(dtype="mixed_float16")),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_nothing_is_replaced_by_what_it_derives_from(name, capsys):
    step = UNKNOWN[name]()
    assert sparse.supports(step)
    state, masks = random_state(step, SHAPE), random_masks(step, SHAPE)
    dense = tfnca.rollout(step, state, 3, engine="dense", seed=0, **masks)
    np.testing.assert_array_equal(
        tfnca.rollout(step, state, 3, engine="auto", seed=0, **masks), dense
    )
    assert np.abs(dense).max() > 0
    with pytest.raises(ValueError, match=f"(?s)sparse.*Received: {type(step).__name__}"):
        tfnca.rollout(step, state, 3, engine="sparse", seed=0, **masks)


def test_auto_says_once_that_it_takes_the_dense_engine(capsys):
    class Unheard(GrowingCA):
        def living(self, state):
            return super().living(state)

    assert resolve_engine("auto", Unheard()) == resolve_engine("auto", Unheard()) == "dense"
    assert capsys.readouterr().err.count("Unheard is run by the dense engine") == 1


# Nothing is kept


@pytest.mark.parametrize("name", STEPS)
def test_a_step_is_freed_after_its_rollouts(name, engine):
    step = LAYERS[name]()
    state, masks = tf.constant(random_state(step, SHAPE)), random_masks(step, SHAPE)
    with tf.GradientTape() as tape:
        tape.watch(state)
        total = tf.reduce_sum(tfnca.rollout(step, state, 2, engine=engine, seed=0, **masks))
    tape.gradient(total, state)
    gone = weakref.ref(step)
    del step, tape, total
    gc.collect()
    assert gone() is None


def test_a_tape_is_kept_only_where_a_gradient_follows_and_only_until_then():
    step = shuffled(GrowingCA(), seed=1)
    state = tf.constant(random_state(step, SHAPE))
    for ticket in list(tapes._tapes):
        tapes.take(ticket)
    with tf.GradientTape() as tape:
        tape.watch(state)
        final = tfnca.rollout(step, state, 3, engine="sparse", seed=0)
    assert tapes.count() == 0
    tape.gradient(final, state)
    assert tapes.count() == 0
    trainer = tfnca.Trainer(step, tfnca.TargetLoss(np.zeros((6, 7, 4))), steps=3, engine="sparse")
    trainer.compile(keras.optimizers.Adam(1e-3))
    pool = tfnca.GrowingPool(tfnca.seed_state((6, 7)), size=8)
    trainer.fit(pool, epochs=1, steps_per_epoch=3, verbose=0)
    assert tapes.count() == 0
    for _ in range(10):
        run_recorded(step, state, NUMBERS[0], None, *NUMBERS[1:], engine="sparse")
    assert tapes.count() == tapes.TAPES_KEPT
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(state)
        final, _ = run_recorded(step, state, NUMBERS[0], None, *NUMBERS[1:], engine="sparse")
    first, second = (tape.gradient(final, state) for _ in range(2))
    assert np.abs(first).max() > 0
    np.testing.assert_array_equal(first, second)


def blas_threads():

    return [library["num_threads"] for library in tiles._blas.info()]


def test_blas_has_its_threads_back_after_rollouts_at_the_same_time():

    inside, go_on = threading.Event(), threading.Event()

    def first():
        with tiles._one_thread_a_product():
            inside.set()
            go_on.wait(60)

    before = blas_threads()
    worker = threading.Thread(target=first)
    worker.start()
    inside.wait(60)
    with tiles._one_thread_a_product():
        assert set(blas_threads()) == {1}
        go_on.set()
        worker.join()
        assert set(blas_threads()) == {1}  # this run still lasts
    assert blas_threads() == before


def test_blas_is_held_to_one_thread_whichever_thread_runs():

    seen, before = [], blas_threads()

    def run():
        with tiles._one_thread_a_product():
            seen.append(set(blas_threads()))

    for _ in range(3):
        worker = threading.Thread(target=run)
        worker.start()
        worker.join(60)
        run()
    assert seen == [{1}] * 6
    assert blas_threads() == before


def test_steps_of_several_kinds_in_one_process_bring_no_warning(caplog):
    for name in [*STEPS, *STEPS]:
        step = LAYERS[name]()
        for batch in (1, 2, 3):
            state = random_state(step, (batch, 5, 6))
            tfnca.rollout(step, state, 1, seed=0, **random_masks(step, (batch, 5, 6)))
            tfnca.rollout(step, state, 1, seed=0)
    assert "retracing" not in caplog.text


def test_a_setting_changed_between_two_fits_is_trained_with(engine):
    losses = []
    for rate in (None, 0.0):
        ca = counted(GrowingCA())
        trainer = tfnca.Trainer(ca, tfnca.TargetLoss(np.zeros((6, 7, 4))), steps=3, engine=engine)
        trainer.compile(keras.optimizers.SGD(0.0))
        pool = tfnca.GrowingPool(random_state(ca, (1, 6, 7))[:1], size=8)
        trainer.fit(pool, epochs=1, steps_per_epoch=1, verbose=0)
        if rate is not None:
            ca.fire_rate = rate
        history = trainer.fit(pool, epochs=1, steps_per_epoch=1, verbose=0)
        losses.append(history.history["loss"][0])
    assert losses[0] != losses[1]
