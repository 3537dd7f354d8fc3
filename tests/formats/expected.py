"""What a model that was read must hold, and two models to write."""

import numpy as np
import published_formats as formats
import pytest

import tfnca

GROWING, MNIST = formats.growing_tensors(), formats.mnist_tensors()
KINDS = pytest.mark.parametrize("tensors", [GROWING, MNIST], ids=["growing", "mnist"])


def assert_holds(step, tensors):
    assert type(step) is (tfnca.GrowingCA if len(tensors) == 4 else tfnca.MNISTCA)
    for variable, tensor in zip(step.weights_in_order, tensors, strict=True):
        np.testing.assert_array_equal(variable.numpy(), tensor.reshape(variable.shape))
