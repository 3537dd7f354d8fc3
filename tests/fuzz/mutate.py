"""Damage to files: at random among bytes, and inside what those bytes mean.

A byte changed in a zip only breaks its checksum. So archives are unpacked, one member is damaged,
and all is packed again; likewise JSON values, HDF5 attributes and datasets, the headers of
safetensors and npy files, the operations of pickles, trees of msgpack, the tensors of ONNX files,
and the chunks of PNG pictures.
"""

import base64
import copy
import io
import json
import pickletools
import struct
import zipfile
import zlib

import h5py
import msgpack

EXTREME_INTEGERS = (0, 1, -1, 127, 128, 255, 2**15, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1)
EXTREME_VALUES = (
    None,
    True,
    *EXTREME_INTEGERS,
    2**200,
    -0.5,
    1e39,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "x" * 10_000,
    "\0",
    "../../../etc/passwd",
    "__import__",
    [],
    {},
    [[]] * 3,
    {"class_name": "Dense", "config": {}},
)


def mutate(data, random, others=(b"",), depth=0):
    """Damaged bytes.

    Args:
        data: A file's bytes.
        random: A `numpy.random.Generator`.
        others: Other files' bytes, to be spliced in.
        depth: How many archives this one lies in.
    """
    inside = _inside(data)
    if inside is not None and random.random() < 0.7:
        try:
            return inside(data, random, others, depth)
        except Exception:  # what it stands in is damaged itself
            pass
    for _ in range(int(random.choice([1, 1, 1, 2, 4, 16]))):
        data = _BYTES[random.integers(len(_BYTES))](data, random, others)
    return data[: 1 << 22]


def _inside(data):
    if data[:2] == b"PK":
        return _mutate_zip
    if data[:8] == b"\x89HDF\r\n\x1a\n":
        return _mutate_hdf5
    if data[:6] == b"\x93NUMPY":
        return _mutate_npy
    if data[:8] == _PNG:
        return _mutate_png
    if data[:1] == b"\x80" and data[1:2] in (b"\2", b"\3", b"\4", b"\5"):
        return _mutate_pickle
    if b"\x80" < data[:1] <= b"\x8f":
        return _mutate_msgpack
    if data[:1] in b"{[" and data:
        return _mutate_json
    if data[:1] == b"\x08":
        return _mutate_onnx
    if len(data) > 9 and data[8:9] == b"{":
        return _mutate_safetensors
    return None


# Bytes


def _place(data, random):
    return int(random.integers(len(data) + 1))


def _flip(data, random, _):
    out = bytearray(data)
    for _ in range(int(random.integers(1, 5))):
        if out:
            out[random.integers(len(out))] ^= 1 << random.integers(8)
    return bytes(out)


def _cut(data, random, _):
    return data[: _place(data, random)]


def _drop(data, random, _):
    start, length = _place(data, random), int(random.geometric(0.05))
    return data[:start] + data[start + length :]


def _repeat(data, random, _):
    start, length = _place(data, random), int(random.geometric(0.02))
    return data[: start + length] + data[start : start + length] * 2 + data[start + length :]


def _insert(data, random, _):
    start = _place(data, random)
    return data[:start] + random.bytes(int(random.geometric(0.1))) + data[start:]


def _splice(data, random, others):
    other = others[random.integers(len(others))]
    return data[: _place(data, random)] + other[_place(other, random) :]


def _number(data, random, _):
    kind = random.choice(["<i", ">i", "<q", ">q", "<h", "<f"])
    value = EXTREME_INTEGERS[random.integers(len(EXTREME_INTEGERS))]
    size = struct.calcsize(kind)
    bits = value & (2 ** (8 * size) - 1)
    start = _place(data, random)
    new = bits.to_bytes(size, "big" if kind[0] == ">" else "little")
    return data[:start] + new + data[start + size :]


def _digits(data, random, _):
    """A number that is written out, replaced by another."""
    places = [i for i, byte in enumerate(data[: 1 << 16]) if 48 <= byte <= 57]
    if not places:
        return _flip(data, random, None)
    start = places[random.integers(len(places))]
    end = start
    while end < len(data) and 48 <= data[end] <= 57:
        end += 1
    new = str(random.choice([0, 1, 3, 17, 65536, 2**31, 2**62])) + "0" * int(random.integers(3))
    return data[:start] + new.encode() + data[end:]


_BYTES = (_flip, _flip, _cut, _drop, _repeat, _insert, _splice, _number, _number, _digits)


# What the bytes mean


