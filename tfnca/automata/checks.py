"""Checks of arguments: each raises a ValueError that says what is wrong and what was received."""

import math
import numbers
from typing import Any

import numpy as np
import tensorflow as tf
from keras import KerasTensor, ops

from tfnca.types import Array

_RGBA = 4

_TOLERANCE = 1e-3
"""How far a grey value or a colour may be outside [0, 1], because resampling overshoots."""


_BRIGHTER = 0.05
"""How far a premultiplied colour may exceed its alpha, as it does in pictures that a CA grew."""


def is_concrete(values: Array) -> bool:
    """Whether `values` holds numbers that can be read, unlike a tensor of a graph."""
    return not isinstance(values, KerasTensor) and (
        not tf.is_tensor(values) or isinstance(values, tf.__internal__.EagerTensor)
    )


def check_seed(seed: int) -> int:
    """Returns `seed` as a Python integer; raises ValueError unless 0 <= seed < 2**63."""
    return check_integer("seed", seed, 0, 2**63 - 1)


def check_integer(name: str, value: Any, low: float, high: float | None = None) -> int:
    """Returns `value` as a Python integer; raises ValueError unless it is one in [low, high]."""
    if tf.is_tensor(value) or isinstance(value, np.ndarray):
        value = np.asarray(value).item() if np.ndim(value) == 0 else value
    whole = isinstance(value, numbers.Real) and not isinstance(value, bool) and value % 1 == 0
    if not whole or value < low or (high is not None and value > high):
        bounds = f"of at least {low}" if high is None else f"in {low} to {high}"
        raise ValueError(f"{name} must be an integer {bounds}. Received: {name}={value!r}")
    return int(value)


def check_rate(name: str, value: Any, low: float = 0.0, high: float = 1.0) -> float:
    """Returns `value` as a float; raises ValueError unless it is a finite number in [low, high]."""
    number = float(value) if isinstance(value, numbers.Real) else math.nan
    if not low <= number <= high or math.isinf(number):
        raise ValueError(f"{name} must be in [{low}, {high}]. Received: {name}={value!r}")
    return number


def check_number(name: str, value: Any) -> Any:
    """Returns `value` as it is; raises ValueError unless it is a finite number."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number. Received: {name}={value!r}")
    return value


def check_density(density: float) -> float:
    """Returns `density` as a float; raises ValueError unless it is in (0, 1]."""
    if not isinstance(density, numbers.Real) or not 0.0 < density <= 1.0:
        raise ValueError(f"density must be in (0, 1]. Received: density={density!r}")
    return float(density)


def check_unit(name: str, values: Array) -> None:
    """Raises ValueError unless grey values or colours are in [0, 1], if they can be read."""
    if not is_concrete(values):
        return
    values = np.asarray(values)
    if values.dtype.kind not in "fiub":
        raise ValueError(f"{name} must hold numbers. Received: {values.dtype}")
    if not np.isfinite(values).all():
        raise ValueError(f"{name} must be finite. Received: NaN or infinite values")
    if values.size and not -_TOLERANCE <= values.min() <= values.max() <= 1 + _TOLERANCE:
        hint = "; divide bytes by 255" if values.max() > 2 else ""
        raise ValueError(
            f"{name} must be in [0, 1]{hint}. "
            f"Received: values from {values.min():g} to {values.max():g}"
        )


def check_channels(state: Any, channels: int, name: str) -> None:
    """Raises ValueError unless `state` is ``(batch, height, width, channels)``, no axis empty."""
    if not channels:
        raise ValueError(f"{name} must say its `channels`. Received: channels={channels!r}")
    check_floating(state)
    shape = tuple(getattr(state, "shape", None) or np.shape(state))
    if len(shape) != 4 or shape[-1] != channels or 0 in shape:
        raise ValueError(
            f"{name} expects a state of shape (batch, height, width, {channels}). "
            f"Received: shape={shape}"
        )


def check_floating(state: Any, name: str = "A state") -> None:
    """Raises ValueError for a state that consists of a picture's bytes."""
    if getattr(state, "dtype", None) == "uint8":
        raise ValueError(
            f"{name} must hold floating-point numbers; divide a picture's bytes by 255. "
            "Received: uint8"
        )


