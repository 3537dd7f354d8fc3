"""Times tfnca's two engines through `Trainer`."""

import keras
import tensorflow as tf

import tfnca
from tfnca.training.pools import Pool


class FixedBatch(Pool):
    """A pool that always draws the same batch, so that every timed step does the same work."""

    def __init__(self, problem):
        super().__init__(problem["state"], len(problem["state"]), problem["mask"])
        self.batch = make_batch(problem)

    def draw(self, seed, index, loss):
        return self.batch

    def put(self, batch, state):
        pass


def make_batch(problem):
    """The batch of every step."""
    given = {name: problem[name] for name in ("state", "mask", "labels")}
    return tfnca.Batch(**{k: None if v is None else tf.constant(v) for k, v in given.items()})


def make_step(problem):
    """The step of a problem, with the problem's weights."""
    kind = tfnca.MNISTCA if problem["kind"] == "mnist" else tfnca.GrowingCA
    networks = {}
    for name in ("host", "adversary"):
        if name in problem["parts"]:
            networks[name] = kind(fire_rate=problem["fire_rate"])
            for variable, array in zip(
                networks[name].weights_in_order, problem["parts"][name], strict=True
            ):
                variable.assign(array.reshape(variable.shape))
    step = networks["host"]
    if "adversary" in networks:
        step = tfnca.Injected(step, networks["adversary"])
    if "matrix" in problem["parts"]:
        step = tfnca.Perturbed(step, problem["parts"]["matrix"][0])
    return step


def make_loss(problem):
    return (
        tfnca.ClassLoss(digit=8)
        if problem["kind"] == "mnist"
        else tfnca.TargetLoss(problem["target"])
    )


def make(problem, engine):
    """Returns a training step and the check of `worker.py`."""
    trainer = tfnca.Trainer(make_step(problem), make_loss(problem), problem["steps"], engine)
    trainer.compile(keras.optimizers.Adam(problem["learning_rate"]))
    trainer.attach(FixedBatch(problem))
    train = tf.function(trainer.train_step, jit_compile=trainer.jit_compile)

    def check(steps):
        step, loss = make_step(problem), make_loss(problem)
        start, mask = tf.constant(problem["state"]), problem["mask"]
        draws = (steps, len(step.networks), *start.shape[:3])
        certain = {"fire_masks": tf.ones(draws)}
        if problem["kind"] == "mnist":
            certain["noise"] = tf.zeros((*draws, step.channels - 1))
        variables = step.trainable_variables
        with tf.GradientTape() as tape:
            state = tfnca.rollout(step, start, steps, mask, engine=engine, seed=0, **certain)
            total = tf.reduce_mean(loss(state, make_batch(problem)))
        gradients = tape.gradient(total, [variable.value for variable in variables])
        shapes = [array.shape for array in problem["parts"][problem["trained"]]]
        return {
            "state": state,
            "full horizon": tfnca.rollout(
                step, start, problem["steps"], mask, engine=engine, seed=0
            ),
            **{
                f"gradient {i}": tf.reshape(g / (tf.norm(g) + 1e-8), shape)
                for i, (g, shape) in enumerate(zip(gradients, shapes, strict=True))
            },
        }

    return lambda: float(train(0)["loss"]), check


def roller(problem, engine):
    """Returns a function of a number of steps that runs a plain rollout."""
    step, state = make_step(problem), tf.constant(problem["state"])
    return lambda steps: tfnca.rollout(step, state, steps, engine=engine, seed=0)
