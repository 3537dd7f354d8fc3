"""The article's released models and our bundled models, under the same names."""

import json
import os
import tempfile
import zipfile
from functools import cached_property
from pathlib import Path

from tfnca.data.targets import load_target
from tfnca.deprecated import current_settings
from tfnca.formats.load import load, load_perturbation


class MissingModelError(ValueError):
    """A set does not have the model or picture that was asked for."""


def _present(path):
    if not path.exists():
        raise MissingModelError(f"No such file. Received: {path}")
    return path


MUTATIONS = ("no_tail", "no_leg", "no_head", "no_arm", "red", "blue")
"""The article's six mutations of the lizard; other targets do not count."""

ADVERSARIES = {"no_tail": 0.1, "red": 0.6}
"""The article's two adversaries of the lizard, with the adversary fraction of their training."""


class Ours:
    """The bundled models, or others in a folder of the same structure.

    Each attribute raises `MissingModelError` if its model is missing.

    Args:
        folder: Contains ``mnist/``, ``mnist_adversary/``, ``growing_lizard/`` and so on.

    Attributes:
        digits: The self-classifying MNIST CA.
        digits_adversary: Its adversary.
        lizard: The Growing CA.
    """

    name = "ours"

    def __init__(self, folder="saved_models"):
        self.folder = Path(folder)

    @cached_property
    def digits(self):
        return load(_present(self.folder / "mnist/model.keras"))

    @cached_property
    def digits_adversary(self):
        return load(_present(self.folder / "mnist_adversary/model.keras"))

    @cached_property
    def lizard(self):
        return load(_present(self.folder / "growing_lizard/model.keras"))

    def adversary(self, mutation):
        """The Growing CA's adversary for one of `ADVERSARIES`."""
        return load(_present(self.folder / f"growing_adversary_{mutation}/model.keras"))

    def density(self, mutation):
        """The adversary fraction in training."""
        return self._settings(mutation)["density"]

    def region(self, mutation):
        """The placement region in training: see `tfnca.measures.lizard.region_picture`."""
        return self._settings(mutation).get("region", "target")

    def _settings(self, mutation):
        settings = _present(self.folder / f"growing_adversary_{mutation}/config.json")
        return current_settings(json.loads(settings.read_text(encoding="utf-8")))

    def perturbation(self, mutation):
        """The perturbation for one of `MUTATIONS`."""
        return load_perturbation(
            _present(self.folder / f"perturbation_{mutation}/perturbation.npy")
        )

    def shift(self, mutation):
        """The vector trained in place of a matrix, for one of `MUTATIONS`."""
        return load_perturbation(_present(self.folder / f"shift_{mutation}/perturbation.npy"))

    def target(self, name):
        """The plain ``lizard`` or one of `MUTATIONS`, ``(40, 40, 4)``."""
        return load_target(name)


class Published:
    """The article's released models, in a folder of its files; same attributes as `Ours`."""

    name = "published"

    def __init__(self, folder=None):
        self.folder = Path(folder or os.environ.get("TFNCA_ORIGINALS", "../shared/originals"))

    @cached_property
    def digits(self):
        return load(_present(self.folder / "mnist_ca.json"))

    @cached_property
    def digits_adversary(self):
        return load(_present(self.folder / "mnist_ca_adversarial_model.zip"))

    @cached_property
    def lizard(self):
        return load(_present(self.folder / "growing_ca_lizard.json"))

    def adversary(self, mutation):
        """The adversary for one of `ADVERSARIES`, or "red_10", which was trained with 10 %."""
        names = {"no_tail": "no_tail_model", "red": "red_model_60perc", "red_10": "red_model"}
        archive = _present(self.folder / "growing_ca_adversarial_models.zip")
        return load(archive, name=names[mutation])

    def density(self, mutation):
        return ADVERSARIES[mutation]

    def region(self, mutation):
        return "target"

    def perturbation(self, mutation):
        archive = _present(self.folder / "growing_ca_saved_perturbations.zip")
        return load_perturbation(archive, name=mutation.removeprefix("no_"))

    def shift(self, mutation):
        raise MissingModelError(f"The article has only matrices. Received: mutation={mutation!r}")

    def target(self, name):
        member = "lizard_complete.png" if name == "lizard" else f"lizard_{name}.png"
        pictures = _present(self.folder / "growing_ca_target_images.zip")
        with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(pictures) as archive:
            return load_target(archive.extract(member, folder))
