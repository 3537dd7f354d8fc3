"""Writes a small file of each format to tests/goldens/formats, each in a zip, to take less room.

They are there to stay: whatever changes, today's files load for ever. So what is there already is
left as it is, and only a new format's file is written::

    PYTHONPATH=tests:tests/formats python tests/formats/make_goldens.py
"""

import io
import json
import tempfile
from pathlib import Path

import keras
import numpy as np
import published_formats as formats
from foreign_files import flax_msgpack, onnx_file, textures_document
from torch_files import torch_lightning, torch_old, torch_zip

import tfnca
from tfnca.automata.perturbations.shift import ShiftPerturbation
from tfnca.export.portable import save_portable
from tfnca.export.tfjs import save_tfjs

FOLDER = Path(__file__).parents[1] / "goldens/formats"
GROWING = formats.growing_tensors(1, channels=6, hidden=4)
MNIST = formats.mnist_tensors(2, channels=13, hidden=4)
OTHER = formats.mnist_tensors(3, channels=13, hidden=4)


def filled(step, tensors):
    for variable, tensor in zip(step.weights_in_order, tensors, strict=True):
        variable.assign(tensor.reshape(variable.shape))
    return step


def growing(**kwargs):
    return filled(tfnca.GrowingCA(channels=6, hidden=4, **kwargs), GROWING)


def mnist(tensors=MNIST):
    return filled(tfnca.MNISTCA(channels=13, hidden=4, noise_std=0.125), tensors)


def by_rule():
    """A CA with the parts that files of weights do not tell, and a bias of zeros."""
    ca = tfnca.NeuralCA(
        channels=5,
        filters=("identity", [[0, 1, 0], [1, -4, 1], [0, 1, 0]]),
        learned={"multiplier": 2, "bias": False},
        hidden=(4, 3),
        activation="leaky_relu",
        padding="circular",
        alive=tfnca.Alpha(),
        inputs=1,
        state_clip=2.0,
        fire_rate=0.75,
    )
    random = np.random.default_rng(5)
    ca.set_weights([random.normal(size=weight.shape) for weight in ca.weights])
    ca.update_layers[0].bias.assign(np.zeros(4))
    return ca


def matrix(seed=0, channels=6):
    return formats.symmetric_matrix(seed)[:channels, :channels]


def keras_file(make):
    return lambda path: keras.saving.save_model(make(), path)


def text(make):
    def write(path):
        content = make()
        path.write_text(content if isinstance(content, str) else json.dumps(content))

    return write


def data(make):
    return lambda path: path.write_bytes(make())


def npz():
    file = io.BytesIO()
    np.savez(file, *MNIST)
    return file.getvalue()


def random_arrays(**shapes):
    random = np.random.default_rng(4)
    return {name.replace("__", "."): random.normal(size=s) for name, s in shapes.items()}


def med_nca():
    """Two convolutions of 4 channels, a layer of 6 units, and the update."""
    convolution = {"p0__weight": (4, 4, 3, 3), "p0__bias": 4, "p1__weight": (4, 4, 3, 3)}
    dense = {"fc0__weight": (6, 12), "fc0__bias": 6, "fc1__weight": (4, 6)}
    return random_arrays(**convolution, p1__bias=4, **dense)


def goal():
    """A depthwise convolution of 34 channels, two hidden layers, the update, and two goals."""
    dense = {"a__weight": (4, 102, 1, 1), "a__bias": 4, "b__weight": (4, 4, 1, 1), "b__bias": 4}
    perceive = {"perceive__weight": (102, 1, 3, 3)}
    return random_arrays(**perceive, **dense, c__weight=(34, 4, 1, 1), embedding__weight=(2, 32))


def tree():
    """A tree of a JAX project, flattened."""
    file, names = io.BytesIO(), ("params/a/kernel", "params/a/bias", "params/b/w", "params/b/b")
    np.savez(file, **dict(zip(names, GROWING, strict=True)))
    return file.getvalue()


def checkpoint(named):
    return lambda path: formats.write_checkpoint(path.with_suffix(""), named)


