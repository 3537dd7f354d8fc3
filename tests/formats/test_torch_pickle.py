"""PyTorch's files without PyTorch: what a state dict needs is read, and nothing else is run."""

import os
import pickle
from collections import OrderedDict

import numpy as np
import published_formats as formats
import pytest
from expected import assert_holds
from torch_files import Tensor, pickled, torch_old, torch_zip

from tfnca.formats import torch_pickle
from tfnca.formats.archive import Budget
from tfnca.formats.load import load
from tfnca.formats.torch_pickle import UnknownNameError, arrays_in_old_file, arrays_in_zip


def read(value, storages, protocol=2, budget=None):
    data = pickled(value, protocol) if not isinstance(value, bytes) else value
    files = {f"x/data/{key}": numbers.tobytes() for key, numbers in storages.items()}
    return arrays_in_zip({"x/data.pkl": data, **files}, "x/data.pkl", budget or Budget())


NUMBERS = np.arange(12, dtype=np.float32)


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_a_state_dict_in_whatever_it_lies(protocol):
    state = OrderedDict(a=Tensor("0", (3, 4), (4, 1)), b=Tensor("0", (4, 3), (1, 4)))
    whole = {"epoch": 3, "rate": 0.1, "name": "é", "done": [True, None, -5], "state_dict": state}
    arrays = read(whole, {"0": NUMBERS}, protocol)
    assert list(arrays) == ["state_dict.a", "state_dict.b"]
    np.testing.assert_array_equal(arrays["state_dict.a"], NUMBERS.reshape(3, 4))
    np.testing.assert_array_equal(arrays["state_dict.b"], NUMBERS.reshape(3, 4).T)


def test_a_part_of_a_storage():
    arrays = read({"a": Tensor("0", (2,), (3,), offset=4)}, {"0": NUMBERS})
    np.testing.assert_array_equal(arrays["a"], [4, 7])


def test_an_old_file():
    data = torch_old({"a": NUMBERS, "b": NUMBERS.reshape(3, 4)})
    assert torch_pickle.is_old_format(data)
    arrays = arrays_in_old_file(data, Budget())
    np.testing.assert_array_equal(arrays["a"], NUMBERS)
    np.testing.assert_array_equal(arrays["b"], NUMBERS.reshape(3, 4))
    with pytest.raises(ValueError, match="more than are left"):
        arrays_in_old_file(data[:-1], Budget())


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", [2, 4])
def test_nothing_is_run(tmp_path, protocol):
    trap = tmp_path / "trap"
    data = pickle.dumps({"a": Trap(trap)}, protocol)
    with pytest.raises(UnknownNameError, match=r"(posix|nt)\.mkdir"):
        read(data, {})
    assert not trap.exists()
    pickle.loads(data)  # the trap is one
    assert trap.exists()


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (Tensor("0", (13,), (1,)), "larger than its storage"),
        (Tensor("0", (3, 4), (1000, 1)), "larger than its storage"),
        (Tensor("0", (1 << 40,), (0,)), "larger than its storage"),
        (Tensor("0", (2,), (1,), offset=-1), "offset, shape and strides"),
        (Tensor("0", (2,), (-1,)), "offset, shape and strides"),
        (Tensor("0", (2,), (1.5,)), "offset, shape and strides"),
    ],
)
def test_tensors_that_would_read_elsewhere(tensor, message):
    with pytest.raises(ValueError, match=message):
        read({"a": tensor}, {"0": NUMBERS})


def test_many_names_of_one_storage_count_each():
    state = {str(i): Tensor("0", (1 << 20,), (1,)) for i in range(500)}
    with pytest.raises(ValueError, match="bytes"):
        read(state, {"0": np.zeros(1 << 20, np.float32)})


def test_parts_in_parts():
    inner = [Tensor("0", (1,), (1,))]
    for _ in range(30):
        inner = [inner, inner]
    with pytest.raises(ValueError, match="nested too deeply"):
        read({"a": inner}, {"0": NUMBERS})


def test_operations_that_no_state_dict_needs():
    with pytest.raises(ValueError, match="is not allowed"):
        read(b"\x80\x02i\x2e", {})


def test_a_loop_of_operations_ends():
    with pytest.raises(ValueError, match="more than 200000 operations"):
        read(b"\x80\x02" + b"N" * 300_000, {})


@pytest.mark.parametrize("ending", ["pt", "pth", "ckpt"])
@pytest.mark.parametrize("write", [torch_zip, torch_old])
def test_through_load(tmp_path, ending, write):
    """As somebody loads it: by path, and told which rule it was trained with."""
    tensors = formats.growing_tensors(channels=6, hidden=4)
    named = formats.named_tensors(formats.torch_tensors(tensors), parts=("weight", "bias"))
    path = tmp_path / f"ca.{ending}"
    path.write_bytes(write(named))
    assert_holds(load(path, convention="growing"), tensors)
    with pytest.raises(ValueError, match="several rules"):
        load(path)
