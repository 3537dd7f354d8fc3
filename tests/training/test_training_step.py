"""What Keras' own training step does, the trainer's does too."""

import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from descriptors import LAYERS, counted, random_state

import tfnca
from tfnca.automata.growing import GrowingCA
from tfnca.automata.mnist import MNISTCA
from tfnca.jobs.precision import computing_in
from tfnca.training.workers import ALONE, mean_of_shards

SHAPE = (2, 6, 7)


def trainer_of(step, steps=3, rate=1e-2, **kwargs):
    loss = kwargs.pop("loss", tfnca.TargetLoss(np.zeros((6, 7, 4))))
    trainer = tfnca.Trainer(step, loss, steps=steps, **kwargs)
    trainer.compile(keras.optimizers.SGD(rate))
    return trainer, tfnca.GrowingPool(random_state(step, (1, 6, 7)), size=8)


@keras.saving.register_keras_serializable("test_training_step")
class WithLayers(GrowingCA):
    """A Growing CA with layers that do something else in training."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.drop, self.norm = keras.layers.Dropout(0.9), keras.layers.BatchNormalization()
        self.norm.build((None, None, None, self.channels))

    def advance(self, state, context):
        state = super().advance(state, context)
        self.norm(state)
        return self.drop(state)


def test_training_reaches_a_users_layers_and_not_a_frozen_host():
    ca = counted(WithLayers())
    trainer, pool = trainer_of(ca, steps=1)
    before = ca.norm.moving_mean.numpy().copy()
    state = random_state(ca, SHAPE)
    assert np.mean(np.abs(tfnca.rollout(ca, state, 1, seed=0)) > 0) > 0.3  # nothing is dropped
    trainer.fit(pool, steps_per_epoch=1, verbose=0)
    assert np.abs(ca.norm.moving_mean.numpy() - before).max() > 1e-4
    dropped = pool.variables["states"].numpy()
    assert 0 < np.mean(dropped != 0) < 0.2  # of a Dropout(0.9)
    step = tfnca.Injected(ca, counted(GrowingCA()))
    trainer, _ = trainer_of(step)
    pool = tfnca.GrowingPool(random_state(ca, (1, 6, 7)), 8, where=np.ones((6, 7)), density=0.1)
    before = step.host.norm.moving_mean.numpy().copy()
    trainer.fit(pool, steps_per_epoch=1, verbose=0)
    np.testing.assert_array_equal(step.host.norm.moving_mean, before)


@keras.saving.register_keras_serializable("test_training_step")
class Adding(GrowingCA):
    """A Growing CA that adds a loss of its own in each step."""

    def advance(self, state, context):
        self.add_loss(tf.reduce_sum(self.update_layers[0].bias))
        return super().advance(state, context)


@pytest.mark.parametrize("engine", ["dense", "auto"])
def test_losses_that_layers_add_are_added(engine):
    ca, plain = counted(Adding()), counted(GrowingCA())
    for step in (ca, plain):
        trainer, pool = trainer_of(step, engine=engine, normalize_gradients=False)
        history = trainer.fit(pool, steps_per_epoch=1, verbose=0)
        assert np.isfinite(history.history["loss"]).all()
    moved = ca.update_layers[0].bias.numpy() - plain.update_layers[0].bias.numpy()
    np.testing.assert_allclose(moved, -3 * 1e-2, atol=1e-5)  # three steps, a rate of 0.01


@pytest.mark.parametrize("engine", ["dense", "sparse"])
def test_regularisers_of_weights_are_added(engine):
    def make(factor):
        ca = counted(GrowingCA())
        ca.update_layers[0].kernel.regularizer = keras.regularizers.L2(factor)
        return ca

    kernels = []
    for factor in (0.0, 1.0):
        trainer, pool = trainer_of(make(factor), engine=engine, normalize_gradients=False)
        start = trainer.step.update_layers[0].kernel.numpy()
        trainer.fit(pool, steps_per_epoch=1, verbose=0)
        kernels.append(trainer.step.update_layers[0].kernel.numpy())
    np.testing.assert_allclose(kernels[1] - kernels[0], -2 * 1e-2 * start, atol=1e-6)


@keras.saving.register_keras_serializable("test_training_step")
class Spare(GrowingCA):
    """A Growing CA with a weight that nothing uses."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.spare = self.add_weight(shape=(3,), name="spare")


def test_a_weight_that_is_not_used_brings_keras_own_warning():
    ca = counted(Spare())
    trainer, pool = trainer_of(ca)
    before = ca.get_weights()
    with pytest.warns(UserWarning, match=r"Gradients do not exist for variables .*spare"):
        trainer.fit(pool, steps_per_epoch=1, verbose=0)
    changed = [np.any(a != b) for a, b in zip(before, ca.get_weights(), strict=True)]
    assert sum(changed) == len(changed) - 1
    trainer.share(2)
    with pytest.warns(UserWarning, match=r"Gradients do not exist for variables .*spare"):
        trainer.fit(pool, steps_per_epoch=1, verbose=0)


