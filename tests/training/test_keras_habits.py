"""A trainer in a Keras user's hands: each habit works, or one error says which tool does it."""

import csv

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfnca
from tfnca.training.callbacks import TRIES

SIZE = 6
STATES = np.zeros((1, SIZE, SIZE, 16), np.float32)
TARGET = np.full((SIZE, SIZE, 4), 0.5, np.float32)
DIGITS = tfnca.load_digits("train", count=8, source="sample")


def growing_pool(**settings):
    state = np.full((1, SIZE, SIZE, 16), 0.3, np.float32)
    return tfnca.GrowingPool(state, **{"size": 6, "batch_size": 2, "damaged": 0} | settings)


def my_loss(state, batch):
    return tf.reduce_mean(tf.square(state[..., :4] - 0.5), axis=(1, 2, 3))


def job(optimizer=None, loss=my_loss, **settings):
    trainer = tfnca.Trainer(tfnca.GrowingCA(hidden=8), loss, 2, **settings)
    trainer.compile(optimizer or keras.optimizers.Adam(1e-3))
    return trainer


# What works


def test_callbacks_see_the_loss_of_a_rollout(tmp_path):
    trainer, held_out = job(), growing_pool()
    before = held_out.variables["states"].numpy()
    callbacks = [
        keras.callbacks.EarlyStopping(monitor="val_loss", patience=1, min_delta=1e9),
        keras.callbacks.ModelCheckpoint(
            tmp_path / "best.keras", monitor="val_loss", save_best_only=True
        ),
        keras.callbacks.ModelCheckpoint(
            tmp_path / "{epoch}.weights.h5", save_weights_only=True, save_freq="epoch"
        ),
        keras.callbacks.CSVLogger(tmp_path / "log.csv"),
        keras.callbacks.LearningRateScheduler(lambda epoch, rate: 0.5 * rate),
    ]
    history = trainer.fit(
        growing_pool(), 9, 2, held_out, callbacks=callbacks, verbose=0, validation_steps=3
    )
    assert history.epoch == [0, 1]  # it never got better by so much
    last = history.history["val_loss"][-1]
    assert trainer.evaluate(held_out, steps=3) == pytest.approx(last, rel=1e-6)
    np.testing.assert_array_equal(held_out.variables["states"].numpy(), before)
    rows = list(csv.DictReader((tmp_path / "log.csv").read_text().splitlines()))
    assert [float(row["val_loss"]) for row in rows] == history.history["val_loss"]
    assert float(trainer.optimizer.learning_rate) == pytest.approx(0.25e-3)
    best = tfnca.load(tmp_path / "best.keras")
    assert isinstance(best, tfnca.GrowingCA)
    assert (tmp_path / "2.weights.h5").exists()


def test_validation_may_be_rare():
    history = job().fit(
        growing_pool(), 4, 1, growing_pool(), validation_freq=2, validation_steps=1, verbose=0
    )
    assert len(history.history["val_loss"]) == 2


def test_evaluate_is_the_loss_of_a_rollout():
    mask = tfnca.random_mask(np.ones((3, 28, 28)), 0.3, seed=0)
    step = tfnca.Injected(tfnca.MNISTCA(hidden=8), tfnca.MNISTCA(hidden=8))
    state = tfnca.digit_state(DIGITS.images[:3])
    batch = tfnca.Batch(state=state, mask=mask, labels=DIGITS.labels[:3])
    trainer = tfnca.Trainer(step, tfnca.ClassLoss(), 2, seed=7)
    final = tfnca.rollout(step, state, 4, mask, seed=7)
    expected = float(tf.reduce_mean(tfnca.ClassLoss()(final, batch)))
    assert trainer.evaluate(batch, steps=4) == pytest.approx(expected, rel=1e-5)
    assert trainer.evaluate(batch, 4, return_dict=True) == {"loss": trainer.evaluate(batch, 4)}
    pool = tfnca.DigitPool(DIGITS, 5, 2, density=0.3)
    slots = [float(trainer.evaluate(each)) for each in pool.batches()]
    sizes = [2, 2, 1]
    assert trainer.evaluate(pool) == pytest.approx(np.average(slots, weights=sizes), rel=1e-5)
    for wrong, message in [
        (state, "mask exactly if the step has adversaries.*Received: no mask for Injected"),
        (batch._replace(mask=mask + 6), "mask must be 1"),
        (batch._replace(state=None), "needs initial states"),
        (batch._replace(state=state[..., :12]), "Received: shape="),
    ]:
        with pytest.raises(ValueError, match=message):
            trainer.evaluate(wrong)
    with pytest.raises(ValueError, match=r"steps must be.*Received: steps=0"):
        trainer.evaluate(batch, steps=0)


