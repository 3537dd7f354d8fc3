"""Tasks: what a stranger writes, what the trainer and the measures make of it, and mistakes."""

import json
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import tfnca
from tfnca import __main__ as command
from tfnca.automata.step import next_state
from tfnca.measures.task import damage, measure_task
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


@keras.saving.register_keras_serializable("test_tasks")
class Named(Brightness):
    """Item i should be as bright as its label says, and begins as its number says."""

    def start(self, count, channels, seed=0):
        state = (
            np.zeros((count, 3, 3, channels), np.float32) + np.arange(count)[:, None, None, None]
        )
        return tfnca.Batch(state=state, labels=np.arange(count) / 10)

    def cell_errors(self, state, batch):
        return (state[..., 0] - keras.ops.cast(batch.labels, "float32")[:, None, None]) ** 2


def test_a_label_stays_with_its_item_in_a_pool():
    task, step = Named(), mine()
    pool = task.pool(step, size=6, batch_size=4)
    batch = pool.draw(0, 0, task.error)
    numbers = batch.state[:, 0, 0, 0]
    np.testing.assert_allclose(batch.labels, numbers / 10)
    pool.put(batch, batch.state + 1000.0)  # the worst of them begins anew
    again = pool.draw(0, 0, task.error)
    np.testing.assert_allclose(again.labels, batch.labels)
    moved = np.asarray(again.state[:, 0, 0, 0] - numbers)
    assert sorted(moved) == [0, 1000, 1000, 1000]
    assert moved[np.argmax(numbers)] == 0
    trainer = tfnca.Trainer(step, task=task, steps=1)
    trainer.compile("adam")
    expected = np.mean((np.arange(6) * 0.9) ** 2)  # an untrained CA changes nothing
    assert trainer.evaluate(task.pool(step, size=6, batch_size=4)) == pytest.approx(expected)


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


def measured(**methods):
    return measure_task(mine(), returning(**methods), runs=2, at=(1,))


