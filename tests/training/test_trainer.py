"""The trainer: what it changes and what it leaves, what it computes, and that it learns."""

import csv
import dataclasses
import functools
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from descriptors import LAYERS, counted, shuffled, symmetric
from tensorflow.python.framework.config import disable_op_determinism

import tfnca
from tfnca.automata.step import Step

SIZE = 12
TARGET = np.zeros((SIZE, SIZE, 4), np.float32)
TARGET[4:8, 4:8] = (0.8, 0.2, 0.0, 1.0)
WHERE = TARGET[..., 3] > 0
DIGITS = tfnca.load_digits("train", count=8, source="sample")
DIGITS = dataclasses.replace(DIGITS, images=DIGITS.images[:, ::2, ::2])  # 14×14: a fourth of it


@pytest.fixture
def deterministic():
    """What `experiment.start` sets for a run."""
    keras.utils.set_random_seed(0)
    tf.config.experimental.enable_op_determinism()
    yield
    disable_op_determinism()


def soft(ca, seed):
    """Random weights with small updates, so that states stay alive and bounded."""
    shuffled(ca, seed)
    for weight in ca.update_layers[-1].weights:
        weight.assign(0.05 * weight)
    return ca


def grown():
    state = np.full((1, SIZE, SIZE, 16), 0.3, np.float32)
    state[..., 3] = 1.0
    return state


def growing_injection():
    return tfnca.Injected(soft(tfnca.GrowingCA(), 1), soft(tfnca.GrowingCA(), 2))


def digit_injection():
    return tfnca.Injected(soft(tfnca.MNISTCA(), 1), soft(tfnca.MNISTCA(), 2))


def perturbed():
    return tfnca.Perturbed(soft(tfnca.GrowingCA(), 1), symmetric(2, strength=0.02))


STEPS = {
    "GrowingCA": lambda: soft(tfnca.GrowingCA(), 0),
    "MNISTCA": lambda: soft(tfnca.MNISTCA(), 0),
    "Injected": growing_injection,
    "Injected MNISTCA": digit_injection,
    "Perturbed": perturbed,
}


def job(name, steps=(3, 5), engine="auto", seed=0, optimizer=None, **kwargs):
    """A compiled trainer and its pool for a step of this name."""
    step = STEPS[name]()
    density = 0.3 if name.startswith("Injected") else None
    if "MNIST" in name:
        loss = tfnca.ClassLoss(digit=8 if density else None)
        pool = tfnca.DigitPool(DIGITS, 12, 4, density=density, seed=seed)
    else:
        loss = tfnca.TargetLoss(TARGET)
        where = WHERE if density else None
        pool = tfnca.GrowingPool(grown(), 12, 4, where=where, density=density, seed=seed)
    trainer = tfnca.Trainer(step, loss, steps, engine=engine, seed=seed, **kwargs)
    trainer.compile(optimizer or keras.optimizers.Adam(1e-3))
    return trainer, pool


def losses(trainer, pool, count):
    """The loss of each of `count` training steps."""
    return trainer.fit(pool, epochs=count, steps_per_epoch=1, verbose=0).history["loss"]


def everything(trainer, pool):
    """All that a run holds, as arrays."""
    variables = [*trainer.step.variables, *trainer.optimizer.variables, *pool.variables.values()]
    return [variable.numpy() for variable in variables]


def same(first, second):
    return [np.array_equal(a, b) for a, b in zip(first, second, strict=True)]


# What is trained, and what is not


@dataclasses.dataclass
class Run:
    """A short run, and the weights before it."""

    trainer: tfnca.Trainer
    host_before: list
    trained_before: list
    losses: list


@functools.cache
def short_run(name, engine):
    trainer, pool = job(name, engine=engine)
    host = getattr(trainer.step, "host", None)
    before = host.get_weights() if host else [], trainer.step.trained.get_weights()
    return Run(trainer, *before, losses(trainer, pool, 5))