def test_accumulated_gradients_take_other_batches():
    seen = []

    class Seen(tfnca.GrowingPool):
        def draw(self, seed, index, loss):
            tf.py_function(lambda i: seen.append(int(i)), [index], [])
            return super().draw(seed, index, loss)

    optimizer = keras.optimizers.SGD(0.1, gradient_accumulation_steps=2)
    trainer = job(optimizer)
    before = trainer.step.get_weights()
    pool = Seen(np.full((1, SIZE, SIZE, 16), 0.3, np.float32), 6, 2, damaged=0)
    trainer.fit(pool, 1, 1, verbose=0)
    assert all(
        np.array_equal(a, b) for a, b in zip(before, trainer.step.get_weights(), strict=True)
    )
    trainer.fit(pool, 1, 3, verbose=0)
    assert seen == [0, 1, 2, 3]
    assert not np.array_equal(before[-1], trainer.step.get_weights()[-1])
    assert (int(trainer.steps_done), int(trainer.optimizer.iterations)) == (4, 2)


def test_saved_weights_know_how_many_steps_are_done(tmp_path):
    trainer = job()
    trainer.fit(growing_pool(), 1, 3, verbose=0)
    trainer.save_weights(tmp_path / "run.weights.h5")
    fresh = job()
    fresh.load_weights(tmp_path / "run.weights.h5")
    assert int(fresh.steps_done) == 3  # so that no draw comes again
    assert int(fresh.optimizer.iterations) == 3
    for ours, theirs in zip(fresh.step.get_weights(), trainer.step.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_another_optimiser_goes_on_where_the_draws_were():
    trainer, pool = job(), growing_pool()
    trainer.fit(pool, 1, 2, verbose=0)
    trainer.compile(keras.optimizers.SGD(1e-3))
    trainer.fit(pool, 1, 1, verbose=0)
    assert int(trainer.steps_done) == 3


# What another tool does


@pytest.mark.parametrize(
    ("habit", "message"),
    [
        (
            lambda t: t.fit(np.zeros((4, SIZE, SIZE, 16)), np.zeros(4)),
            "fit.pool.*Received: ndarray",
        ),
        (lambda t: t.fit(growing_pool(), batch_size=4), "Received: batch_size"),
        (lambda t: t.fit(growing_pool(), validation_split=0.1), "Received: validation_split"),
        *(
            (lambda t, n=n: t.fit(growing_pool(), 1, n), "steps_per_epoch must be an integer of")
            for n in (None, 0, -1, 2.5, "3")
        ),
        (lambda t: t.fit(growing_pool(), -1), "epochs must be an integer of"),
        (lambda t: t.fit(growing_pool(), "2"), "epochs must be an integer of"),
        *(
            (lambda t, f=f: t.fit(growing_pool(), 1, 1, STATES, **f), f"{next(iter(f))} must be an")
            for f in ({"validation_freq": 0}, {"validation_freq": [1.5]}, {"validation_steps": 0})
        ),
        (
            lambda t: t.train_on_batch(np.zeros((1, SIZE, SIZE, 16))),
            r"fit\(pool, steps_per_epoch=1",
        ),
        (lambda t: t.test_on_batch(STATES), "Call evaluate"),
        (lambda t: t.predict(STATES), "tfnca.rollout"),
        (lambda t: t.predict_on_batch(STATES), "tfnca.rollout"),
        (lambda t: t.compile("adam", loss="mse"), "argument of Trainer.*Received: loss"),
        (lambda t: t.compile("adam", metrics=["mae"]), "Received: metrics"),
        (lambda t: t.save("model.h5"), "save writes .keras files.*Received: filepath='model.h5'"),
        (lambda t: t.save("folder"), "Received: filepath='folder'"),
    ],
)
def test_other_habits_are_told_what_to_do(habit, message):
    with pytest.raises(ValueError, match=message):
        habit(job())


def test_fit_comes_after_compile():
    trainer = tfnca.Trainer(tfnca.GrowingCA(), my_loss, 2)
    with pytest.raises(ValueError, match=r"Call compile.*Received: a trainer that is not compiled"):
        trainer.fit(growing_pool())


# Steps, pools and losses that do not belong together


def digit_pool(**settings):
    return tfnca.DigitPool(DIGITS, 6, 2, **settings)


def masked_pool(**settings):
    return growing_pool(where=np.ones((SIZE, SIZE), bool), density=0.3, **settings)


PAIR = tfnca.Injected(tfnca.GrowingCA(hidden=8), tfnca.GrowingCA(hidden=8))


@pytest.mark.parametrize(
    ("step", "pool", "message"),
    [
        (tfnca.MNISTCA(hidden=8), growing_pool, "GrowingPool does not fit.*with MNISTCA"),
        (tfnca.MNISTCA(channels=16, hidden=8), growing_pool, "never changes channel 0"),
        (
            tfnca.GrowingCA(hidden=8),
            digit_pool,
            "DigitPool does not fit the step: it changes",
        ),
        (tfnca.GrowingCA(channels=20, hidden=8), digit_pool, "it changes channel 0"),
        (tfnca.GrowingCA(channels=24, hidden=8), growing_pool, "24 channels.*Received: 16"),
        (tfnca.GrowingCA(hidden=8), masked_pool, "no adversary.*Received: a mask"),
        (tfnca.Perturbed(tfnca.GrowingCA(hidden=8)), masked_pool, "no adversary"),
        (PAIR, growing_pool, "give it a density.*Received: a pool without masks"),
        (tfnca.Perturbed(PAIR), growing_pool, "Received: a pool without masks"),
    ],
)
def test_a_pool_that_does_not_fit_the_step_is_refused(engine, step, pool, message):
    trainer = tfnca.Trainer(step, my_loss, 2, engine)
    trainer.compile("adam")
    with pytest.raises(ValueError, match=message):
        trainer.fit(pool(), 1, 1, verbose=0)
    with pytest.raises(ValueError, match=message):
        trainer.evaluate(pool())


@pytest.mark.parametrize(
    ("step", "loss", "message"),
    [
        (
            tfnca.GrowingCA(),
            tfnca.ClassLoss(digit=8),
            "loss does not fit.*ClassLoss with",
        ),
        (
            tfnca.MNISTCA(),
            tfnca.TargetLoss(TARGET),
            "TargetLoss with MNISTCA",
        ),
    ],
)
def test_a_loss_for_other_states_is_refused(step, loss, message):
    with pytest.raises(ValueError, match=message):
        tfnca.Trainer(step, loss, 2)
    with pytest.raises(ValueError, match="recovery_loss"):
        tfnca.Trainer(PAIR, my_loss, 2, recovery_items=1, recovery_loss=tfnca.ClassLoss())


@pytest.mark.parametrize("kind", ["growing", "masks", "digits", "recovery"])
def test_a_plain_function_is_a_loss_for_every_pool(kind):
    calls = []

    def plain(state, batch):
        assert state.shape == batch.state.shape
        calls.append([name for name, value in batch._asdict().items() if value is not None])
        return tf.reduce_mean(tf.square(state), axis=(1, 2, 3))

    settings = {}
    if kind == "digits":
        step, pool = tfnca.MNISTCA(hidden=8), digit_pool()
    elif kind == "growing":
        step, pool = tfnca.GrowingCA(hidden=8), growing_pool()
    else:
        step, pool = PAIR, masked_pool()
    if kind == "recovery":
        settings = {"recovery_items": 1, "recovery_loss": plain}
    trainer = tfnca.Trainer(step, plain, 2, **settings)
    trainer.compile("adam")
    assert np.isfinite(trainer.fit(pool, 1, 2, verbose=0).history["loss"]).all()
    told = {"growing": ["centres"], "masks": ["mask", "centres"], "digits": ["labels"]}
    for names in calls[:2]:  # a GrowingPool sorts by it first
        assert names == ["slots", "state", *told.get(kind, ["mask", "centres"])]
    if kind == "recovery":
        assert calls[2] == ["slots", "state", "centres"]


# Losses that are not finite


def test_a_fit_that_cannot_go_on_ends():
    trainer = job(loss=lambda state, batch: tf.reduce_mean(state, (1, 2, 3)) * np.nan)
    with pytest.raises(ValueError, match=rf"training step 1 was not finite in {TRIES} attempts"):
        trainer.fit(growing_pool(), epochs=3, steps_per_epoch=100, verbose=0)
    assert int(trainer.steps_done) == 0


# dtype policies


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "bfloat16", "float64"])
def test_training_works_under_every_policy_but_float16(policy):
    usual = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        step = tfnca.GrowingCA(hidden=8)
        trainer = tfnca.Trainer(step, tfnca.TargetLoss(TARGET), 2)
        assert trainer.engine == "dense"
        trainer.compile(keras.optimizers.SGD(0.1))
        scaled = isinstance(trainer.optimizer, keras.optimizers.LossScaleOptimizer)
        assert scaled == (policy == "mixed_float16")
        before = step.get_weights()
        history = trainer.fit(growing_pool(), 2, 3, verbose=0)
        change = float(np.abs(step.get_weights()[-1].astype(float) - before[-1]).max())
        matrix = tfnca.Trainer(tfnca.Perturbed(step), tfnca.TargetLoss(TARGET), 2)
        matrix.compile(tfnca.WhitenedAdam(1e-2))
        assert np.isfinite(matrix.fit(growing_pool(), 1, 2, verbose=0).history["loss"]).all()
    finally:
        keras.config.set_dtype_policy(usual)
    assert np.isfinite(history.history["loss"]).all()
    assert history.history["loss"][1] < history.history["loss"][0]
    assert 1e-3 < change < 1.0  # gradients have a norm of 1, whatever the loss was scaled by


def test_float16_weights_are_refused():
    step = tfnca.GrowingCA(hidden=8, dtype="float16")
    with pytest.raises(ValueError, match=r"'mixed_float16'.*Received: float16"):
        tfnca.Trainer(step, tfnca.TargetLoss(TARGET), 2)