def check_each(name: str, given: Any, count: int) -> tuple:
    """Returns `given`, or None for each network if it is None; raises ValueError unless there is
    one for each of `count` networks."""
    if given is None:
        return (None,) * count
    if not isinstance(given, tuple | list) or len(given) != count:
        each = "a pair, for host and adversary" if count == 2 else f"{count}, one for each network"
        raise ValueError(f"{name} must be {each}. Received: {type(given).__name__}")
    return tuple(given)


def _fits(shape: tuple, expected: tuple) -> bool:
    """Whether shapes are equal, as far as their sizes are known."""
    return len(shape) == len(expected) and all(
        None in sizes or sizes[0] == sizes[1] for sizes in zip(shape, expected, strict=True)
    )


def check_mask(mask: Array, state: Any) -> None:
    """Raises ValueError unless `mask` has the state's batch, height and width and is 0 or 1."""
    shape, expected = tuple(mask.shape), tuple(state.shape[:3])
    if not _fits(shape, expected):
        raise ValueError(
            f"mask must have the state's batch, height and width {expected}. "
            f"Received: mask of shape {shape}"
        )
    values = np.asarray(mask) if is_concrete(mask) else np.zeros(1)
    if not np.isin(values, (0, 1)).all():
        raise ValueError(
            "mask must be 1 where adversaries are and 0 elsewhere. "
            f"Received: values from {values.min():g} to {values.max():g}"
        )


def reject_mask(mask: Array | None, name: str) -> None:
    """Raises ValueError when a mask is given to a step without an adversary."""
    if mask is not None:
        raise ValueError(
            f"{name} has no adversary, so it takes no mask; wrap it: Injected(host, adversary). "
            "Received: a mask"
        )


def reject_noise(noise: Array | None, name: str) -> None:
    """Raises ValueError when noise is given to a step that adds none."""
    if noise is not None:
        raise ValueError(f"{name} adds no noise to its update. Received: noise")


def check_inputs(inputs: Array | None, count: int, state: Array, name: str) -> None:
    """Raises ValueError unless a rule gets its inputs, either per item or per cell.

    Those per item may have the axes of the grid, of size 1: see `with_grid`.
    """
    if inputs is None and count == 0:
        return
    shape = None if inputs is None else tuple(inputs.shape)
    grid = tuple(state.shape[:3])
    fits = any(
        shape is not None and _fits(shape, expected)
        for expected in ((grid[0], count), (grid[0], 1, 1, count), (*grid, count))
    )
    if shape is not None and len(shape) == 4 and shape[1:3] == (1, 1):
        shape = (shape[0], shape[3])
    if count == 0 or not fits:
        expected = f"(batch, {count}) or (batch, height, width, {count})" if count else "none"
        raise ValueError(
            f"{name} takes inputs of shape {expected}. Received: "
            f"{'none' if shape is None else f'inputs of shape {shape}'}"
        )


def check_inputs_of(step: Any, inputs: Array | None, state: Array) -> None:
    """`check_inputs` before a graph is traced, which may be one for any number of inputs."""
    counts: list[Any] = [getattr(network, "inputs", None) for network in step.networks]
    if None not in counts:  # a step of one's own need not say
        name = type(step.networks[int(np.argmax(counts))]).__name__
        check_inputs(inputs, max(counts), state, name)


def with_grid(inputs: Any) -> Any:
    """Inputs per item with the axes of the grid, of size 1, so that all inputs have four axes.

    TensorFlow traces a function for any number of axes once it has seen two different ones.
    """
    return inputs[:, None, None, :] if inputs is not None and len(inputs.shape) == 2 else inputs


