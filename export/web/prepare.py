"""Gathers what the playgrounds show into one folder: graphs, targets and digits.

If a model is missing, the log names it and the page leaves its controls out. A models folder may
contain its own pictures as ``targets/NAME.png``; otherwise tfnca draws the targets.
"""

import base64
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np

import tfnca
from tfnca.data.drawing import DRAWN
from tfnca.data.targets import TARGETS, load_target

WEB = Path(__file__).parent
ROOT = WEB.parents[1]
LIZARD_ADVERSARY = "growing_adversary_"
MODELS = {
    "mnist": "the digits playground",
    "mnist_adversary": "adversaries among digits",
    "growing_lizard": "the lizard playground",
    f"{LIZARD_ADVERSARY}no_tail": "the adversary that removes the tail",
    f"{LIZARD_ADVERSARY}red": "the adversary that turns the lizard red",
    "invasion_red": "the adversaries that spread",
}
MUTATIONS = [name for name in TARGETS if name != "lizard"]
DIGITS_PER_CLASS = 12
WORTH_LOCATING = 64
"""Weights of at least so many bytes are looked up in the `model.keras` files."""
LARGEST_CONSTANT = 2000
"""Bytes of the largest constant, the filters; whatever is larger must be a weight."""


def prepare(models, out):
    """Writes all that the page shows, and that is not its own code, to the empty folder `out`."""
    addresses, weights = link_models(models, out)
    perturbations = find_perturbations(models)
    site = {
        "models": addresses,
        "densities": read_densities(models),
        "perturbations": {name: f"models/{path}" for name, path in perturbations.items()},
        "targets": draw_targets(models),
        "digits": [[encode(255 * image) for image in images] for images in shown_digits()],
        "influence": read_influence(models),
        "files": sorted(weights | set(perturbations.values())),
    }
    text = json.dumps(site, separators=(",", ":"), allow_nan=False)
    (out / "site.json").write_text(text, encoding="utf-8")
    bundled = (WEB / "node_modules/gifenc/LICENSE.md").read_text(encoding="utf-8")
    notice = (ROOT / "tfnca/data/NOTICE").read_text(encoding="utf-8")
    (out / "NOTICE.txt").write_text(f"{notice}\n\n{bundled}", encoding="utf-8")
    shutil.copy(ROOT / "LICENSE", out / "LICENSE.txt")
    for name in UNBUNDLED:
        shutil.copy(WEB / name, out)
    return site["files"]


UNBUNDLED = ["sw.js", "example.html", "preview.png"]
"""Files that keep their names and contents, since others refer to them."""


def link_models(models, out):
    """Writes each TF.js graph without its weights.

    Returns name → address of the graph, and the files with the weights.

    The page takes the weights out of the `model.keras` files that Python loads, so that they are
    stored once. A graph names for each weight the file and the offset in it; only constants, such
    as filters, are in the graph itself.
    """
    kept = {
        name: path.read_bytes()
        for name in MODELS
        if (path := models / name / "model.keras").is_file()
    }
    (out / "models").mkdir()
    addresses, used = {}, set()
    for name, use in MODELS.items():
        folder = models / name / "tfjs"
        if not (folder / "model.json").is_file():
            print(f"site: no {folder}/model.json, so the page does without {use}")
            continue
        graph = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        tensors = dict(read_tensors(graph, folder))
        graph["weights"] = [
            weight | locate(tensors[weight["name"]], kept, folder) for weight in weights_of(graph)
        ]
        del graph["weightsManifest"]
        used |= {weight["file"] for weight in graph["weights"] if "file" in weight}
        addresses[name] = f"models/{name}.json"
        text = json.dumps(graph, separators=(",", ":"))
        (out / addresses[name]).write_text(text, encoding="utf-8")
    return addresses, used


def locate(data, kept, folder):
    """The place of a weight's bytes in one of the `model.keras` files; a constant's bytes."""
    for name, file in kept.items():
        if len(data) >= WORTH_LOCATING and (offset := file.find(data)) >= 0:
            return {"file": f"{name}/model.keras", "offset": offset}
    if len(data) > LARGEST_CONSTANT:
        raise ValueError(
            f"The weights in {folder} must be those of the model.keras files. Run `make exports`, "
            f"then `make site`. Received: {len(data)} bytes that no model.keras contains."
        )
    return {"data": base64.b64encode(data).decode()}


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
        raise ValueError(f"{folder} has {len(data)} bytes that belong to no weight.")


def find_perturbations(models):
    """The matrices' files, by the target that each leads to."""
    found = {}
    for name in MUTATIONS:
        path = models / f"perturbation_{name}" / "perturbation.npy"
        if not path.is_file():
            print(f"site: no {path}, so the page does without the slider {name}")
            continue
        if (shape := np.load(path).shape) != (16, 16):
            print(f"site: {path} has shape {shape}, so the page does without the slider {name}")
            continue
        found[name] = f"perturbation_{name}/perturbation.npy"
    return found


def read_densities(models):
    """The adversary fraction that each lizard adversary was trained with; of those that spread,
    the initial one."""
    found = {}
    for name in MODELS:
        path = models / name / "config.json"
        if name.startswith((LIZARD_ADVERSARY, "invasion_")) and path.is_file():
            config = json.loads(path.read_text(encoding="utf-8"))
            density = config["density"] if "density" in config else config["spray"]
            found[name.removeprefix(LIZARD_ADVERSARY)] = density
    return found


def draw_targets(models):
    """By name: label, colour, and the picture, premultiplied RGBA, a byte a channel, base64."""
    found = {}
    for name in TARGETS:
        path = models / "targets" / f"{name}.png"
        found[name] = {
            "label": "lizard" if name == "lizard" else name.replace("_", " "),
            "colour": DRAWN[name].colour,
            "picture": encode(255 * load_target(str(path) if path.is_file() else name)),
        }
    return found


def shown_digits():
    """The first test digits of each class, 28×28 in [0, 1]."""
    digits = tfnca.load_digits("test", count=500)
    return [digits.images[digits.labels == label][:DIGITS_PER_CLASS] for label in range(10)]


def read_influence(models):
    """What influence.py found, by class and number; None if it belongs to other models."""
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
