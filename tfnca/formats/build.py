"""Builds layers from arrays."""

import math
from collections.abc import Mapping
from statistics import mode
from typing import Any

import numpy as np

from tfnca.automata.checks import check_integer
from tfnca.automata.neural_ca import NeuralCA
from tfnca.automata.perturbations import KINDS, StatePerturbation
from tfnca.automata.perturbations.matrix import MatrixPerturbation
from tfnca.automata.perturbations.shift import ShiftPerturbation
from tfnca.automata.presets import PRESETS
from tfnca.automata.rule import Rule
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
    """Builds one of the article's CAs with `tensors` as its weights.

    Channels and widths are those of most shapes, so that an error names the tensor that differs.

    Args:
        where: Name of the file in messages.
        tensors: (name, array) of kernel, bias, kernel, bias …: 4 of a Growing CA, 6 of an MNIST CA.
        row_order: The order of the rows of a Growing CA's first kernel: ``"channel"``, row 3c + k
            for channel c and filter k; or ``"kernel"``, row k·channels + c, as in a perception that
            concatenates its three results.
        options: Further arguments of the layer, for example ``fire_rate``.
        flat: Whether the kernels are flattened.

    Raises:
        ValueError: If the number of tensors or a shape is wrong, or if a value is not finite.
    """
    usual = {name: Rule(**preset.parts()) for name, preset in PRESETS.items()}
    preset = next((n for n, rule in usual.items() if len(rule.shapes) == len(tensors)), None)
    if preset is None:
        raise ValueError(
            f"{where} must hold 4 tensors (Growing CA) or 6 (MNIST CA). "
            f"Received: {len(tensors)}: {some(name for name, _ in tensors)}"
        )
    kernels = [array.shape for _, array in tensors[0::2] if array.ndim > 1]
    biases = [array.shape[0] for _, array in tensors[1::2] if array.ndim == 1]
    rule = usual[preset]
    fixed, filters = rule.fixed, len(rule.filters)
    widths = [*(shape[-1] for shape in kernels[:-1]), *(shape[-2] for shape in kernels[1:])]
    hidden = mode([*widths, *biases[:-1], *rule.hidden])
    sizes = [shape[-1] + fixed for shape in kernels[-1:]] + [n + fixed for n in biases[-1:]]
    sizes += [shape[-2] // (filters or 1) for shape in kernels[:1]]
    channels = mode([*sizes, rule.channels])
    try:
        rule = Rule(**PRESETS[preset].parts(channels, hidden))
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    if not filters and row_order != "channel":
        raise ValueError(
            f"{where} holds an MNIST CA, whose learned perception has only one order of rows. "
            f"Received: row_order={row_order!r}"
        )
    for (name, array), plain in zip(tensors, rule.shapes, strict=True):
        shape = (1, 1, *plain) if len(plain) == 2 else plain
        flattened = (math.prod(shape),) if flat else shape
        if array.shape not in (shape, plain, flattened):
            raise ValueError(
                f"{where}: {name} must have shape {shape}. Received: shape={array.shape}"
            )
        check_finite(where, name, array)
    arrays = [array for _, array in tensors]
    if row_order == "kernel":
        arrays[0] = arrays[0].reshape(filters, channels, hidden).swapaxes(0, 1)
    step = PRESETS[preset](channels=channels, hidden=hidden, **options or {})
    for variable, array in zip(step.weights_in_order, arrays, strict=True):
        variable.assign(array.reshape(variable.shape))
    return step


def weights_asked_for(kind: type, config: Mapping[str, Any]) -> int:
    """The least number of weights that a class creates with these settings; biases may be left out.

    A file must have as many, so that a small one cannot ask for a large model. If a setting is
    wrong, the result is 0, because the constructor will say what is wrong.
    """
    sizes = {"channels": 1, "hidden": 1, **config}
    try:
        for preset in PRESETS.values():
            if issubclass(kind, preset):
                return Rule(**preset.parts(sizes["channels"], sizes["hidden"])).parameters
        if issubclass(kind, NeuralCA) and kind.arguments == NeuralCA.arguments:
            return Rule(**{n: config[n] for n in kind.arguments if n in config}).parameters
        channels = check_integer("channels", sizes["channels"], 1)
    except (TypeError, ValueError):
        return 0
    if issubclass(kind, MatrixPerturbation):
        return channels**2
    return channels if issubclass(kind, ShiftPerturbation) else 0


def build_perturbation(where: str, array: np.ndarray) -> StatePerturbation:
    """Builds a perturbation of the kind whose array, from its `to_array`, has these axes.

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