def _mutate_zip(data, random, others, depth):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    for _ in range(int(random.choice([1, 1, 2]))):
        at = int(random.integers(len(members)))
        name, content = members[at]
        what = random.random()
        if what < 0.75 and depth < 3:
            members[at] = name, mutate(content, random, others, depth + 1)
        elif what < 0.8:
            del members[at]
        elif what < 0.85:
            members[at] = name + str(random.choice([".npy", "/x", "é", "\\..\\y"])), content
        elif what < 0.9:
            members.append((name, others[random.integers(len(others))]))
        elif what < 0.95:
            members.append((f"more/{len(members)}.zip", data))
        else:
            members[at] = name, content * int(random.choice([2, 50]))
        if not members:
            break
    out = io.BytesIO()
    packing = zipfile.ZIP_DEFLATED if random.random() < 0.5 else zipfile.ZIP_STORED
    with zipfile.ZipFile(out, "w", packing) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, packing)
    return out.getvalue()


def _mutate_json(data, random, others=(b"",), *_):
    return json.dumps(_mutate_tree(json.loads(data), random, others)).encode()


def _mutate_tree(document, random, others):
    """A tree of dictionaries and lists, damaged; a leaf of bytes is damaged as a file."""
    for _ in range(int(random.choice([1, 1, 2, 5]))):
        places = list(_places(document))
        if not places:
            break
        parent, key = places[random.integers(len(places))]
        value, what = parent[key], random.random()
        if isinstance(value, msgpack.ExtType) and what < 0.6:
            parent[key] = msgpack.ExtType(value.code, mutate(value.data, random, others, 1))
        elif isinstance(value, str) and value.startswith("data:") and what < 0.6:
            kind, _, text = value.partition(",")
            inner = mutate(base64.b64decode(text), random, others, 1)
            parent[key] = f"{kind},{base64.b64encode(inner).decode()}"
        elif what < 0.15:
            del parent[key]
        elif what < 0.25 and isinstance(parent, dict):
            parent[str(key) + "_"] = parent.pop(key)
        elif what < 0.35 and isinstance(value, list) and value:
            parent[key] = value[: random.integers(len(value))] or value * 3
        elif what < 0.4:
            deep = "x"
            for _ in range(int(random.choice([50, 900]))):
                deep = [deep]
            parent[key] = deep
        elif what < 0.5:
            other, place = places[random.integers(len(places))]
            parent[key] = copy.deepcopy(other.get(place) if isinstance(other, dict) else 0)
        elif what < 0.65 and isinstance(value, str) and value:
            parent[key] = _BYTES[random.integers(len(_BYTES))](
                value.encode(), random, [value.encode()]
            ).decode(errors="replace")
        elif what < 0.8 and isinstance(value, int | float):
            parent[key] = value * float(random.choice([-1, 0, 0.5, 2, 1e9]))
        else:
            # A copy: what a later case puts into it must not stay, or hold itself.
            parent[key] = copy.deepcopy(EXTREME_VALUES[random.integers(len(EXTREME_VALUES))])
    return document


def _places(document):
    """Every ``(container, key)``, of long lists only the first."""
    stack = [document]
    while stack:
        node = stack.pop()
        keys = node if isinstance(node, dict) else range(min(len(node), 8))
        for key in keys:
            yield node, key
            if isinstance(node[key], dict | list):
                stack.append(node[key])


def _mutate_hdf5(data, random, *_):
    buffer = io.BytesIO(data)
    with h5py.File(buffer, "r+") as file:
        names = []
        file.visit(names.append)
        name = names[random.integers(len(names))]
        node, what = file[name], random.random()
        value = EXTREME_VALUES[random.integers(len(EXTREME_VALUES))]
        if what < 0.2:
            del file[name]
        elif what < 0.3:
            file[f"{name}_more"] = node
        elif what < 0.4:
            del file[name]
            file[name] = h5py.ExternalLink("/etc/passwd", "/")
        elif what < 0.5:
            del file[name]
            file[name] = h5py.SoftLink(f"/{name}")
        elif what < 0.6 and node.attrs:
            keys = list(node.attrs)
            node.attrs[keys[random.integers(len(keys))]] = json.dumps(value)
        elif isinstance(node, h5py.Dataset):
            shape = list(node.shape)
            if shape:
                shape[random.integers(len(shape))] = int(random.choice([0, 1, 3, 17, 500]))
            del file[name]
            kind = random.choice(["f4", "f8", "i8", "u1", "S5", "c8", "f2"])
            chunks = random.random() < 0.2
            file.create_dataset(
                name,
                shape,
                kind,
                **({"maxshape": [None] * len(shape), "chunks": True} if chunks and shape else {}),
            )
    return buffer.getvalue()