def check_draws(
    fire_masks: Array | None, noise: Array | None, steps: int | None, state: Any, step: Any
) -> None:
    """Raises ValueError unless given fire masks and noise fit the run and the step's networks.

    Axes whose size is not known yet, as in a graph, are not compared. Nor are `steps` if None.
    """
    shape = (steps, len(step.networks), *state.shape[:3])
    if fire_masks is not None:
        _check_draw("fire_masks", fire_masks, shape)
    if noise is not None:
        _check_draw("noise", noise, (*shape, step.changing))
        if not step.adds_noise:
            reject_noise(noise, type(step).__name__)


def check_own_draws(fire_mask: Any, noise: Any, state: Any, step: Any) -> None:
    """Like `check_draws`, for a single step: several networks have a tuple of draws."""
    for name, given in (("fire_mask", fire_mask), ("noise", noise)):
        if given is not None:
            count, last = len(step.networks), step.changing if name == "noise" else 1
            for each in check_each(name, given, count) if count > 1 else (given,):
                if each is not None:
                    _check_draw(name, each, (*state.shape[:3], last))
    if noise is not None and not step.adds_noise:
        reject_noise(noise, type(step).__name__)


def _check_draw(name: str, given: Any, expected: tuple) -> None:
    """Raises ValueError unless a draw has that shape, and is 0 or 1 if it says which cells fire."""
    received = tf.TensorShape(np.shape(given))
    if not received.is_compatible_with(expected):
        raise ValueError(f"{name} must be of shape {expected}. Received: {tuple(received)}")
    fires = name.startswith("fire")
    if fires and is_concrete(given) and not np.isin(np.asarray(given), (0, 1)).all():
        raise ValueError(f"{name} must be 0 or 1. Received: other values")


def check_matrix(matrix: Any, channels: int, name: str = "matrix") -> np.ndarray:
    """Returns `matrix` as float32; raises ValueError unless symmetric, finite and of that size."""
    matrix = check_array(matrix, (channels, channels), name)
    asymmetry = np.abs(matrix - matrix.T).max()
    if asymmetry > 1e-4 * max(1.0, np.abs(matrix).max()):
        raise ValueError(
            f"{name} must be symmetric. Received: entries that differ by {asymmetry:.3g} from "
            "their mirror image"
        )
    return matrix.astype(np.float32)


def check_array(array: np.ndarray, shape: tuple[int, ...], name: str) -> np.ndarray:
    """Returns a NumPy array; raises ValueError unless it has that shape and is finite."""
    array = ops.convert_to_numpy(array) if tf.is_tensor(array) else np.asarray(array)
    if array.dtype.kind not in "fiu" or array.shape != shape:
        raise ValueError(
            f"{name} must hold numbers of shape {shape}. "
            f"Received: {array.dtype} of shape {array.shape}"
        )
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite. Received: NaN or infinite entries")
    return array


def check_states(states, name):
    """Returns `states` as float32; raises ValueError unless they are finite, of shape
    ``(count, height, width, channels)``, and no axis is empty."""
    states = np.asarray(states)
    check_floating(states, name)
    if states.ndim != 4 or states.size == 0:
        raise ValueError(
            f"{name} must be of shape (count, height, width, channels). "
            f"Received: shape={states.shape}"
        )
    return check_array(states, states.shape, name).astype(np.float32)


def check_numbers(name: str, values: Any) -> np.ndarray:
    """Returns nested lists as an array; raises ValueError unless they are numbers."""
    try:
        return np.asarray(values, np.float32)
    except (TypeError, ValueError):
        raise ValueError(
            f"{name} must be an array of numbers. Received: {type(values).__name__}"
        ) from None


