"""From arrays to layers."""

import math
from statistics import mode

import numpy as np

from tfnca.automata.checks import check_matrix
from tfnca.automata.growing import GrowingCA
from tfnca.automata.mnist import MNISTCA
from tfnca.automata.perception import NUM_KERNELS
from tfnca.automata.perturbations.matrix import Perturbation
from tfnca.automata.state import ALPHA, GROWING_CHANNELS, MNIST_CHANNELS, NUM_CLASSES
from tfnca.formats.archive import MAX_SIDE, check_finite, some


def build_ca(where, tensors, flat=False):
    """The CA whose layers hold `tensors`: (name, array) of kernel, bias, kernel, bias …

    Channels and widths are what most shapes say, so that the error names the odd one out.
    `flat` says that kernels come without a shape.
    """
    if len(tensors) not in (4, 6):
        raise ValueError(
            f"{where} must hold 4 tensors (Growing CA) or 6 (MNIST CA). "
            f"Received: {len(tensors)}: {some(name for name, _ in tensors)}"
        )
    kernels = [array.shape for _, array in tensors[0::2] if array.ndim > 1]
    biases = [array.shape[0] for _, array in tensors[1::2] if array.ndim == 1]
    growing = len(tensors) == 4
    fixed = 0 if growing else 1  # the grey never changes, so an MNIST CA's update has no such row
    widths = [*(shape[-1] for shape in kernels[:-1]), *(shape[-2] for shape in kernels[1:])]
    hidden = mode([*widths, *biases[:-1], 128 if growing else 80])
    channels = [shape[-1] + fixed for shape in kernels[-1:]] + [n + fixed for n in biases[-1:]]
    channels += [shape[-2] // (NUM_KERNELS if growing else 1) for shape in kernels[:1]]
    channels = mode([*channels, GROWING_CHANNELS if growing else MNIST_CHANNELS])
    least = ALPHA + 1 if growing else NUM_CLASSES + 2
    if not least <= channels <= MAX_SIDE or not 1 <= hidden <= MAX_SIDE:
        raise ValueError(
            f"{where} must have {least} to {MAX_SIDE} channels and a width of 1 to {MAX_SIDE}. "
            f"Received: channels={channels}, hidden={hidden}"
        )
    if growing:
        shapes = [(1, 1, NUM_KERNELS * channels, hidden)]
    else:
        shapes = [(3, 3, channels, hidden), (hidden,), (1, 1, hidden, hidden)]
    shapes += [(hidden,), (1, 1, hidden, channels - fixed), (channels - fixed,)]
    for (name, array), shape in zip(tensors, shapes, strict=True):
        plain = shape[2:] if shape[:2] == (1, 1) else shape
        flattened = (math.prod(shape),) if flat else shape
        if array.shape not in (shape, plain, flattened):
            raise ValueError(
                f"{where}: {name} must have shape {shape}. Received: shape={array.shape}"
            )
        check_finite(where, name, array)
    step = (GrowingCA if growing else MNISTCA)(channels=channels, hidden=hidden)
    for variable, (_, array) in zip(step.weights_in_order, tensors, strict=True):
        variable.assign(array.reshape(variable.shape))
    return step


def build_perturbation(name, matrix):
    with np.errstate(over="ignore"):  # an overflow is found as not finite
        matrix = check_matrix(matrix, GROWING_CHANNELS, name)
    return Perturbation(matrix=matrix)
