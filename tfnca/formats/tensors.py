"""Arranges arrays with any names into a CA's kernels and biases, by their shapes."""

import itertools
import re
from collections.abc import Mapping

import numpy as np

from tfnca.automata.perception import NUM_KERNELS
from tfnca.formats.archive import check_array_name, some

Tensors = list[tuple[str, np.ndarray]]
"""(name, array) of kernel, bias, kernel, bias …, from perception to update."""

_BESIDE = re.compile(
    r"(^|[/.])(_variables|\w*seed_generator\w*|metrics|\w*adam\w*|whitened|sgd|rmsprop"
    r"|_?optimi[sz]er\w*(?![/.]_trainable_variables))([/.]|$)|\.OPTIMIZER_SLOT",
    re.IGNORECASE,
)
"""Names of arrays that training saves next to the weights. A Keras 3 checkpoint of a model with its
optimiser has the weights themselves under ``optimizer/_trainable_variables``."""


def is_beside(name: str) -> bool:
    """Whether an array with this name belongs to an optimiser or a metric and is not a weight.

    Raises:
        ValueError: If the name is too long.
    """
    check_array_name(name)
    return _BESIDE.search(name) is not None


def arrange(where: str, arrays: Mapping[str, np.ndarray]) -> Tensors:
    """Finds the layers of one of the article's CAs among arrays with any names.

    Kernels may have Keras' order of axes, ``(1, 1, 48, 128)`` or ``(48, 128)``, or PyTorch's,
    ``(128, 48, 1, 1)`` or ``(128, 48)``. Their shapes determine their order. A bias belongs to the
    kernel of its width. If there are several, it belongs to the one whose name differs only in the
    role (``fc1.weight``, ``fc1.bias``), or else to the one of the same rank (``arr_0`` …
    ``arr_5``). Scalars and the variables of optimisers are ignored.

    Returns:
        (name, array) of kernel, bias, kernel, bias …; kernels are float32 with Keras' four axes.
        Empty if all arrays are ignored.

    Raises:
        ValueError: If the arrays are not exactly those of one CA.
    """
    arrays = {name: array for name, array in arrays.items() if array.ndim and not is_beside(name)}
    names = sorted(arrays, key=_natural)
    kernels = [name for name in names if arrays[name].ndim in (2, 4)]
    biases = [name for name in names if arrays[name].ndim == 1]
    for name in names:
        if arrays[name].dtype.kind != "f":
            raise ValueError(
                f"{where}: {name} must hold floating-point numbers. Received: {arrays[name].dtype}"
            )
    if len(kernels) in (2, 3) and len(kernels) + len(biases) == len(names):
        for is_torch in (False, True):
            shaped = {name: _four_axes(arrays[name], is_torch) for name in kernels}
            for chain in itertools.permutations(kernels):
                if _fits([shaped[name].shape for name in chain]):
                    tensors = _with_biases(chain, shaped, {b: arrays[b] for b in biases}, is_torch)
                    if tensors:
                        return tensors
    if not names:
        return []
    raise ValueError(
        f"{where} must hold kernels and biases of a Growing CA, (3C, H), (H,), (H, C), (C,), or "
        "an MNIST CA, (3, 3, C, H), (H,), (H, H), (H,), (H, C - 1), (C - 1,), each layer's bias "
        "named like its kernel. Received: left over "
        + some(f"{name} {arrays[name].shape}" for name in names)
    )


def _four_axes(array: np.ndarray, is_torch: bool) -> np.ndarray:
    """A kernel as (height, width, in, out)."""
    with np.errstate(over="ignore"):  # overflows are detected as non-finite values
        array = array.astype(np.float32)
    if array.ndim == 2:
        return (array.T if is_torch else array)[None, None]
    return array.transpose(2, 3, 1, 0) if is_torch else array


def _fits(shapes: list[tuple[int, ...]]) -> bool:
    """Whether kernels of these shapes, in this order, make a CA."""
    sizes, ins, outs = ([shape[i:j] for shape in shapes] for i, j in ((0, 2), (2, 3), (3, 4)))
    if outs[:-1] != ins[1:] or any(size != (1, 1) for size in sizes[1:]):
        return False
    if len(shapes) == 2:
        return sizes[0] == (1, 1) and ins[0][0] == NUM_KERNELS * outs[-1][0]
    return sizes[0] == (3, 3) and ins[0][0] == outs[-1][0] + 1


def _with_biases(
    chain: tuple[str, ...],
    kernels: dict[str, np.ndarray],
    biases: dict[str, np.ndarray],
    is_torch: bool,
) -> Tensors:
    """The chain of kernels, each with its bias; empty if they do not fit together."""
    tensors: Tensors = []
    left = dict(biases)
    for kernel in chain:
        width = kernels[kernel].shape[-1]
        candidates = [name for name in biases if biases[name].size == width]
        alike = [name for name in candidates if _layer(name) == _layer(kernel)]
        rivals = [name for name in kernels if kernels[name].shape[-1] == width]
        if len(alike) == 1:
            bias = alike[0]
        elif len(candidates) == len(rivals):
            bias = candidates[rivals.index(kernel)]
        elif is_torch and kernel == chain[-1]:
            # Ports may omit the last layer's bias, which is the same as zeros.
            tensors += [(kernel, kernels[kernel]), ("no bias", np.zeros(width, np.float32))]
            continue
        else:
            return []
        if bias not in left:
            return []
        with np.errstate(over="ignore"):
            tensors += [(kernel, kernels[kernel]), (bias, left.pop(bias).astype(np.float32))]
    return [] if left else tensors


def _layer(name: str) -> tuple[str, str]:
    """The part that the names of a layer's kernel and bias have in common."""
    layer, _, last = name.replace(".", "/").rpartition("/")
    last = re.sub(r"(?i)kernel|weights?|bias(es)?|^[wbk](?=_?\d*$)", "", last)
    return layer, "" if layer and last.isdigit() else last.strip("_:")


def _natural(name: str) -> list[tuple[int, int | str]]:
    """A key that sorts ``arr_10`` after ``arr_9``."""
    parts = re.split(r"(\d+)", name)
    return [(0, int(part)) if part.isdigit() else (1, part) for part in parts]
