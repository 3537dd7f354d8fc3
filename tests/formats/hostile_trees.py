"""Small files of other projects that would take minutes or gigabytes if nothing were counted."""

import json
import struct

import msgpack
import numpy as np
from foreign_files import textures_document
from hostile_networks import plain
from published_formats import safetensors, safetensors_of
from torch_files import OLD_MAGIC, pickled

LARGEST = 2**62
TORCH_NAME, TORCH_SIZE = b"ctorch._utils\n_rebuild_tensor_v2\n", b"ctorch\nSize\n"


def torch(operations, storages=()):
    """A file by PyTorch before 1.6 whose object these operations of a pickle make."""
    head = [pickled(each) for each in (OLD_MAGIC, 1001, {"little_endian": True})]
    tail = [struct.pack("<q", 1) + bytes(4) for _ in storages]
    return b"".join([*head, b"\x80\x02" + operations + b".", pickled(list(storages)), *tail])


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value


def copies():
    """One tuple of 60,000 parts, copied 30,000 times: 14 GB."""
    parts = b"(" + b"N" * 60_000 + b"tq\0" + TORCH_SIZE + b"q\1"
    return torch(b"(" + parts + b"(" + b"h\1h\0\x85R" * 30_000 + b"tt")


def long_names():
    """A name of a megabyte, before each of 60,000 others: 60 GB."""
    numbers = b"".join(b"M" + struct.pack("<H", i) + b"N" for i in range(60_000))
    return torch(b"}(" + text(b"k" * 1_000_000) + b"}(" + numbers + b"uu")


def shape_of_torch():
    """Sizes of 255 bytes each: their product has millions of digits."""
    storage = b"((" + text(b"storage") + b"ctorch\nFloatStorage\n" + text(b"0") + text(b"cpu")
    sizes = b"(" + (b"\x8a\xff" + b"\x7f" * 255) * 20_000 + b"tq\0h\0"
    tensor = TORCH_NAME + storage + b"K\0tQK\0" + sizes + b"\x89}tR"
    return torch(b"}" + text(b"a") + tensor + b"s", ["0"])


def flax(name="a", shape=(1, 1), dtype=b"float32"):
    array = msgpack.ExtType(1, msgpack.packb((shape, dtype, bytes(4))))
    return plain("tree.msgpack", msgpack.packb({name: array}))


def shape_of_safetensors():
    entry = {"dtype": "F32", "shape": [LARGEST] * 200_000, "data_offsets": [0, 0]}
    return safetensors_of({"a": entry}, b"")


def many_textures():
    return json.dumps(textures_document(3000, channels=1, hidden=1)[0]).encode()


TREES = {
    "pickle that copies": (plain("a.pt", copies()), "more than 200000 operations"),
    "pickle of long names": (plain("a.pt", long_names()), "more than 10000 parts"),
    "pickle of many axes": (plain("a.pt", shape_of_torch()), "20000 axes, more than 32"),
    "flax tree of many axes": (flax(shape=[LARGEST] * 400_000), "400000 axes, more than 32"),
    "flax tree of many types": (flax(dtype=b"f4," * 200_000), "has 600000 characters"),
    "flax tree of a long name": (flax(name="/" + "adam" * 60_000 + "!"), "at most 1000 characters"),
    "safetensors of many axes": (plain("a.safetensors", shape_of_safetensors()), "200000 axes"),
    "safetensors of a long name": (
        plain("a.safetensors", safetensors({"/" + "adam" * 60_000 + "!": np.ones(1)})),
        "at most 1000 characters",
    ),
    "thousands of textures": (plain("a.json", many_textures()), "3000 models, more than 1000"),
}