def check_target(name: str, target: Any, grid: tuple | None = None) -> np.ndarray:
    """Returns a picture as float32; raises ValueError unless it is premultiplied RGBA in [0, 1].

    A `grid` is the required ``(height, width)``.
    """
    target = np.asarray(target)
    if target.ndim != 3 or target.shape[-1] != _RGBA or 0 in target.shape:
        raise ValueError(
            f"{name} must be RGBA of shape (height, width, 4). Received: shape={target.shape}"
        )
    check_unit(name, target)
    target = target.astype(np.float32)
    if np.any(target[..., :-1] > target[..., -1:] + _BRIGHTER):
        raise ValueError(
            f"{name} must be premultiplied: multiply its RGB by its alpha, as tfnca.load_target "
            "does. Received: RGB above alpha"
        )
    if grid is not None and target.shape[:2] != tuple(grid):
        raise ValueError(
            f"{name} must be of the grid's size {tuple(grid)}. Received: {target.shape[:2]}"
        )
    return target


def check_cells(name: str, cells: Any) -> None:
    """Raises ValueError unless `cells` are booleans, or 0 and 1, if they can be read."""
    if not is_concrete(cells):
        return
    values = np.asarray(cells)
    if values.dtype.kind not in "fiub" or not np.isin(values, (0, 1)).all():
        raise ValueError(
            f"{name} must be true where adversaries are allowed and false elsewhere, such as "
            f"target[..., 3] >= 0.1. Received: {values.dtype} with other values than 0 and 1"
        )


def check_labels(labels, classes):
    """Raises ValueError unless `labels` are integers in 0 to ``classes - 1``."""
    labels = np.asarray(labels)
    if labels.dtype.kind not in "iu" or labels.ndim != 1:
        raise ValueError(
            f"labels must be integers of shape (count,). "
            f"Received: {labels.dtype} of shape {labels.shape}"
        )
    if labels.size and not 0 <= labels.min() <= labels.max() < classes:
        raise ValueError(
            f"labels must be in 0 to {classes - 1}. "
            f"Received: values from {labels.min()} to {labels.max()}"
        )


def check_digit_state(state, classes, labels=None, mask=None):
    """Raises ValueError unless `state` is an MNIST CA's, and labels and mask fit it."""
    shape = tuple(np.shape(state))
    if len(shape) != 4 or shape[-1] <= classes:
        raise ValueError(
            "state must be an MNIST CA's, (batch, height, width, channels) with more than "
            f"{classes} channels. Received: shape={shape}"
        )
    for name, given, axes in (("labels", labels, 1), ("mask", mask, 3)):
        if given is not None and np.shape(given) != shape[:axes]:
            raise ValueError(f"{name} must have shape {shape[:axes]}. Received: {np.shape(given)}")


def check_fits(name, thing, step):
    """Raises ValueError if a task, pool or loss has a reason why it does not fit a step.

    The reason is what its method ``why_not(step)`` returns; without one, it fits every step.
    """
    if isinstance(thing, type):
        raise ValueError(
            f"{name} must be an object, not its class: call {thing.__name__} with its arguments. "
            f"Received: the class {thing.__name__}"
        )
    reason = thing.why_not(step) if hasattr(thing, "why_not") else None
    if reason:
        raise ValueError(
            f"{name} does not fit the step: {reason}. "
            f"Received: {type(thing).__name__} with {type(step).__name__}"
        )


def check_pool(pool, step):
    """Raises ValueError unless a pool's states and masks suit the step that trains on them."""
    name = type(pool).__name__
    check_fits(name, pool, step)
    if pool.channels != step.channels:
        raise ValueError(
            f"The states of {name} must have the step's {step.channels} channels. "
            f"Received: {pool.channels}"
        )
    if pool.has_masks and not step.has_adversary:
        reject_mask(pool, type(step).__name__)
    if step.has_adversary and not pool.has_masks:
        raise ValueError(
            f"{type(step).__name__} has adversaries, so it needs a {name} that places them: give "
            "it a density. Received: a pool without masks"
        )