@pytest.mark.parametrize("engine", ["dense", "sparse"])
@pytest.mark.parametrize("name", ["Injected", "Injected MNISTCA", "Perturbed"])
def test_the_host_stays_bit_identical_and_has_no_slot(name, engine):
    run = short_run(name, engine)
    host, trained = run.trainer.step.host, run.trainer.step.trained
    assert run.host_before
    assert all(same(run.host_before, host.get_weights()))
    assert not any(same(run.trained_before, trained.get_weights()))
    # Adam's own are the count of steps and the learning rate; each weight has two moments.
    assert len(run.trainer.optimizer.variables) == 2 + 2 * len(trained.weights)


def test_wrapping_and_training_leave_the_callers_host_as_it_was():
    host = counted(tfnca.MNISTCA())
    before = host.get_weights()
    trainer = tfnca.Trainer(tfnca.Injected(host, tfnca.MNISTCA()), tfnca.ClassLoss(digit=8), 3)
    trainer.compile(keras.optimizers.Adam(1e-3))
    trainer.fit(tfnca.DigitPool(DIGITS, 8, 4, density=0.3), steps_per_epoch=2, verbose=0)
    assert host.trainable
    assert len(host.trainable_variables) == 6
    assert all(same(before, host.get_weights()))


@pytest.mark.parametrize(
    "loss",
    [
        lambda state, batch: keras.ops.mean(state, (1, 2, 3)) * np.nan,
        lambda state, batch: keras.ops.sqrt(keras.ops.mean(0 * state, (1, 2, 3))),
    ],
    ids=["nan", "nan gradient"],
)
def test_a_loss_that_is_not_finite_changes_nothing(loss):
    trainer, pool = job("Injected")
    trainer.loss_of_states = loss
    trainer.attach(pool)
    before = everything(trainer, pool)
    assert np.isnan(losses(trainer, pool, 2)).all()
    assert all(same(before, everything(trainer, pool)))


def test_the_final_states_go_back_into_the_pool():
    trainer, pool = job("GrowingCA", steps=3, optimizer=keras.optimizers.SGD(0.0))
    before = pool.variables["states"].numpy()
    batch = pool.draw(trainer.seed, 0, trainer.loss_of_states)
    losses(trainer, pool, 1)
    expected = before.copy()
    expected[batch.slots.numpy()] = tfnca.rollout(trainer.step, batch.state, 3, seed=0)
    assert not np.allclose(expected, before, atol=1e-2)
    np.testing.assert_allclose(pool.variables["states"], expected, atol=1e-6)


def test_another_pool_can_follow():
    trainer, first = job("GrowingCA")
    _, second = job("GrowingCA")
    losses(trainer, first, 1)
    before = [pool.variables["states"].numpy() for pool in (first, second)]
    losses(trainer, second, 1)
    after = [pool.variables["states"].numpy() for pool in (first, second)]
    assert same(before, after) == [True, False]


# What a training step computes


@pytest.mark.parametrize(
    ("name", "normalize"),
    [("Injected MNISTCA", True), ("Perturbed", True), ("GrowingCA", True), ("GrowingCA", False)],
)
def test_each_gradient_is_divided_by_its_own_norm(name, normalize):
    optimizer = keras.optimizers.SGD(1.0)
    trainer, pool = job(name, 3, "dense", 5, optimizer, normalize_gradients=normalize)
    step, variables = trainer.step, trainer.step.trainable_variables
    before = [v.numpy() for v in variables]
    batch = pool.draw(5, 0, trainer.loss_of_states)
    with tf.GradientTape() as tape:
        final = tfnca.rollout(step, batch.state, 3, batch.mask, seed=5, engine="dense")
        loss = tf.reduce_mean(trainer.loss_of_states(final, batch))
    gradients = [g.numpy() for g in tape.gradient(loss, [v.value for v in variables])]
    np.testing.assert_allclose(losses(trainer, pool, 1), [loss], rtol=1e-5)
    for old, new, gradient in zip(before, variables, gradients, strict=True):
        norm = np.sqrt(np.sum(gradient.astype(np.float64) ** 2))
        assert norm > 1e-6
        assert abs(norm - 1) > 0.01
        update = -gradient / (norm + 1e-8) if normalize else -gradient
        scale = np.abs(update).max()
        np.testing.assert_allclose(new.numpy() - old, update, rtol=1e-3, atol=1e-4 * scale)


