"""Tasks: what a stranger writes, what the trainer and the measures make of it, and mistakes."""

import keras
import numpy as np
import pytest

import tfnca
from tfnca.tasks.task import find_task

TARGET = tfnca.pad_target(tfnca.load_target("lizard", 8), 2)
DIGITS = tfnca.load_digits("test", count=3, source="sample")


@keras.saving.register_keras_serializable("test_tasks")
class Brightness(tfnca.Task):
    """Every cell's first channel should be a half."""

    tolerance = 0.01

    def start(self, count, channels, seed=0):
        noise = np.random.default_rng(seed).random((count, 6, 7, channels))
        return tfnca.Batch(state=noise.astype("float32"))

    def cell_errors(self, state, batch):
        return (state[..., 0] - 0.5) ** 2


def mine(**kwargs):
    return tfnca.NeuralCA(channels=4, hidden=8, fire_rate=1.0, **kwargs)


TASKS = {
    "pattern": (lambda: tfnca.PatternTask(TARGET), lambda: tfnca.GrowingCA(hidden=8)),
    "digit": (lambda: tfnca.DigitTask(DIGITS), lambda: tfnca.MNISTCA(hidden=8)),
    "brightness": (Brightness, mine),
}


@pytest.mark.parametrize("attacked", [False, True], ids=["alone", "attacked"])
@pytest.mark.parametrize("name", TASKS)
def test_a_task_trains_a_step(name, attacked):
    task, step = (make() for make in TASKS[name])
    if attacked:
        task.settled = 3
        step = tfnca.Injected(step, TASKS[name][1]())
    trainer = tfnca.Trainer(step, task=task, steps=4)
    trainer.compile(keras.optimizers.Adam(5e-3))
    losses = trainer.fit(epochs=4, steps_per_epoch=3, verbose=0).history["loss"]
    assert np.isfinite(losses).all()
    assert attacked or min(losses[1:]) < losses[0]
    assert np.any(trainer.step.trained.get_weights()[-1])  # zeros before training
    assert trainer.pool.has_masks == attacked


def test_the_tasks_of_the_article_are_its_losses_and_pools():
    """The task is a shorter way to write the same training."""
    for name, loss, pool in (
        ("pattern", tfnca.TargetLoss(TARGET), tfnca.GrowingPool(tfnca.seed_state(12), 1024)),
        ("digit", tfnca.ClassLoss(), tfnca.DigitPool(DIGITS)),
    ):
        task, step = (make() for make in TASKS[name])
        trained = []
        for arguments, fitted in ({"task": task}, ()), ({"loss": loss}, (pool,)):
            keras.utils.set_random_seed(0)
            trainer = tfnca.Trainer(type(step)(hidden=8), steps=3, **arguments)
            trainer.compile("adam")
            history = trainer.fit(*fitted, epochs=1, steps_per_epoch=3, verbose=0)
            trained.append([history.history["loss"], *trainer.step.get_weights()])
        for one, other in zip(*trained, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", TASKS)
def test_a_task_describes_itself(name):
    task, step = (make() for make in TASKS[name])
    batch = task.begin(step, 2)
    copy = type(task).from_config(task.get_config())
    again = copy.begin(step, 2)
    np.testing.assert_array_equal(batch.state, again.state)
    np.testing.assert_array_equal(task.error(batch.state, batch), copy.error(again.state, again))
    assert task.picture(batch.state).shape == (*batch.state.shape[:3], 3)
    assert np.asarray(task.cells(batch.state)).shape == batch.state.shape[:3]
    assert find_task(name) is type(task)


class Nothing(tfnca.Task):
    pass


def returning(**methods):
    return type("Odd", (Brightness,), {n: lambda *a, v=v: v for n, v in methods.items()})()


MISTAKES = {
    "no task": (lambda: tfnca.Trainer(mine(), task="pattern"), "must be a tfnca.Task"),
    "neither": (lambda: tfnca.Trainer(mine()), "loss must be a function"),
    "no start": (lambda: Nothing().begin(mine(), 1), "Nothing must override start"),
    "no error": (
        lambda: Nothing().error(np.zeros((1, 2, 2, 4)), tfnca.Batch()),
        "Nothing must override error",
    ),
    "no success": (
        lambda: Nothing().success(np.zeros((1, 2, 2, 4)), tfnca.Batch()),
        "Nothing must override success.*or set tolerance",
    ),
    "too few channels": (
        lambda: tfnca.Trainer(tfnca.NeuralCA(channels=3), task=tfnca.PatternTask(TARGET)),
        "task does not fit the step: a picture needs 4 channels, and it has 3",
    ),
    "a picture of digits": (
        lambda: tfnca.Trainer(tfnca.MNISTCA(), task=tfnca.PatternTask(TARGET)),
        "never changes channel 0",
    ),
    "digits without a fixed grey": (
        lambda: tfnca.Trainer(tfnca.GrowingCA(), task=tfnca.DigitTask(DIGITS)),
        "changes channel 0, which is a digit's grey",
    ),
    "no batch": (lambda: returning(start=np.zeros((2, 3, 3, 4))).begin(mine(), 2), "tfnca.Batch"),
    "another size": (
        lambda: returning(start=tfnca.Batch(state=np.zeros((1, 3, 3, 4)))).begin(mine(), 2),
        "must return 2 states with 4 channels",
    ),
    "other channels": (
        lambda: returning(start=tfnca.Batch(state=np.zeros((2, 3, 3, 5)))).begin(mine(), 2),
        "must return 2 states with 4 channels",
    ),
    "one error for all": (
        lambda: returning(error=np.zeros(1)).measures(np.zeros((2, 3, 3, 4)), tfnca.Batch()),
        "error must return one number per item, 2 of them",
    ),
    "errors as success": (
        lambda: returning(success=np.zeros(2)).measures(np.zeros((2, 3, 3, 4)), tfnca.Batch()),
        "success must return one boolean per item",
    ),
    "no such task": (lambda: find_task("texture of mine"), "--task must be one of: .*pattern"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named(name):
    make, message = MISTAKES[name]
    with pytest.raises(ValueError, match=message):
        make()
