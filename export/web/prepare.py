"""Gathers what the site shows into one folder: models, matrices, targets and digits.

A model that is not there is named in the log, and the page leaves its controls out. A models
folder may bring pictures of its own as ``targets/NAME.png``; otherwise tfnca draws the targets.
"""

import argparse
import base64
import hashlib
import json
import os
import shutil
from importlib.metadata import version
from pathlib import Path

import numpy as np

import tfnca
from tfnca.commands import plain_errors
from tfnca.data.drawing import DRAWN
from tfnca.data.targets import TARGETS, load_target
from tfnca.files import replacing

ROOT = Path(__file__).parents[2]
MODELS = {
    "mnist": "the digits playground",
    "mnist_adversary": "adversaries among digits",
    "mnist_defended_adversary": "the digits' wary cells",
    "growing_lizard": "the lizard playground",
    "growing_adversary_no_tail": "the tailless adversary's brush",
    "growing_adversary_red": "the red adversary's brush",
}
MUTATIONS = [name for name in TARGETS if name != "lizard"]
DIGITS_PER_CLASS = 12
WORTH_SHARING = 256
"""Bytes of a weight from which on a file of its own may save a download."""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    models = os.environ.get("TFNCA_MODELS") or ROOT / "saved_models"
    parser.add_argument("--models", type=Path, default=models)
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "site_data")
    args = parser.parse_args()
    with plain_errors(), replacing(args.out, "site.json") as folder:
        write_data(args.models, folder)
    print(f"site: data in {args.out}")


def write_data(models, out):
    """Writes all that the page fetches into a new folder."""
    site = {
        "version": version("tfnca"),
        "models": copy_models(models, out),
        "perturbations": read_perturbations(models),
        "targets": draw_targets(models),
        "digits": [[encode(255 * image) for image in images] for images in shown_digits()],
        "influence": read_influence(models),
    }
    text = json.dumps(site, separators=(",", ":"), allow_nan=False)
    (out / "site.json").write_text(text, encoding="utf-8")
    bundled = Path(__file__).parent / "node_modules/gifenc/LICENSE.md"
    notices = [ROOT / "tfnca/data/NOTICE", *([bundled] if bundled.exists() else [])]
    text = "\n\n".join(path.read_text(encoding="utf-8") for path in notices)
    (out / "NOTICE.txt").write_text(text, encoding="utf-8")
    shutil.copy(ROOT / "LICENSE", out / "LICENSE.txt")
    shutil.copy(Path(__file__).with_name("sw.js"), out)  # unbundled: it needs a fixed address


def copy_models(models, out):
    """Copies the TF.js graphs; returns name → address of its model.json.

    An attack holds its host's weights. What several models hold is one file for all of them, so
    that it is fetched once.
    """
    documents, tensors = {}, {}
    for name, use in MODELS.items():
        folder = models / name / "tfjs"
        if not (folder / "model.json").is_file():
            print(f"site: no {folder}/model.json, so the page does without {use}")
            continue
        documents[name] = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        tensors[name] = dict(read_tensors(documents[name], folder))
    holders = {}
    for name, of_model in tensors.items():
        for data in of_model.values():
            if len(data) >= WORTH_SHARING:
                holders.setdefault(data, set()).add(name)
    for name, document in documents.items():
        (folder := out / "models" / name).mkdir(parents=True)
        document["weightsManifest"] = manifest(document, tensors[name], holders, folder)
        (folder / "model.json").write_text(
            json.dumps(document, separators=(",", ":")), encoding="utf-8"
        )
    size = sum(file.stat().st_size for file in (out / "models").rglob("*.*"))
    print(f"site: {', '.join(documents) or 'no model'}: {size / 1000:.0f} kB")
    return {name: f"models/{name}/model.json" for name in documents}


def weights_of(document):
    return [weight for group in document["weightsManifest"] for weight in group["weights"]]


def read_tensors(document, folder):
    """Each weight's name and bytes."""
    paths = [path for group in document["weightsManifest"] for path in group["paths"]]
    data = b"".join((folder / path).read_bytes() for path in paths)
    for weight in weights_of(document):
        dtype = weight.get("quantization", weight)["dtype"]
        size = int(np.prod(weight["shape"])) * np.dtype(dtype).itemsize
        yield weight["name"], data[:size]
        data = data[size:]
    if data:
        raise ValueError(f"{folder} has {len(data)} bytes that no weight takes.")


def manifest(document, tensors, holders, folder):
    """The manifest, a group for each set of models that share weights; writes their files."""
    groups = {}
    for weight in weights_of(document):
        sharing = holders.get(tensors[weight["name"]], ())
        groups.setdefault(frozenset(sharing if len(sharing) > 1 else ()), []).append(weight)
    result = []
    for sharing, weights in groups.items():
        weights = sorted(weights, key=lambda weight: tensors[weight["name"]])  # alike in all
        data = b"".join(tensors[weight["name"]] for weight in weights)
        path = "weights.bin"
        if sharing:
            path = f"../shared/{hashlib.sha256(data).hexdigest()[:8]}.bin"
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_bytes(data)
        result.append((len(data), {"paths": [path], "weights": weights}))
    # TensorFlow.js 4 misreads two files of which the second is larger.
    return [group for _, group in sorted(result, key=lambda pair: -pair[0])]


def read_perturbations(models):
    """The matrices as rows of numbers, by the mutation they make."""
    found = {}
    for name in MUTATIONS:
        path = models / f"perturbation_{name}" / "perturbation.npy"
        if not path.is_file():
            print(f"site: no {path}, so the page does without the slider {name}")
            continue
        perturbation = tfnca.load_perturbation(str(path))
        if perturbation.matrix is None or perturbation.vector is not None:
            print(
                f"site: {path} is a {perturbation.kind}, the page runs matrices: no slider {name}"
            )
            continue
        matrix = perturbation.matrix
        found[name] = np.asarray(matrix, np.float64).round(7).tolist()
    return found


def draw_targets(models):
    """By name: label, colour, and the picture, premultiplied RGBA, a byte a channel, base64."""
    found = {}
    for name in TARGETS:
        path = models / "targets" / f"{name}.png"
        found[name] = {
            "label": "plain" if name == "lizard" else name.replace("_", " "),
            "colour": DRAWN[name].colour,
            "picture": encode(255 * load_target(str(path) if path.is_file() else name)),
        }
    return found


def shown_digits():
    """The first test digits of each class, 28×28 in [0, 1]."""
    digits = tfnca.load_digits("test", count=500)
    return [digits.images[digits.labels == label][:DIGITS_PER_CLASS] for label in range(10)]


def read_influence(models):
    """What influence.py has found, by class and number; None where it is of other models."""
    path = models / "mnist_adversary/influence.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        files = [models / name / "model.keras" for name in ("mnist", "mnist_adversary")]
        same = found["models"] == [hashlib.sha256(f.read_bytes()).hexdigest() for f in files]
    except FileNotFoundError:
        same = False
    if not same:
        print(f"site: no {path} of these models (influence.py), so the page shows no weak spots")
        return None
    return found["digits"]


def encode(array):
    return base64.b64encode(np.round(array).astype(np.uint8).tobytes()).decode()


if __name__ == "__main__":
    main()