def test_the_loss_is_told_where_adversaries_stand():
    trainer, pool = job("Injected", steps=3)
    trainer.loss_of_states = tfnca.TargetLoss(np.ones((*pool.where.shape, 4)), own_weight=0.0)
    batch = pool.draw(trainer.seed, 0, trainer.loss_of_states)
    final = tfnca.rollout(trainer.step, batch.state, 3, batch.mask, seed=trainer.seed)
    errors = np.square(final[..., :4] - 1.0).mean(-1)
    expected = (errors * (1 - batch.mask.numpy())).mean()
    assert abs(errors.mean() / expected - 1) > 0.01
    np.testing.assert_allclose(losses(trainer, pool, 1), [expected], rtol=1e-5)


class Clock(Step):
    """A step that counts itself in channel 0 and shows its number in channel 1."""

    channels = 4

    def __init__(self):
        super().__init__()
        self.weight = self.add_weight(shape=(), initializer="zeros")
        self.built = True

    @property
    def networks(self):
        return [self]

    def call(self, state, seed=0, index=0):
        count = state[..., :1] + 1.0 + self.weight
        return tf.concat([count, 0 * count + tf.cast(index, tf.float32), state[..., 2:]], axis=-1)


def clock_losses(channel, steps, count):
    trainer = tfnca.Trainer(
        Clock(),
        lambda s, batch: tf.reduce_mean(s[..., channel], (1, 2)),
        steps,
        "dense",
    )
    trainer.compile(keras.optimizers.SGD(0.0))
    pool = tfnca.GrowingPool(np.zeros((1, 3, 3, 4)), 4, 2, restarts=2, damaged=0)
    return losses(trainer, pool, count)


def test_the_number_of_steps_is_drawn_from_the_range_with_both_ends():
    counts = np.bincount(np.round(clock_losses(0, (2, 5), 60)).astype(int), minlength=8)
    assert list(counts > 0) == [False, False, True, True, True, True, False, False]
    assert counts.max() < 30
    assert clock_losses(0, 7, 3) == [7, 7, 7]


def test_no_two_training_steps_share_their_draws():
    last_indices = np.array(clock_losses(1, (64, 95), 5))
    assert np.all(np.diff(last_indices) >= 95)


@pytest.mark.parametrize("steps", [0, (5, 4), (-1, 3), 1 << 14])
def test_a_wrong_number_of_steps_is_named(steps):
    with pytest.raises(ValueError, match=r"steps must be .*Received: steps="):
        tfnca.Trainer(tfnca.GrowingCA(), tfnca.TargetLoss(TARGET), steps)


# Lifting


def plain_loss(state, batch):
    return tf.reduce_mean(tf.square(state[..., :4]), axis=(1, 2, 3))


@pytest.mark.parametrize("engine", ["dense", "sparse"])
@pytest.mark.parametrize("name", ["Injected", "Injected MNISTCA", "Perturbed"])
def test_recovery_items_add_their_loss_after_as_many_steps_of_the_host(name, engine):
    digits = "MNIST" in name
    recovery_loss = tfnca.ClassLoss() if digits else plain_loss
    trainer, pool = job(
        name,
        3,
        engine,
        optimizer=keras.optimizers.SGD(1.0),
        normalize_gradients=False,
        recovery_items=2,
        recovery_loss=recovery_loss,
    )
    step = trainer.step
    before = step.trained.get_weights()
    batch = pool.draw(0, 0, trainer.loss_of_states)
    with tf.GradientTape() as tape:
        state = tfnca.rollout(step, batch.state, 3, batch.mask, engine=engine, seed=0)
        back = tfnca.rollout(step.host, state[-2:], 3, step_offset=3, engine=engine, seed=0)
        loss = tf.reduce_mean(trainer.loss_of_states(state, batch))
        own = tfnca.Batch(labels=batch.labels[-2:] if digits else None)
        total = loss + tf.reduce_sum(recovery_loss(back, own)) / 4
    gradients = tape.gradient(total, [weight.value for weight in step.trainable_variables])
    assert losses(trainer, pool, 1) == [pytest.approx(float(loss), rel=1e-5)]
    for old, weight, gradient in zip(before, step.trained.get_weights(), gradients, strict=True):
        np.testing.assert_allclose(old - weight, gradient, rtol=2e-3, atol=2e-6)
    slots = batch.slots.numpy()
    np.testing.assert_allclose(pool.variables["states"].numpy()[slots], state, atol=1e-5)