def test_the_mean_of_shards_leaves_out_what_has_no_gradient():
    shards = [
        (tf.constant(x), tf.constant(2 * x), [None, tf.constant([x, x]), None]) for x in (1.0, 3.0)
    ]
    loss, total, gradients = mean_of_shards(shards, ALONE)
    assert (float(loss), float(total)) == (2.0, 4.0)
    assert gradients[0] is None
    assert gradients[2] is None
    np.testing.assert_array_equal(gradients[1], [2.0, 2.0])


WRONG = {
    "none": (None, "loss must be a function.*Received: loss=None"),
    "a loss of Keras": (keras.losses.MeanSquaredError(), r"loss must be a function loss\(state, b"),
    "one number": (lambda state, batch: tf.reduce_mean(state), r"one number per item.*shape \(\)"),
    "rows": (
        lambda state, batch: tf.reduce_mean(state, (1, 2)),
        r"one number per item.*shape \(8, 16\)",
    ),
    "fewer": (
        lambda state, batch: tf.reduce_mean(state, (1, 2, 3))[:3],
        r"one number per item, 8 of them. Received: 3",
    ),
    "whole numbers": (lambda state, batch: tf.range(8), "floats.*Received: int32"),
    "a text": (lambda state, batch: "low", "floats.*Received: string"),
    "nothing": (lambda state, batch: None, "must return a tensor. Received: NoneType"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_loss_that_is_none_says_so(wrong):
    loss, message = WRONG[wrong]

    def fit(**kwargs):
        trainer, pool = trainer_of(counted(GrowingCA()), **kwargs)
        trainer.fit(pool, steps_per_epoch=1, verbose=0)

    with pytest.raises(ValueError, match=f"(?s){message}"):
        fit(loss=loss)


def test_a_recovery_loss_of_another_shape_is_not_broadcast():
    step = tfnca.Perturbed(counted(GrowingCA()))
    trainer, pool = trainer_of(
        step, recovery_items=2, recovery_loss=lambda state, batch: tf.reduce_mean(state)
    )
    with pytest.raises(ValueError, match=r"(?s)recovery_loss must return one number per item"):
        trainer.fit(pool, steps_per_epoch=1, verbose=0)


@pytest.fixture
def checked_numbers():
    tf.debugging.enable_check_numerics()
    try:
        yield
    finally:
        tf.debugging.disable_check_numerics()


@pytest.mark.parametrize("name", ["GrowingCA", "Injected MNISTCA", "Verified", "Perturbed"])
def test_sound_numbers_pass_tensorflows_check(name, checked_numbers, engine):
    step = LAYERS[name]()
    state = random_state(step, SHAPE)
    kwargs = {"mask": np.ones(SHAPE)} if step.has_adversary else {}
    assert np.isfinite(tfnca.rollout(step, state, 2, seed=0, engine=engine, **kwargs)).all()


@pytest.mark.parametrize("reset_threshold", [None, 5.0])
def test_a_sound_fit_passes_tensorflows_check(reset_threshold, checked_numbers, engine):
    step = counted(GrowingCA())
    trainer, _ = trainer_of(
        step,
        engine=engine,
        loss=tfnca.TargetLoss(np.zeros((6, 7, 4)), drift_penalty=0.1, overflow=0.1),
    )
    pool = tfnca.GrowingPool(random_state(step, (1, 6, 7)), size=8, reset_threshold=reset_threshold)
    trainer.fit(pool, steps_per_epoch=2, verbose=0)
    assert int(trainer.steps_done) == 2


def test_a_fit_on_digits_passes_tensorflows_check(checked_numbers, engine):
    random = np.random.default_rng(0)
    digits = tfnca.Digits(random.random((9, 6, 7), np.float32), np.arange(9), "drawn at random")
    step = tfnca.Injected(MNISTCA(), MNISTCA())
    trainer = tfnca.Trainer(step, tfnca.ClassLoss(digit=8), steps=2, engine=engine)
    trainer.compile(keras.optimizers.Adam(1e-3))
    trainer.fit(tfnca.DigitPool(digits, 8, 4, density=0.3), steps_per_epoch=1, verbose=0)
    assert int(trainer.steps_done) == 1


def test_another_precision_is_lent_and_given_back():
    step = GrowingCA(dtype="mixed_bfloat16")
    step.update_layers[1].dtype_policy = "float32"
    trainer, _ = trainer_of(step)

    def policies():
        return [layer.dtype_policy.name for layer in (step, *step.update_layers)]

    before = policies()
    assert len(set(before)) == 2
    with contextlib.suppress(KeyError), computing_in("mixed_float16", trainer, "dense"):
        assert policies() == ["mixed_float16"] * 3
        raise KeyError
    assert policies() == before
