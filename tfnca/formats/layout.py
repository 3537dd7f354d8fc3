"""Arranges arrays with any names as the layers of a CA: learned perceptions, then dense layers."""

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from tfnca.formats.archive import check_finite, some
from tfnca.formats.tensors import _layer, _natural, is_beside

_MOST_DENSE = 5
_SIDE = 3


class Layer(NamedTuple):
    """A kernel and its bias.

    Attributes:
        name: The kernel's name.
        kernel: ``(in, out)`` of a dense layer; ``(3, 3, in, out)`` of a full convolution;
            ``(3, 3, channels, multiplier)`` of a depthwise one.
        bias: ``(out,)``, or None.
    """

    name: str
    kernel: np.ndarray
    bias: np.ndarray | None


class Layout(NamedTuple):
    """One way to read a file's arrays as a CA."""

    learned: list[Layer]
    depthwise: bool
    dense: list[Layer]


def layouts(where: str, arrays: Mapping[str, np.ndarray]) -> Iterator[Layout]:
    """Lists the ways in which arrays can be the layers of a CA, the most likely first.

    Kernels may have Keras' order of axes or PyTorch's. Their shapes determine the order of the
    dense layers. A bias belongs to the kernel whose name differs only in the role, or else to the
    kernel of its width. Scalars, variables of optimisers, and embeddings are ignored.

    Raises:
        ValueError: If an array does not contain finite floating-point numbers, or cannot be part
            of any layer.
    """
    names = sorted(
        (name for name, array in arrays.items() if array.ndim and not _is_aside(name)),
        key=_natural,
    )
    for name in names:
        if arrays[name].dtype.kind != "f":
            raise ValueError(
                f"{where}: {name} must hold floating-point numbers. Received: {arrays[name].dtype}"
            )
    with np.errstate(over="ignore"):  # overflows are detected as non-finite values
        floats = {name: arrays[name].astype(np.float32) for name in names}
    for name, array in floats.items():
        check_finite(where, name, array)
    biases = {name: array for name, array in floats.items() if array.ndim == 1}
    left = [name for name in names if name not in biases]
    odd = [name for name in left if floats[name].ndim not in (2, 4)]
    if odd or len(left) > 2 * _MOST_DENSE:
        raise ValueError(
            f"{where} must hold the kernels (2 or 4 axes) and biases (1 axis) of one CA. Received: "
            + some(f"{name} {floats[name].shape}" for name in odd or left)
        )
    for is_torch in (False, True):
        yield from _read_as({name: floats[name] for name in left}, biases, is_torch)


def _is_aside(name: str) -> bool:
    return is_beside(name) or "embed" in name.lower()


def _read_as(
    kernels: dict[str, np.ndarray], biases: dict[str, np.ndarray], is_torch: bool
) -> Iterator[Layout]:
    sides = slice(2, 4) if is_torch else slice(0, 2)
    convolutions = {
        name: array.transpose(2, 3, 1, 0) if is_torch else array
        for name, array in kernels.items()
        if array.ndim == 4 and array.shape[sides] == (_SIDE, _SIDE)
    }
    flat = {
        name: array if array.ndim == 2 else np.squeeze(array, (2, 3) if is_torch else (0, 1))
        for name, array in kernels.items()
        if name not in convolutions and (array.ndim == 2 or array.shape[sides] == (1, 1))
    }
    if len(convolutions) + len(flat) < len(kernels) or not 1 <= len(flat) <= _MOST_DENSE:
        return
    dense = {name: array.T if is_torch else array for name, array in flat.items()}
    is_depthwise = is_torch and any(array.shape[2] == 1 for array in convolutions.values())
    for chain in itertools.permutations(dense):
        pairs = itertools.pairwise(chain)
        if any(dense[first].shape[1] != dense[second].shape[0] for first, second in pairs):
            continue
        learned = dict(convolutions)
        if is_depthwise:  # PyTorch: (channels · multiplier, 1, 3, 3)
            channels = dense[chain[-1]].shape[1]
            if any(array.shape[2] != 1 or array.shape[3] % channels for array in learned.values()):
                continue
            shape = (_SIDE, _SIDE, channels, -1)
            learned = {name: array.reshape(shape) for name, array in learned.items()}
        shaped = learned | {name: dense[name] for name in chain}
        found = _match_biases(shaped, biases)
        if found is None:
            continue
        layers = [Layer(name, kernel, found.get(name)) for name, kernel in shaped.items()]
        first, ordered = layers[: len(learned)], layers[len(learned) :]
        yield Layout(first, is_depthwise, ordered)
        if learned and not is_torch:  # in Keras, a depthwise kernel looks like a full one
            yield Layout(first, True, ordered)


def _match_biases(
    kernels: dict[str, np.ndarray], biases: dict[str, np.ndarray]
) -> dict[str, np.ndarray] | None:
    """The bias of each kernel, by the kernel's name; None if a bias is left over."""
    found: dict[str, str] = {}
    for by_name in (True, False):
        for kernel, array in kernels.items():
            # A depthwise convolution has channels · multiplier outputs.
            widths = {array.shape[-1], math.prod(array.shape[2:])}
            fitting = [
                name
                for name, bias in biases.items()
                if name not in found.values()
                and bias.size in widths
                and (not by_name or _layer(name) == _layer(kernel))
            ]
            if fitting and kernel not in found:
                found[kernel] = fitting[0]
    if len(set(found.values())) < len(biases):
        return None
    return {kernel: biases[name] for kernel, name in found.items()}