def test_wrong_liftings_are_named():
    loss = tfnca.TargetLoss(TARGET)
    for step, wrong in [
        (perturbed(), {"recovery_items": 2}),
        (perturbed(), {"recovery_items": -1, "recovery_loss": loss}),
        (tfnca.GrowingCA(), {"recovery_items": 2, "recovery_loss": loss}),
    ]:
        with pytest.raises(
            ValueError, match=r"requires a recovery_loss.*Received: recovery_items="
        ):
            tfnca.Trainer(step, loss, **wrong)
    trainer, pool = job("Perturbed", recovery_items=5, recovery_loss=loss)
    with pytest.raises(ValueError, match=r"batch's size 4. Received: recovery_items=5"):
        losses(trainer, pool, 1)


# Reproducible, whatever the engine


@pytest.mark.parametrize("name", STEPS)
def test_dense_and_sparse_give_the_same_losses(name):
    dense, sparse = (short_run(name, engine).losses for engine in ("dense", "sparse"))
    assert len(set(dense)) == 5
    np.testing.assert_allclose(sparse, dense, rtol=1e-4)


def test_one_seed_gives_one_run_bit_for_bit(deterministic):
    runs = []
    for seed in (3, 3, 4):
        trainer, pool = job("Injected", seed=seed)
        history = losses(trainer, pool, 5)
        runs.append([*everything(trainer, pool), np.array(history)])
    assert all(same(runs[0], runs[1]))
    assert not same(runs[0], runs[2])[-1]


# Keras' own machinery


def test_keras_callbacks_work(tmp_path, capsys):
    trainer, pool = job("Injected")
    callbacks = [
        keras.callbacks.CSVLogger(tmp_path / "log.csv"),
        keras.callbacks.TensorBoard(tmp_path / "board"),
        keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras"),
        keras.callbacks.LearningRateScheduler(lambda epoch, rate: 0.5 * rate),
    ]
    history = trainer.fit(pool, epochs=2, steps_per_epoch=3, callbacks=callbacks, verbose=1)
    printed = capsys.readouterr().out
    assert "Epoch 2/2" in printed
    assert "3/3" in printed
    assert f"loss: {history.history['loss'][-1]:.4f}" in printed
    rows = list(csv.DictReader((tmp_path / "log.csv").read_text().splitlines()))
    assert [float(row["loss"]) for row in rows] == history.history["loss"]
    assert len(set(history.history["loss"])) == 2
    assert float(trainer.optimizer.learning_rate) == pytest.approx(0.25e-3)
    assert list((tmp_path / "board").rglob("events.out.tfevents.*"))

    adversaries = [tfnca.load(tmp_path / f"{epoch}.keras") for epoch in (1, 2)]
    assert not all(same(*(adversary.get_weights() for adversary in adversaries)))
    assert all(same(adversaries[1].get_weights(), trainer.step.adversary.get_weights()))


@pytest.mark.parametrize("name", ["GrowingCA", "Injected MNISTCA", "Perturbed"])
def test_only_what_is_trained_is_saved(name, tmp_path):
    trainer = short_run(name, "sparse").trainer
    trainer.save(tmp_path / "model.keras")
    loaded = tfnca.load(tmp_path / "model.keras")
    trained = trainer.step.trained
    assert type(loaded) is type(trained)
    assert all(same(loaded.get_weights(), trained.get_weights()))
    with zipfile.ZipFile(tmp_path / "model.keras") as file:
        size = sum(member.file_size for member in file.infolist())
    assert size < 4 * trained.count_params() + 60_000


