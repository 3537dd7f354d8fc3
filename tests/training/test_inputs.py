"""Training a rule that is given inputs: the gradients of a loop written by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from rules import RULES, filled, some_state

import tfnca
from tfnca.training.pools import Pool

SIZE, SLOTS, STEPS, RATE = 8, 4, 3, 0.01
GOALS = {"per item": (SLOTS, 3), "per cell": (SLOTS, SIZE, SIZE, 3)}


class Everything(Pool):
    """Draws all slots in order."""

    def draw(self, seed, index, loss):
        return next(self.batches())


def loss(state, batch):
    """Each item should come near its first input."""
    goal = tf.reduce_mean(tf.reshape(batch.inputs[..., 0], (tf.shape(state)[0], -1)), axis=1)
    return tf.reduce_mean(tf.square(state - goal[:, None, None, None]), axis=(1, 2, 3))


def step_of(kind):
    rule = {**RULES["alpha, inputs"], "channels": 6}
    host, other = filled(rule), filled(rule, seed=1)
    if kind == "alone":
        return host
    if kind == "perturbed":
        return tfnca.Perturbed(host, np.diag(np.linspace(0.9, 1.1, 6)))
    return tfnca.Injected(host, filled({**rule, "inputs": 0}, 2) if kind == "untold" else other)


def problem(kind, shape):
    random, step = np.random.default_rng(3), step_of(kind)
    state = some_state(step.networks[0].rule, (SLOTS, SIZE, SIZE))
    goals = random.normal(size=shape).astype(np.float32)
    masks = (random.random(state.shape[:3]) < 0.4) if step.has_adversary else None
    return step, Everything(state, SLOTS, masks, goals)


@pytest.mark.parametrize("shape", GOALS)
@pytest.mark.parametrize("kind", ["alone", "perturbed", "injected", "untold"])
def test_gradients_are_those_of_a_loop(kind, shape):
    step, pool = problem(kind, GOALS[shape])
    variables = [variable.value for variable in step.trainable_variables]
    before = [np.array(variable) for variable in variables]
    batch = next(pool.batches())
    with tf.GradientTape() as tape:
        state = batch.state
        for index in range(STEPS):
            given = {} if batch.mask is None else {"mask": batch.mask}
            state = step(state, seed=7, index=index, inputs=batch.inputs, **given)
        total = tf.reduce_mean(loss(state, batch))
    expected = tape.gradient(total, variables)

    trainer = tfnca.Trainer(step, loss, STEPS, "dense", seed=7, normalize_gradients=False)
    trainer.compile(keras.optimizers.SGD(RATE))
    trainer.fit(pool, steps_per_epoch=1, verbose=0)
    for old, variable, gradient in zip(before, variables, expected, strict=True):
        largest = np.abs(gradient).max()
        np.testing.assert_allclose(
            (old - variable) / RATE, gradient, rtol=0, atol=1e-3 * largest + 1e-4
        )
    assert max(np.abs(gradient).max() for gradient in expected) > 0.01
    np.testing.assert_allclose(pool.variables["states"], state, atol=1e-4 * np.abs(state).max())
    np.testing.assert_array_equal(pool.variables["inputs"], batch.inputs)


def test_an_evaluation_is_given_the_inputs_of_its_batch():
    step, pool = problem("alone", GOALS["per item"])
    trainer = tfnca.Trainer(step, loss, STEPS, seed=7)
    batch = next(pool.batches())
    final = tfnca.rollout(step, batch.state, STEPS, seed=7, inputs=batch.inputs)
    expected = float(tf.reduce_mean(loss(final, batch)))
    assert trainer.evaluate(pool) == pytest.approx(expected, rel=1e-4)
    own = tfnca.Batch(state=np.asarray(batch.state), inputs=np.asarray(batch.inputs, np.float64))
    assert trainer.evaluate(own) == pytest.approx(expected, rel=1e-4)


def test_evaluations_may_alternate_between_kinds_of_inputs():
    step = step_of("alone")
    trainer = tfnca.Trainer(step, loss, STEPS, seed=7)
    random = np.random.default_rng(5)
    for count, size, per_cell in [(4, 8, 0), (4, 8, 1), (2, 6, 0), (3, 7, 1)]:
        state = some_state(step.rule, (count, size, size))
        inputs = random.normal(size=(count, size, size, 3) if per_cell else (count, 3))
        batch = tfnca.Batch(state=state, inputs=inputs.astype(np.float32))
        final = tfnca.rollout(step, state, STEPS, seed=7, inputs=batch.inputs)
        expected = float(tf.reduce_mean(loss(final, batch)))
        assert trainer.evaluate(batch) == pytest.approx(expected, rel=1e-4)
        with pytest.raises(ValueError, match=r"^NeuralCA takes inputs .* Received: none$"):
            trainer.evaluate(state)


def test_items_that_recover_keep_their_inputs():
    step, pool = problem("injected", GOALS["per item"])
    seen = []

    def recovery(state, batch):
        seen.append(batch.inputs.shape)
        return loss(state, batch)

    options = {"recovery_items": 2, "recovery_loss": recovery, "seed": 7}
    trainer = tfnca.Trainer(step, loss, STEPS, **options)
    trainer.compile("sgd")
    trainer.fit(pool, steps_per_epoch=1, verbose=0)
    assert seen[0] == (2, 3)


def test_a_growing_pool_keeps_each_slots_inputs():
    goals = np.arange(SLOTS * 3, dtype=np.float32).reshape(SLOTS, 3)
    seed = tfnca.seed_state(SIZE, 1, 6)
    pool = tfnca.GrowingPool(seed, size=SLOTS, batch_size=3, damaged=1, inputs=goals)
    batch = pool.draw(0, 0, tfnca.TargetLoss(np.zeros((SIZE, SIZE, 4))))
    np.testing.assert_array_equal(batch.inputs, goals[batch.slots])
    pool.put(batch, batch.state)
    np.testing.assert_array_equal(pool.variables["inputs"], goals)
    with pytest.raises(ValueError, match=r"inputs of shape \(5, 3\)"):
        tfnca.GrowingPool(seed, size=SLOTS, batch_size=3, inputs=np.zeros((5, 3)))


def test_inputs_that_no_network_takes_are_an_error():
    rule = {**RULES["alpha, inputs"], "inputs": 0}
    step = tfnca.Injected(filled(rule), filled(rule, 1))
    state = some_state(step.host.rule, (1, SIZE, SIZE))
    for engine in ("dense", "sparse"):
        with pytest.raises(ValueError, match="takes inputs of shape none"):
            tfnca.rollout(step, state, 2, np.ones((1, SIZE, SIZE)), engine=engine, inputs=[[1.0]])
    told = filled(RULES["alpha, inputs"])
    pool = Everything(some_state(told.rule, (SLOTS, SIZE, SIZE)), SLOTS)
    trainer = tfnca.Trainer(told, lambda state, batch: state[:, 0, 0, 0], STEPS)
    trainer.compile("sgd")
    with pytest.raises(ValueError, match="takes inputs of shape"):
        trainer.fit(pool, steps_per_epoch=1, verbose=0)