def _mutate_npy(data, random, *_):
    length = struct.unpack("<H", data[8:10])[0]
    header = _BYTES[random.integers(len(_BYTES))](data[10 : 10 + length], random, [data])
    return data[:8] + struct.pack("<H", len(header) & 0xFFFF) + header + data[10 + length :]


def _mutate_safetensors(data, random, *_):
    length = struct.unpack("<Q", data[:8])[0]
    header = _mutate_json(data[8 : 8 + length], random)
    return struct.pack("<Q", len(header)) + header + data[8 + length :]


_PNG = b"\x89PNG\r\n\x1a\n"


def _mutate_png(data, random, others, *_):
    """A chunk damaged, its checksum right."""
    chunks, place = [], len(_PNG)
    while place + 12 <= len(data):
        (length,) = struct.unpack(">I", data[place : place + 4])
        chunks.append((data[place + 4 : place + 8], data[place + 8 : place + 8 + length]))
        place += 12 + length
    at = int(random.integers(len(chunks)))
    kind, content = chunks[at]
    what = random.random()
    if what < 0.2:
        del chunks[at]
    elif what < 0.4:
        chunks.insert(at, chunks[random.integers(len(chunks))])
    elif what < 0.5 and kind == b"IDAT":
        chunks[at] = kind, zlib.compress(mutate(zlib.decompress(content), random, others, 3))
    else:
        chunks[at] = kind, _BYTES[random.integers(len(_BYTES))](content, random, others)
    out = _PNG
    for kind, content in chunks:
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        out += struct.pack(">I", len(content)) + kind + content + checksum
    return out


_HARMFUL = b"cposix\nmkdir\n", b"cbuiltins\neval\n", b"ctorch._utils\n_rebuild_parameter\n", b"R"
"""Operations that no pickle of a model has: names to call, and a call."""


def _mutate_pickle(data, random, others, *_):
    """Operations of the pickles at the start left out, repeated, exchanged, or from elsewhere."""
    operations, rest = [], data
    while rest[:1] == b"\x80":
        try:
            places = [place for _, _, place in pickletools.genops(rest)]
        except ValueError:  # what follows are numbers
            break
        ends = [*places[1:], places[-1] + 1]
        operations += [rest[start:end] for start, end in zip(places, ends, strict=True)]
        rest = rest[ends[-1] :]
    for _ in range(int(random.choice([1, 1, 2, 5]))):
        at, other = (int(random.integers(len(operations))) for _ in range(2))
        what = random.random()
        if what < 0.2:
            del operations[at]
        elif what < 0.4:
            operations[at:at] = operations[other : other + int(random.geometric(0.2))]
        elif what < 0.6:
            operations[at] = operations[other]
        elif what < 0.7:
            operations[at] = _HARMFUL[random.integers(len(_HARMFUL))]
        elif what < 0.8:
            number = EXTREME_INTEGERS[random.integers(len(EXTREME_INTEGERS))]
            operations[at] = b"\x8a\x09" + number.to_bytes(9, "little", signed=True)
        else:
            operations[at] = _BYTES[random.integers(len(_BYTES))](operations[at], random, others)
    return b"".join(operations) + rest


def _mutate_msgpack(data, random, others, *_):
    tree = msgpack.unpackb(data, strict_map_key=False)
    return msgpack.packb(_mutate_tree(tree, random, others))


def _mutate_onnx(data, random, others, *_):
    import onnx

    model = onnx.load_model_from_string(data)
    if model.metadata_props and random.random() < 0.5:
        entry = model.metadata_props[0]
        text = _mutate_json(entry.value.encode(), random, others)
        entry.value = text.decode(errors="replace")
        return model.SerializeToString()
    tensors = model.graph.initializer
    tensor = tensors[random.integers(len(tensors))]
    what = random.random()
    if what < 0.3:
        number = EXTREME_INTEGERS[random.integers(len(EXTREME_INTEGERS))]
        if tensor.dims and random.random() < 0.5:
            tensor.dims[random.integers(len(tensor.dims))] = min(number, 2**63 - 1)
        else:
            tensor.dims.append(number)
    elif what < 0.5:
        tensor.data_type = int(random.integers(0, 30))
    elif what < 0.6:
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="/etc/passwd")
    elif what < 0.7:
        tensors.append(tensor)
    elif what < 0.8:
        tensor.name = str(random.choice(["", "x" * 5000, "optimizer/m", "\0"]))
    else:
        tensor.raw_data = _BYTES[random.integers(len(_BYTES))](tensor.raw_data, random, others)
    return model.SerializeToString()