MISTAKES = {
    "no task": (lambda: tfnca.Trainer(mine(), task="pattern"), "must be a tfnca.Task"),
    "a task's class": (
        lambda: tfnca.Trainer(mine(), task=Brightness),
        "task must be an object, not its class: call Brightness",
    ),
    "a loss's class": (
        lambda: tfnca.Trainer(mine(), tfnca.TargetLoss),
        "loss must be an object, not its class: call TargetLoss",
    ),
    "an error below 0": (lambda: measured(error=np.array([0.5, -0.25])), "0 or more.*: -0.25"),
    "an error that is not a number": (
        lambda: measured(error=np.array([0.5, np.nan])),
        "error of Odd must be 0 or more for each item. Received: nan",
    ),
    "labels of other items": (
        lambda: measured(start=tfnca.Batch(state=np.ones((2, 3, 3, 4)), labels=np.arange(3))),
        r"start of Odd must return labels of 2 items. Received: labels of shape \(3,\)",
    ),
    "inputs of other items": (
        lambda: measured(start=tfnca.Batch(state=np.ones((2, 3, 3, 4)), inputs=np.ones((1, 2)))),
        "must return inputs of 2 items",
    ),
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
    "a task that hides its arguments": (
        lambda: type("Sized", (Brightness,), {"__init__": lambda self, size: None})(3).get_config(),
        "Sized must override get_config",
    ),
    "no such task": (lambda: find_task("texture of mine"), "--task must be one of: .*pattern"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named(name):
    make, message = MISTAKES[name]
    with pytest.raises(ValueError, match=message):
        make()


class Rising(tfnca.Step):
    """Every cell's channels rise by a tenth in each step, up to a half."""

    channels = 2

    def advance(self, state, context):
        return keras.ops.minimum(state + 0.1, 0.5)


class Zeros(Brightness):
    """A collective of the left half that begins at zero and has settled after five steps."""

    settled = 5

    def start(self, count, channels, seed=0):
        return tfnca.Batch(state=np.zeros((count, 4, 4, channels), np.float32))

    def cells(self, state):
        return np.arange(4)[None, None] < np.full((len(state), 4, 1), 2)

    def centres(self, state):
        return np.repeat(np.asarray(state)[:, :1, 0, 0] * 10, 2, axis=1)


class Darkness(Zeros):
    """The goal of an attack: every first channel is zero."""

    def cell_errors(self, state, batch):
        return state[..., 0] ** 2


def test_a_step_is_measured_from_its_start_settled_and_damaged():
    found = measure_task(Rising(), Zeros(), runs=3, at=(1, 2, 10))
    assert [row["step"] for row in found["from_start"]] == [1, 2, 10]
    assert [row["median"] for row in found["from_start"]] == pytest.approx([0.16, 0.09, 0])
    assert [row["success"] for row in found["from_start"]] == [0, 0, 1]
    assert all(row["worst"] < 1e-9 for row in found["from_settled"])
    before, after = found["damaged"]
    assert 0 < before["median"] < 0.25
    assert after["worst"] < 1e-9
    assert [row["drift"] for row in found["drift"]][:3] == pytest.approx([0, 2**0.5, 2**0.5])


def test_damage_keeps_what_a_step_never_changes():
    step, task = tfnca.MNISTCA(hidden=4), tfnca.DigitTask(DIGITS)
    state = np.ones((3, 28, 28, 20), np.float32) * DIGITS.images[..., None]
    after = damage(step, task, state)
    np.testing.assert_array_equal(after[..., 0], state[..., 0])
    lost = (after != state).any(-1)
    assert lost.any((1, 2)).all()
    assert not after[..., 1:][lost].any()


class Sinking(tfnca.NeuralCA):
    """An adversary: its cells go to zero."""

    def advance(self, state, context):
        return keras.ops.zeros_like(state)


class Holding(tfnca.NeuralCA):
    """A host: its cells go to a half."""

    def advance(self, state, context):
        return keras.ops.zeros_like(state) + 0.5


def test_an_attack_is_measured_by_its_goal_its_harm_and_its_end():
    small = {"channels": 2, "hidden": 2}
    step = tfnca.Injected(Holding(**small), Sinking(**small))
    found = measure_task(step, Zeros(), Darkness(), density=0.5, runs=2, at=(1, 4))
    assert list(found) == ["runs", "density", "baseline", "attack", "harm", "recovery"]
    assert all(row["median"] == pytest.approx(0.25) for row in found["baseline"])
    mask = np.asarray(tfnca.random_mask(Zeros().cells(np.zeros((2, 4, 4, 2))), 0.5, seed=1))
    assert mask.any()
    attacked = 0.25 * (1 - mask.mean((1, 2)))
    for row in found["attack"]:
        assert row["mean"] == pytest.approx(attacked.mean())
        assert row["host_worst"] == pytest.approx(0.25)  # host cells have not changed
    assert found["harm"][-1]["mean"] == pytest.approx(0.25 * mask.mean())
    assert found["harm"][-1]["host_worst"] == 0
    during, after = found["recovery"]
    assert (during["mean"], after["mean"]) == (pytest.approx(0.25 * mask.mean()), 0)


class Early(tfnca.Step):
    """An attack of one's own: everything is zero in its first two steps."""

    channels = 2

    def __init__(self):
        super().__init__()
        self.host = Rising()

    def advance(self, state, context):
        following = next_state(self.host, state, context)
        return keras.ops.where(context.age < 2, 0.0, following)


def test_an_attack_of_ones_own_is_measured_from_its_own_beginning():
    step = Early()
    assert step.networks == [step.host]
    found = measure_task(step, Zeros(), Darkness(), runs=2, at=(1, 2, 4))
    assert [row["median"] for row in found["baseline"]] == pytest.approx([0.25] * 3)
    assert [row["median"] for row in found["attack"]] == pytest.approx([0, 0, 0.04])


def test_the_tasks_of_the_article_have_the_figures_of_its_protocol():
    lizard = tfnca.PatternTask(tfnca.pad_target(tfnca.load_target("lizard"), 16))
    found = measure_task(tfnca.load("growing_lizard"), lizard, runs=2, at=(60,))
    assert found["from_settled"][0]["median"] < 0.0005 < found["damaged"][0]["median"]
    assert found["from_settled"][0]["success"] == 1
    task, goal = (tfnca.DigitTask(DIGITS, digit) for digit in (None, 8))
    step = tfnca.load_attack("mnist_adversary")
    found = measure_task(step, task, goal, runs=3, at=(100,))
    assert found["baseline"][0]["takeover"] == 0 == found["baseline"][0]["success"]
    assert found["attack"][0]["takeover"] == 1 == found["attack"][0]["success"]
    assert found["harm"][0]["digit_accuracy"] == 0
    assert found["recovery"][1]["digit_accuracy"] > 0.5


PLUGIN = """
import keras
import numpy as np
import tfnca


@keras.saving.register_keras_serializable("{module}")
class {name}(tfnca.Task):
    tolerance = 0.01

    def start(self, count, channels, seed=0):
        noise = np.random.default_rng(seed).random((count, 6, 7, channels))
        return tfnca.Batch(state=noise.astype("float32"))

    def cell_errors(self, state, batch):
        return (state[..., 0] - 0.5) ** 2
"""


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Writes a module with a task, in the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])

    def write(module, name, text=PLUGIN):
        Path(f"{module}.py").write_text(text.format(module=module, name=name))
        return ["--plugin", module, "measure", "ca.keras", "--task", name.lower()]

    keras.saving.save_model(mine(), "ca.keras")
    return write


