"""Damage to files: at random among bytes, and inside what those bytes mean.

A byte changed in a zip only breaks its checksum. So archives are unpacked, one member is damaged,
and all is packed again; likewise JSON values, HDF5 attributes and datasets, and the headers of
safetensors and npy files.
"""

import copy
import io
import json
import struct
import zipfile

import h5py

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
    if data[:1] in b"{[" and data:
        return _mutate_json
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


def _mutate_json(data, random, *_):
    document = json.loads(data)
    for _ in range(int(random.choice([1, 1, 2, 5]))):
        places = list(_places(document))
        if not places:
            break
        parent, key = places[random.integers(len(places))]
        value, what = parent[key], random.random()
        if what < 0.15:
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
            parent[key] = json.loads(json.dumps(other.get(place) if isinstance(other, dict) else 0))
        elif what < 0.65 and isinstance(value, str) and value:
            parent[key] = _BYTES[random.integers(len(_BYTES))](
                value.encode(), random, [value.encode()]
            ).decode(errors="replace")
        elif what < 0.8 and isinstance(value, int | float):
            parent[key] = value * float(random.choice([-1, 0, 0.5, 2, 1e9]))
        else:
            # A copy: what a later case puts into it must not stay, or hold itself.
            parent[key] = copy.deepcopy(EXTREME_VALUES[random.integers(len(EXTREME_VALUES))])
    return json.dumps(document).encode()


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