@pytest.mark.parametrize("name", ["Injected", "Perturbed", "Invasion", "Verified"])
def test_a_file_of_what_is_trained_does_not_lose_a_class_of_ones_own(name, tmp_path):
    base = LAYERS[name]()
    kind = type("Own", (type(base),), {})
    step = kind.from_config(base.get_config())
    trainer = tfnca.Trainer(step, lambda state, batch: state[:, 0, 0, 0], steps=2)
    with pytest.raises(ValueError, match=r"would lose the class Own.*save_model\(trainer.step, f"):
        trainer.save(tmp_path / "model.keras")
    keras.saving.register_keras_serializable("test_trainer")(kind)
    try:
        keras.saving.save_model(trainer.step, tmp_path / "model.keras")  # what the message says
        loaded = tfnca.load(tmp_path / "model.keras")
    finally:
        keras.saving.get_custom_objects().pop("test_trainer>Own")
    assert type(loaded) is kind
    keras.saving.save_model(step.trained, tmp_path / "part.keras")
    assert type(tfnca.load(tmp_path / "part.keras")) is type(step.trained)
    kind.trained = property(lambda self: super(kind, self).trained)  # it says itself what is saved
    trainer.save(tmp_path / "model.keras")


def test_the_history_is_the_mean_over_each_epoch():
    each = short_run("GrowingCA", "sparse").losses
    trainer, pool = job("GrowingCA", engine="sparse")
    history = trainer.fit(pool, epochs=2, steps_per_epoch=2, verbose=0)
    assert list(history.history) == ["loss"]
    assert history.epoch == [0, 1]
    means = [np.mean(each[:2]), np.mean(each[2:4])]
    np.testing.assert_allclose(history.history["loss"], means, rtol=1e-5)


# Learning


def fall(trainer, pool, count):
    """Mean loss of the last tenth of a run over that of the first tenth."""
    history = trainer.fit(pool, epochs=10, steps_per_epoch=count // 10, verbose=0)
    return history.history["loss"][-1] / history.history["loss"][0]


def test_a_growing_ca_learns(engine):
    keras.utils.set_random_seed(0)
    trainer = tfnca.Trainer(tfnca.GrowingCA(), tfnca.TargetLoss(TARGET), (8, 10), engine)
    trainer.compile(keras.optimizers.Adam(2e-3))
    pool = tfnca.GrowingPool(tfnca.seed_state(SIZE), 16, 4, damaged=1)
    assert fall(trainer, pool, 120) < 0.4


def test_an_mnist_ca_learns():
    keras.utils.set_random_seed(0)
    trainer = tfnca.Trainer(tfnca.MNISTCA(), tfnca.ClassLoss(), 10)
    trainer.compile(keras.optimizers.Adam(3e-3))
    few = dataclasses.replace(DIGITS, images=DIGITS.images[:3], labels=DIGITS.labels[:3])
    assert fall(trainer, tfnca.DigitPool(few, 16, 8), 100) < 0.7


def test_an_adversary_learns_against_a_frozen_host():
    keras.utils.set_random_seed(0)
    step = tfnca.Injected(tfnca.MNISTCA(), tfnca.MNISTCA())
    trainer = tfnca.Trainer(step, tfnca.ClassLoss(digit=8), 10)
    trainer.compile(keras.optimizers.Adam(3e-3))
    # Adversaries at half of the cells, and a host that says nothing: half of the loss can go.
    assert fall(trainer, tfnca.DigitPool(DIGITS, 16, 8, density=0.5), 100) < 0.6


def test_a_perturbation_learns():
    """The host stands still, so turning it pale is a matter of the matrix alone."""
    target = 0.9 * grown()[0, ..., :4]
    trainer = tfnca.Trainer(tfnca.Perturbed(tfnca.GrowingCA()), tfnca.TargetLoss(target), 2)
    trainer.compile(keras.optimizers.Adam(2e-3))
    pool = tfnca.GrowingPool(grown(), 8, 4, restarts=4, damaged=0)
    assert fall(trainer, pool, 60) < 0.4