def test_a_task_of_ones_own_is_measured_from_the_command_line(plugin):
    words = plugin("my_tasks", "Halves")
    command.main([*words, "--runs", "2", "--horizon", "3", "--out", "found.json"])
    found = json.loads(Path("found.json").read_text())
    assert [row["step"] for row in found["from_start"]] == [3]
    assert found["from_start"][0]["median"] > 0
    words += ["--host", "ca.keras", "--goal", "halves", "--density", "0.2"]
    command.main([*words, "--runs", "2", "--horizon", "3", "--out", "attack.json"])
    found = json.loads(Path("attack.json").read_text())
    assert found["baseline"] == found["attack"]  # an untrained CA changes nothing
    where = [*words[:2], "place", *words[3:-2], "--map", "1", "--steps", "2", "--out", "maps"]
    command.main(where)
    assert [path.name for path in Path("maps").iterdir()] == ["map_1.png"]
    words = [*words[:2], "detect", "ca.keras", "--host", "ca.keras", "--task", "halves"]
    command.main([*words, "--density", "0.5", "--seeds", "1", "--out", "detected.json"])
    rows = json.loads(Path("detected.json").read_text())
    assert {row["auc"] for row in rows} == {0.5}  # host and adversary are the same
    words = [*words[:2], "sweep", *words[3:], "--goal", "halves", "--densities", "20,60"]
    command.main([*words, "--horizon", "3", "--out", "swept"])
    found = json.loads(Path("swept/sweep.json").read_text())
    assert [row["density"] for row in found["rows"]] == [0, 0, 0, 0.2, 0.2, 0.2, 0.6, 0.6, 0.6]
    assert Path("swept/host_error.png").exists()


def test_a_mistake_on_the_command_line_is_one_line(plugin, capsys):
    no_success = PLUGIN.replace("    tolerance = 0.01\n", "")
    many = PLUGIN.replace("(count, 6", "(count + 1, 6")
    argument = PLUGIN.replace(
        "tolerance = 0.01", "def __init__(self, size):\n        self.size = size"
    )
    for number, (text, message) in enumerate(
        (
            (no_success, "must override success"),
            (many, "must return 16 states with 4 channels"),
            (argument, "must need no arguments"),
        )
    ):
        words = plugin(f"wrong_tasks_{number}", f"Wrong{number}", text)
        with pytest.raises(SystemExit) as stop:
            command.main([*words, "--horizon", "2"])
        assert stop.value.code == 2
        error = capsys.readouterr().err.strip().splitlines()[-1]
        assert message in error


@keras.saving.register_keras_serializable("test_tasks")
class Told(Brightness):
    """Every cell is told in each step how bright its grid should be."""

    settled = 3

    def start(self, count, channels, seed=0):
        inputs = np.random.default_rng(seed).random((count, 1)).astype("float32")
        return super().start(count, channels, seed)._replace(inputs=inputs)

    def cell_errors(self, state, batch):
        return (state[..., 0] - keras.ops.convert_to_tensor(batch.inputs)[:, :, None]) ** 2


def test_what_a_rule_is_told_goes_along_everywhere():
    task, step = Told(), mine(inputs=1)
    kernel, bias, last, offset = step.get_weights()
    kernel[:] = 0
    kernel[-3, 0], last[0, 0] = 1, 1  # the cell adds its input
    step.set_weights([kernel, bias, last, offset])
    trainer = tfnca.Trainer(step, task=task, steps=2)
    trainer.compile("sgd")
    trainer.fit(task.pool(step, size=4, batch_size=2), steps_per_epoch=1, verbose=0)
    step.set_weights([kernel, bias, last, offset])
    batch = task.begin(step, 2, seed=1)
    found = measure_task(step, task, runs=2, at=(2,))["from_start"][0]
    error = np.square(batch.state[..., 0] + batch.inputs[:, :, None]).mean((1, 2))
    assert found["mean"] == pytest.approx(error.mean())
    attacked = tfnca.Injected(step, step)
    found = measure_task(attacked, task, task, runs=2, at=(2,))
    assert found["attack"] == found["baseline"]
    assert found["attack"][0]["mean"] > 4 * error.mean()  # it has settled for three steps
