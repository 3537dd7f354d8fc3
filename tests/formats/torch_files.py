"""Files as PyTorch writes them, without PyTorch."""

import io
import pickle
import struct
import zipfile
from collections import OrderedDict

import numpy as np

OLD_MAGIC = 0x1950A86A20F9469CFC6C
"""The first object of a file of PyTorch before 1.6."""


class Tensor:
    """Pickles as a tensor of PyTorch does: a part of a storage."""

    def __init__(self, key, shape, strides, offset=0):
        self.key, self.arguments = key, (offset, shape, strides)


class _Pickler(pickle._Pickler):
    """Python's own pickler, told PyTorch's names, whose package is not there."""

    def save(self, value, save_persistent_id=True):
        if not isinstance(value, Tensor):
            super().save(value, save_persistent_id)
            return
        offset, shape, strides = value.arguments
        self.write(b"ctorch._utils\n_rebuild_tensor_v2\n((")
        self.save("storage")
        self.write(b"ctorch\nFloatStorage\n")
        for part in (value.key, "cpu", 0):
            self.save(part)
        self.write(b"tQ")
        for part in (offset, shape, strides, False, OrderedDict()):
            self.save(part)
        self.write(b"tR")


def pickled(value, protocol=2):
    out = io.BytesIO()
    _Pickler(out, protocol).dump(value)
    return out.getvalue()


def _parts(named):
    """A state dict of tensors, and the numbers of their storages."""
    state, storages = OrderedDict(), {}
    for number, (name, array) in enumerate(named.items()):
        array = np.ascontiguousarray(array, np.float32)
        strides = tuple(stride // array.itemsize for stride in array.strides)
        state[name], storages[str(number)] = Tensor(str(number), array.shape, strides), array
    return state, storages


def torch_lightning(named):
    """A checkpoint of Lightning: a state dict among what a training needs to continue."""
    about = {"epoch": 3, "hyper_parameters": {"rate": 0.5, "name": "é"}, "lr_schedulers": [None]}
    return torch_zip(named, lambda state: about | {"state_dict": state})


def torch_zip(named, whole=lambda state: state):
    """A file of PyTorch since 1.6."""
    state, storages = _parts(named)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("ca/data.pkl", pickled(whole(state)))
        archive.writestr("ca/byteorder", b"little")
        for key, array in storages.items():
            archive.writestr(f"ca/data/{key}", array.tobytes())
    return out.getvalue()


def torch_old(named):
    """A file of PyTorch before 1.6."""
    state, storages = _parts(named)
    parts = [OLD_MAGIC, 1001, {"little_endian": True}, state, list(storages)]
    bodies = [struct.pack("<q", array.size) + array.tobytes() for array in storages.values()]
    return b"".join([*map(pickled, parts), *bodies])
