"""Broken and hostile files: paths, matrices, zips, Keras files, HDF5."""

import io
import json
import stat
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import published_formats as formats
from hostile_networks import plain, with_nan
from published_formats import npy, write, write_zip

import tfnca
from tfnca.formats import archive


def zipped(name, content=b"x", mode=None):
    def make(folder):
        with zipfile.ZipFile(folder / "broken.zip", "w") as archive:
            archive.writestr("model.npy", npy(formats.symmetric_matrix()))
            info = zipfile.ZipInfo(name)
            info.external_attr = (mode or 0) << 16
            archive.writestr(info, content)
        return folder / "broken.zip"

    return make


def bomb(folder):
    """300 MB of zeros in 300 kB."""
    with zipfile.ZipFile(folder / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("a.npy", "b.npy", "c.npy"):
            archive.writestr(name, bytes(100 * 2**20))
    return folder / "bomb.zip"


def lying_bomb(folder):
    """A bomb whose directory says that its members are small."""
    data = bytearray(bomb(folder).read_bytes())
    true, said = (100 * 2**20).to_bytes(4, "little"), (1000).to_bytes(4, "little")
    return write(folder / "lying.zip", bytes(data).replace(true, said))


def corrupt_zip(folder):
    path = write_zip(folder / "broken.zip", {"model.npy": npy(formats.symmetric_matrix())})
    data = bytearray(path.read_bytes())
    data[100:140] = bytes(40)
    return write(path, bytes(data))


def keras_file(change_config=None, change_weights=None, extra=None, whole=1.0):
    def make(folder):
        path = folder / "broken.keras"
        keras.saving.save_model(tfnca.MatrixPerturbation(matrix=formats.symmetric_matrix()), path)
        with zipfile.ZipFile(path) as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
        if change_config:
            config = json.loads(parts["config.json"])
            change_config(config)
            parts["config.json"] = json.dumps(config)
        if change_weights:
            file = io.BytesIO(parts["model.weights.h5"])
            with h5py.File(file, "a") as weights:
                change_weights(weights)
            parts["model.weights.h5"] = file.getvalue()
        write_zip(path, parts | (extra or {}))
        return write(path, path.read_bytes()[: int(whole * path.stat().st_size)])

    return make


def _replace_matrix(weights, **kwargs):
    del weights["vars/0"]
    if kwargs:
        weights.create_dataset("vars/0", **kwargs)


def foreign_keras(folder):
    layer = keras.layers.Dense(3)
    layer.build((None, 2))
    keras.saving.save_model(layer, folder / "dense.keras")
    return folder / "dense.keras"


def pickled(folder):
    np.save(folder / "evil.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    return folder / "evil.npy"


def _huge_text(folder):
    path = folder / "big.json"
    with path.open("w") as file:
        file.write('{"modelTopology": ')
        file.write(" " * (archive.MAX_TEXT_BYTES + 1))
    return path


def _huge_file(folder):
    path = folder / "big.npy"
    with path.open("wb") as file:
        file.truncate(archive.MAX_BYTES + 1)  # sparse: it takes no room
    return path


def with_weights(change):
    """A ``.weights.h5`` of a CA, changed."""

    def make(folder):
        path = folder / "broken.weights.h5"
        named = formats.named_tensors(SMALL, "{layer}/vars/{part}", ("0", "1"))
        path.write_bytes(formats.hdf5(named))
        with h5py.File(path, "a") as weights:
            change(weights, folder)
        return path

    return make


def _external(weights, folder):
    """The bias would be read from any file of this machine."""
    (folder / "secret").write_bytes(np.zeros(4, "<f4").tobytes())
    del weights["hidden/vars/1"]
    weights.create_dataset("hidden/vars/1", (4,), "<f4", external=[(folder / "secret", 0, 16)])


def _virtual(weights, folder):
    with h5py.File(folder / "secret.h5", "w") as secret:
        secret["x"] = np.zeros(4, "<f4")
    layout = h5py.VirtualLayout((4,), "<f4")
    layout[:] = h5py.VirtualSource(folder / "secret.h5", "x", (4,))
    del weights["hidden/vars/1"]
    weights.create_virtual_dataset("hidden/vars/1", layout)


def _linked(link):
    def change(weights, folder):
        with h5py.File(folder / "secret.h5", "w") as secret:
            secret["x"] = np.zeros(4, "<f4")
        del weights["hidden/vars/1"]
        weights["hidden/vars/1"] = link(folder)

    return change


def _in_a_circle(weights, folder):
    weights["hidden/again"] = weights["hidden"]


def _strings(weights, folder):
    del weights["hidden/vars/1"]
    weights["hidden/vars/1"] = ["a", "b", "c", "d"]


def _vast(weights, folder):
    weights.create_dataset("more", (10**5, 10**5), "<f4", chunks=(100, 100), compression="gzip")


def in_keras(change):
    """The same inside a ``.keras`` file: ours, and of a class of others."""

    def make(folder, ours=True):
        with_weights(change)(folder)
        config = {"class_name": "CAModel", "registered_name": "CAModel", "config": {}}
        if ours:
            step = tfnca.GrowingCA(channels=6, hidden=4)
            config = keras.saving.serialize_keras_object(step)
        parts = {"config.json": json.dumps(config), "metadata.json": "{}"}
        weights = (folder / "broken.weights.h5").read_bytes()
        return write_zip(folder / "broken.keras", parts | {"model.weights.h5": weights})

    return make, lambda folder: make(folder, ours=False)


def nested_bomb(folder):
    """300 kB: zips in a zip, each of them within the limits."""
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("a.npy", bytes(100 * 2**20))
    files = {f"{i}.npz": inner.getvalue() for i in range(9)}
    return write_zip(folder / "nested.zip", files)


def npz(**arrays):
    def make(folder):
        np.savez(folder / "broken.npz", **arrays)
        return folder / "broken.npz"

    return make


def safetensors(change=None, body=lambda body: body, start=lambda data: data):
    """A file of one tensor ``x`` of 4 numbers, changed."""

    def make(folder):
        header = {"x": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}
        data = formats.safetensors_of((change and change(header)) or header, body(bytes(16)))
        return write(folder / "broken.safetensors", start(data))

    return make


def entry(**changes):
    return lambda header: header["x"].update(changes)


SMALL = formats.growing_tensors(channels=6, hidden=4)

FILES = {
    "no such path": (lambda folder: folder / "nowhere", "path must be a file"),
    "a path too long": (lambda folder: folder / ("a" * 300), "not a readable file or folder"),
    "a device": (lambda folder: Path("/dev/zero"), "path must be a file"),
    "empty folder": (lambda folder: folder, "no model.*nothing"),
    "empty file": (plain("empty", b""), "no model"),
    "foreign file": (plain("picture.png", b"\x89PNG\r\n" + bytes(99)), "no model"),
    "foreign JSON": (plain("config.json", {"steps": 3}), "no model"),
    "huge text": (_huge_text, "at most 16777216 bytes"),
    "huge file": (_huge_file, "at most 1000 parts and 268435456 bytes"),
    # matrices
    "pickled matrix": (pickled, "allow_pickle"),
    "matrix of the wrong shape": (plain("a.npy", npy(np.eye(15, 16))), r"\(15, 15\).*\(15, 16\)"),
    "matrix not symmetric": (plain("a.npy", npy(np.tri(16))), "symmetric"),
    "matrix with NaN": (plain("a.npy", npy(with_nan(np.eye(16)))), "finite"),
    "matrix too large for float32": (plain("a.npy", npy(np.eye(16) * 1e300)), "finite"),
    "matrix of words": (plain("a.npy", npy(np.full((16, 16), "a"))), "numbers"),
    "cut matrix": (plain("a.npy", npy(np.eye(16))[:-9]), "npy file"),
    "cut header": (plain("a.npy", npy(np.eye(16))[:30]), "npy file"),
    "matrix and more": (plain("a.npy", npy(np.eye(16)) + b"more"), "4 bytes left over"),
    "matrix that says it is huge": (
        plain("a.npy", npy(np.eye(16)).replace(b"(16, 16)", b"(9999999,9999999)")),
        "npy file",
    ),
    # zips
    "zip that climbs": (zipped("../evil.npy"), r"own folder.*\.\./evil"),
    "zip that climbs inside": (zipped("a/../../evil.npy"), "own folder"),
    "zip that climbs by backslash": (zipped("..\\evil.npy"), "own folder"),
    "zip with an absolute path": (zipped("/etc/evil.npy"), "own folder"),
    "zip with a drive": (zipped("C:/evil.npy"), "own folder"),
    "zip with a link": (zipped("link.npy", b"/etc/passwd", stat.S_IFLNK | 0o777), "no links"),
    "zip bomb": (bomb, "at most .* 268435456 bytes"),
    "zip bomb that lies": (lying_bomb, "a.npy is not a readable"),
    "zip of many": (
        lambda folder: write_zip(folder / "many.zip", {f"{i}.txt": b"" for i in range(1001)}),
        "at most 1000 parts",
    ),
    "corrupt zip": (corrupt_zip, "model.npy is not a readable member"),
    "cut zip": (
        lambda folder: write(folder / "a.zip", zipped("a.txt")(folder).read_bytes()[:-40]),
        "not a readable zip",
    ),
    "zip without a model": (
        lambda folder: write_zip(folder / "a.zip", {"a.txt": b"hello"}),
        "no model.*a.txt",
    ),
    "zip with a broken model": (
        lambda folder: write_zip(folder / "a.zip", {"a.npy": npy(np.eye(16))[:-9]}),
        "a.zip/a.npy is not a readable",
    ),
    # our own
    "cut keras file": (keras_file(whole=0.7), "not a readable zip"),
    "keras file of a foreign class": (foreign_keras, "is not registered"),
    "keras file of a lambda": (
        keras_file(
            lambda config: config.update(
                module="keras.layers", class_name="Lambda", registered_name=None
            )
        ),
        "Lambda.*is not registered",
    ),
    "keras file of any function": (
        keras_file(
            lambda config: config["config"].update(
                channels={"module": "os", "class_name": "getcwd", "config": {}}
            )
        ),
        "getcwd.*is not registered",
    ),
    "keras file of a function in disguise": (
        keras_file(
            lambda config: config["config"]["dtype"].update(
                module="os", class_name="getcwd", registered_name="keras>DTypePolicy"
            )
        ),
        "getcwd.*is not registered",
    ),
    "keras file that asks for too much": (
        keras_file(lambda config: config["config"].update(channels=10**6)),
        "no more than the 256 weights",
    ),
    "keras file of another size": (
        keras_file(lambda config: config["config"].update(channels=20)),
        "Keras file",
    ),
    "keras file without its matrix": (keras_file(change_weights=_replace_matrix), "Keras file"),
    "keras file with NaN": (
        keras_file(
            change_weights=lambda weights: _replace_matrix(weights, data=with_nan(np.eye(16)))
        ),
        "matrix must be finite",
    ),
    "keras file with a tensor left over": (
        keras_file(change_weights=lambda weights: weights.create_dataset("more/vars/0", data=[1])),
        "1 tensors and no other.*more/vars/0",
    ),
    "keras file with a huge tensor": (
        keras_file(
            change_weights=lambda weights: _replace_matrix(
                weights, shape=(10**5, 10**5), dtype="f4", chunks=(100, 100), compression="gzip"
            )
        ),
        "at most .* bytes",
    ),
    "keras file with a link": (
        keras_file(
            change_weights=lambda weights: (
                _replace_matrix(weights),
                weights.__setitem__("vars/0", h5py.ExternalLink("/etc/passwd", "x")),
            )
        ),
        "Keras file",
    ),
    "keras file with an asset": (keras_file(extra={"assets/a": b"x"}), "must hold .*assets/a"),
    "keras file that climbs": (keras_file(extra={"../a": b"x"}), "own folder"),
    # HDF5
    "cut HDF5": (
        lambda folder: write(folder / "a.h5", formats.hdf5({"x": SMALL[0]})[:900]),
        "HDF5 file",
    ),
    "HDF5 with an external dataset": (with_weights(_external), "hidden/vars/1 .* in another"),
    "HDF5 with a virtual dataset": (with_weights(_virtual), "hidden/vars/1 .* in another"),
    "HDF5 with an external link": (
        with_weights(_linked(lambda folder: h5py.ExternalLink(str(folder / "secret.h5"), "x"))),
        "hidden/vars/1 .* a link",
    ),
    "HDF5 with a soft link": (
        with_weights(_linked(lambda folder: h5py.SoftLink("/update/vars/1"))),
        "hidden/vars/1 .* a link",
    ),
    "HDF5 that bites its tail": (with_weights(_in_a_circle), "twice"),
    "HDF5 of strings": (with_weights(_strings), "must hold numbers"),
    "HDF5 with a huge tensor": (with_weights(_vast), "at most .* bytes"),
    **{
        f"keras file{' of others' * i} with {name}": (in_keras(change)[i], message)
        for i in range(2)
        for name, change, message in (
            ("an external dataset", _external, "hidden/vars/1 .* in another"),
            ("a virtual dataset", _virtual, "hidden/vars/1 .* in another"),
            ("a soft link", _linked(lambda folder: h5py.SoftLink("/update/vars/1")), "a link"),
            ("strings", _strings, "numbers|Keras file"),
        )
    },
    # arrays
    "npz of strings": (npz(x=np.array(["a", "b"])), "x.npy must hold numbers.*<U1"),
    "npz of objects": (npz(x=np.array([{}, []], dtype=object)), "allow_pickle"),
    "npz of one array": (npz(x=np.ones((18, 4))), r"left over x \(18, 4\)"),
    # Its bias alone would be a valid perturbation.
    "npz with another file": (
        lambda folder: write_zip(
            folder / "a.npz", {"w.npy": npy(np.ones((18, 4))), "b.npy": npy(np.ones(4)), "x": b""}
        ),
        "must hold only .npy arrays. Received: x",
    ),
    "npz that says it is huge": (
        lambda folder: write_zip(
            folder / "a.npz", {"a.npy": npy(np.eye(16)).replace(b"(16, 16)", b"(9999999,9999)")}
        ),
        "npy file.*9999999",
    ),
    "cut npz": (
        lambda folder: write(folder / "a.npz", npz(x=np.eye(3))(folder).read_bytes()[:-30]),
        "zip|no model",
    ),
    "zips in a zip": (nested_bomb, "at most 1000 parts and 268435456 bytes"),
    "safetensors without anything": (plain("a.safetensors", b""), "length of its header"),
    "safetensors with a vast header": (
        plain("a.safetensors", (2**60).to_bytes(8, "little") + b"{}"),
        "length of its header",
    ),
    "safetensors that is no JSON": (
        safetensors(start=lambda data: data.replace(b"{", b"[")),
        "JSON",
    ),
    "safetensors of a list": (safetensors(lambda header: [header]), "safetensors file"),
    "safetensors with a name twice": (
        safetensors(start=lambda data: data.replace(b'"shape"', b'"dtype"')),
        "twice",
    ),
    "safetensors of no known type": (safetensors(entry(dtype="F8_E4M3")), "x is described by"),
    "safetensors of another size": (safetensors(entry(shape=[5])), "bytes 0 to 20"),
    "safetensors of a negative size": (safetensors(entry(shape=[-4])), r"shape \[-4\]"),
    "safetensors of half a size": (safetensors(entry(shape=[4.0])), r"shape \[4.0\]"),
    "safetensors with a vast size": (safetensors(entry(shape=[2**40, 2**40])), "x must take"),
    "safetensors with offsets outside": (
        safetensors(entry(data_offsets=[16, 32])),
        "x must take bytes 0 to 16",
    ),
    "safetensors that overlap": (
        safetensors(lambda header: header | {"y": header["x"]}),
        "must take bytes 16 to 32",
    ),
    "safetensors with bytes left over": (safetensors(body=lambda body: body + b"more"), "4 bytes"),
    "cut safetensors": (safetensors(body=lambda body: body[:-1]), "x must take bytes 0 to 16"),
    "a torch pickle": (plain("a.pth", b"\x80\x02}q\x00."), "not a pickle by PyTorch"),
}
