"""Builds layers from arrays."""

import math
from collections.abc import Mapping
from statistics import mode
from typing import Any

import numpy as np

from tfnca.automata.growing import GrowingCA
from tfnca.automata.mnist import MNISTCA
from tfnca.automata.neural_ca import NeuralCA
from tfnca.automata.perception import NUM_KERNELS
from tfnca.automata.perturbations import KINDS, StatePerturbation
from tfnca.automata.perturbations.matrix import MatrixPerturbation
from tfnca.automata.perturbations.shift import ShiftPerturbation
from tfnca.automata.rule import Rule
from tfnca.automata.state import ALPHA, GROWING_CHANNELS, MNIST_CHANNELS, NUM_CLASSES
from tfnca.automata.step import CellularAutomaton
from tfnca.formats.archive import check_finite, some
from tfnca.formats.tensors import Tensors


def build_ca(
    where: str,
    tensors: Tensors,
    row_order: str = "channel",
    options: Mapping[str, float] | None = None,
    flat: bool = False,
) -> CellularAutomaton:
    """Builds a CA with `tensors` as its weights.

    Channels and widths are those of most shapes, so that an error names the tensor that differs.

    Args:
        where: Name of the file in messages.
        tensors: (name, array) of kernel, bias, kernel, bias …; 4 or 6 of them.
        row_order: The order of the rows of a Growing CA's first kernel: ``"channel"``, row 3c + k
            for channel c and perception kernel k, as in `GrowingCA`; or ``"kernel"``, row
            k·channels + c, as in a perception that concatenates its three results.
        options: Further arguments of the layer, for example ``fire_rate``.
        flat: Whether the kernels are flattened.

    Returns:
        A `GrowingCA` for 4 tensors, an `MNISTCA` for 6.

    Raises:
        ValueError: If the number of tensors or a shape is wrong, or if a value is not finite.
    """
    if len(tensors) not in (4, 6):
        raise ValueError(
            f"{where} must hold 4 tensors (Growing CA) or 6 (MNIST CA). "
            f"Received: {len(tensors)}: {some(name for name, _ in tensors)}"
        )
    kernels = [array.shape for _, array in tensors[0::2] if array.ndim > 1]
    biases = [array.shape[0] for _, array in tensors[1::2] if array.ndim == 1]
    growing = len(tensors) == 4
    fixed = 0 if growing else 1  # the grey never changes, so an MNIST CA's update lacks it
    widths = [*(shape[-1] for shape in kernels[:-1]), *(shape[-2] for shape in kernels[1:])]
    hidden = mode([*widths, *biases[:-1], 128 if growing else 80])
    sizes = [shape[-1] + fixed for shape in kernels[-1:]] + [n + fixed for n in biases[-1:]]
    sizes += [shape[-2] // (NUM_KERNELS if growing else 1) for shape in kernels[:1]]
    channels = mode([*sizes, GROWING_CHANNELS if growing else MNIST_CHANNELS])
    least = ALPHA + 1 if growing else NUM_CLASSES + 2
    if channels < least or hidden < 1:
        raise ValueError(
            f"{where} must have at least {least} channels and a width of 1. "
            f"Received: channels={channels}, hidden={hidden}"
        )
    if not growing and row_order != "channel":
        raise ValueError(
            f"{where} holds an MNIST CA, whose learned perception has only one order of rows. "
            f"Received: row_order={row_order!r}"
        )
    shapes = ca_shapes(growing, channels, hidden)
    for (name, array), shape in zip(tensors, shapes, strict=True):
        plain = shape[2:] if shape[:2] == (1, 1) else shape
        flattened = (math.prod(shape),) if flat else shape
        if array.shape not in (shape, plain, flattened):
            raise ValueError(
                f"{where}: {name} must have shape {shape}. Received: shape={array.shape}"
            )
        check_finite(where, name, array)
    arrays = [array for _, array in tensors]
    if row_order == "kernel":
        arrays[0] = arrays[0].reshape(NUM_KERNELS, channels, hidden).swapaxes(0, 1)
    step = (GrowingCA if growing else MNISTCA)(channels=channels, hidden=hidden, **options or {})
    for variable, array in zip(step.weights_in_order, arrays, strict=True):
        variable.assign(array.reshape(variable.shape))
    return step


def ca_shapes(growing: bool, channels: int, hidden: int) -> list[tuple[int, ...]]:
    """The shapes of kernel, bias, kernel, bias … of a `GrowingCA`, or else an `MNISTCA`."""
    shapes: list[tuple[int, ...]] = [(1, 1, NUM_KERNELS * channels, hidden)]
    if not growing:
        shapes = [(3, 3, channels, hidden), (hidden,), (1, 1, hidden, hidden)]
        channels -= 1  # the grey never changes, so the update does not include it
    return [*shapes, (hidden,), (1, 1, hidden, channels), (channels,)]


def weights_asked_for(kind: type, config: Mapping[str, Any]) -> int:
    """The least number of weights that a class creates with these settings; biases may be left out.

    A file must have as many, so that a small one cannot ask for a large model. If a setting is
    wrong, the result is 0, because the constructor will say what is wrong.
    """
    if issubclass(kind, NeuralCA) and kind.arguments == NeuralCA.arguments:
        own = {name: config[name] for name in kind.arguments if name in config}
        try:
            return Rule(**own).parameters
        except (TypeError, ValueError):
            return 0
    sizes = {"channels": 1, "hidden": 1, **config}
    channels, hidden = sizes["channels"], sizes["hidden"]
    if not all(isinstance(size, int | float) and size >= 1 for size in (channels, hidden)):
        return 0
    channels, hidden = int(channels), int(hidden)
    if issubclass(kind, GrowingCA | MNISTCA):
        shapes = ca_shapes(issubclass(kind, GrowingCA), channels, hidden)
        return sum(math.prod(shape) for shape in shapes if len(shape) > 1)
    if issubclass(kind, MatrixPerturbation):
        return channels**2
    return channels if issubclass(kind, ShiftPerturbation) else 0


def build_perturbation(where: str, array: np.ndarray) -> StatePerturbation:
    """Builds a perturbation from its array.

    Args:
        where: Name of the file in messages.
        array: The result of a perturbation's `to_array`: a square matrix, or a vector.

    Returns:
        A perturbation of the kind whose array has these axes.

    Raises:
        ValueError: If no kind or several kinds have these axes, or if the values are not valid.
    """
    if not array.size or not array.ndim:
        raise ValueError(f"{where} must be a matrix or a vector. Received: shape={array.shape}")
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):  # overflows are detected as non-finite values
            array = array.astype(np.float32)
    found: dict[str, StatePerturbation] = {}
    refusals = []
    for name, kind in KINDS.items():
        try:
            perturbation = kind.from_array(array, where)
        except ValueError as error:  # another kind may accept it
            refusals.append(error)
            continue
        if perturbation is not None:
            found[name] = perturbation
    if len(found) > 1:
        raise ValueError(
            f"{where} may be of several kinds of perturbations. Each kind's `from_array` must take "
            f"different axes. Received: {array.shape}, taken by {', '.join(found)}"
        )
    if found:
        return found.popitem()[1]
    if refusals:
        raise refusals[0]
    raise ValueError(
        f"{where} must be the array of a perturbation, of kind {some(KINDS)}. "
        f"Received: {array.dtype} of shape {array.shape}"
    )