def zipped(path):
    with tempfile.TemporaryDirectory() as folder:
        formats.write_checkpoint(Path(folder, "lizard"), formats.checkpoint_keys(GROWING))
        files = {file.name: file.read_bytes() for file in Path(folder).iterdir()}
        files["tail_sym_t.npy"] = formats.npy(matrix())
    formats.write_zip(path, files)


def shards(path):
    document = formats.graph_document(GROWING)
    path.parent.mkdir(exist_ok=True)
    for name, part in formats.shards(document, (1, 1), "uint8").items():
        (path.parent / name).write_bytes(part)
    path.write_text(json.dumps(document))


def torch_named(tensors):
    return formats.named_tensors(formats.torch_tensors(tensors), parts=("weight", "bias"))


def torch():
    return formats.safetensors(torch_named(MNIST), {"format": "pt"})


def demo():
    return formats.growing_demo(GROWING, [matrix(seed) for seed in range(6)])


FILES = {
    "GrowingCA.keras": keras_file(lambda: growing(fire_rate=0.75, angle=0.5, step_size=0.5)),
    "MNISTCA.keras": keras_file(mnist),
    "Injected.keras": keras_file(lambda: tfnca.Injected(mnist(), mnist(OTHER))),
    "Perturbation.keras": keras_file(lambda: tfnca.MatrixPerturbation(6, matrix())),
    "StateShift.keras": keras_file(lambda: ShiftPerturbation(6, matrix()[0])),
    "Perturbed.keras": keras_file(
        lambda: tfnca.Perturbed(growing(), tfnca.MatrixPerturbation(6, matrix()))
    ),
    "matrix.npy": data(lambda: formats.npy(matrix())),
    "vector.npy": data(lambda: formats.npy(matrix()[0])),
    "checkpoint.index": checkpoint(formats.checkpoint_keys(MNIST)),
    "checkpoint_2_0.index": checkpoint(
        formats.named_tensors(GROWING, "dmodel/layer-{number}/{part}" + formats.VALUE)
    ),
    "zip.zip": zipped,
    "graph.json": text(lambda: formats.graph_document(GROWING)),
    "graph_mnist.json": text(lambda: formats.graph_document(MNIST)),
    "shards/model.json": shards,
    "tfjs/model.json": lambda path: save_tfjs(growing(step_size=0.5), path.parent),
    "webgl.json": text(lambda: formats.webgl_document(channels=6, hidden=4)[0]),
    "data.js": text(lambda: formats.mnist_demo(MNIST, OTHER)),
    "gca_data.js": text(demo),
    "keras_3.weights.h5": data(
        lambda: formats.hdf5(
            formats.named_tensors(GROWING, "dmodel/layers/{layer}/vars/{part}", ("0", "1"))
        )
    ),
    "keras_2.h5": data(
        lambda: formats.hdf5(formats.named_tensors(GROWING, "dmodel/{layer}/{part}:0"))
    ),
    "arrays.npz": data(npz),
    "torch.safetensors": data(torch),
    "torch.pt": data(lambda: torch_zip(torch_named(GROWING))),
    "old_torch.pth": data(lambda: torch_old(torch_named(MNIST))),
    "textures.json": text(lambda: textures_document(3)[0]),
    "flax.msgpack": data(lambda: flax_msgpack(GROWING)),
    "growing.onnx": data(lambda: onnx_file(torch_named(GROWING))),
    "lightning.ckpt": data(lambda: torch_lightning(torch_named(GROWING))),
    "med_nca.pth": data(lambda: torch_old(med_nca())),
    "goal.pt": data(lambda: torch_zip(goal())),
    "tree.npz": data(tree),
    "rule/model.json": lambda path: save_tfjs(by_rule(), path.parent),
    "rule.onnx": lambda path: save_portable(by_rule(), path),
}

if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, write in FILES.items():
        golden = FOLDER / f"{name.replace('/', '_')}.zip"
        if not golden.exists():
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder, name)
                write(path)
                files = [file for file in Path(folder).rglob("*") if file.is_file()]
                contents = {str(file.relative_to(folder)): file.read_bytes() for file in files}
                formats.write_zip(golden, contents)
            print(f"{golden} is new; its checksum belongs into test_goldens.py")
