"""Frozen graphs: a step as a SavedModel that needs nothing but TensorFlow."""

import shutil
from pathlib import Path

import tensorflow as tf

from tfnca.mnist import MNISTCA
from tfnca.rollout import run


def _signatures(step):
    """The functions of an exported step, by name, and what they take."""
    two = len(step.networks) > 1
    state = tf.TensorSpec([None, None, None, step.channels], tf.float32, "state")
    mask = [tf.TensorSpec([None, None, None], tf.float32, "mask")] if two else []
    number = tf.TensorSpec([], tf.int64)
    fire = tf.TensorSpec([len(step.networks), None, None, None], tf.float32, "fire_mask")
    noise = tf.TensorSpec(
        [len(step.networks), None, None, None, step.channels - 1], tf.float32, "noise"
    )
    noise = [noise] if isinstance(step.networks[0], MNISTCA) else []

    def split(given):
        given = list(given)
        return given.pop(0) if two else None, given

    def one_step(state, seed, index, *given):
        mask, _ = split(given)
        return {"state": step(state, mask=mask, seed=seed, index=index)}

    def rollout(state, steps, seed, first_step, *given):
        mask, _ = split(given)
        return {"state": run(step, state, steps, mask, seed, first_step, engine="dense")}

    def step_masked(state, fire_mask, *given):
        mask, noise = split(given)
        return {
            "state": run(
                step, state, tf.constant(1), mask, tf.constant(0, tf.int64),
                tf.constant(0, tf.int64), fire_mask[None], noise[0][None] if noise else None,
                engine="dense",
            )
        }  # fmt: skip

    def named(name):
        return tf.TensorSpec(number.shape, number.dtype, name)

    steps = tf.TensorSpec([], tf.int32, "steps")
    return {
        "step": tf.function(one_step).get_concrete_function(
            state, named("seed"), named("index"), *mask
        ),
        "rollout": tf.function(rollout).get_concrete_function(
            state, steps, named("seed"), named("first_step"), *mask
        ),
        "step_masked": tf.function(step_masked).get_concrete_function(state, fire, *mask, *noise),
    }


def save_saved_model(step, folder):
    """Writes a step as a SavedModel; batch and grid are free.

    Its signatures, each with keyword inputs and the output ``state``; an injection's take
    ``mask`` ``(batch, height, width)`` too:

    - ``step``: ``state``, ``seed``, ``index`` (int64 scalars).
    - ``rollout``: ``state``, ``steps`` (int32), ``seed``, ``first_step`` (int64).
    - ``step_masked``: ``state``, ``fire_mask`` ``(networks, batch, height, width)``, and for an
      MNIST CA ``noise`` ``(networks, batch, height, width, channels - 1)``.

    One seed gives the draws that it gives in `tfnca.rollout`.

    Args:
        step: Any step.
        folder: Where to write; an older SavedModel there is replaced.

    Raises:
        ValueError: If `folder` holds something else.
    """
    folder = Path(folder)
    is_model = (folder / "saved_model.pb").exists()
    if folder.exists() and any(folder.iterdir()) and not is_model:
        raise ValueError(f"The folder must be new or hold an older SavedModel. Received: {folder}")
    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    module = tf.Module()
    module.variables_of_step = [variable.value for variable in step.variables]
    tf.saved_model.save(module, str(temporary), signatures=_signatures(step))
    shutil.rmtree(folder, ignore_errors=True)
    temporary.rename(folder)
