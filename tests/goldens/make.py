"""Adds the golden files that are missing: a layer of each kind as a file, and a step of it.

    PYTHONPATH=tests python tests/goldens/make.py

A golden file pins that what was once saved loads for ever, so those that are there stay.
"""

from pathlib import Path

import keras
import numpy as np
from descriptors import LAYERS, random_state

FOLDER = Path(__file__).parent / "layers"


def main():
    FOLDER.mkdir(exist_ok=True)
    for name, descriptor in LAYERS.items():
        golden = FOLDER / name.replace(" ", "_").lower()
        if golden.with_suffix(".keras").exists():
            continue
        layer = descriptor()
        state = random_state(layer)
        following = np.asarray(descriptor.call(layer, state))
        np.savez_compressed(golden.with_suffix(".npz"), state=state, following=following)
        keras.saving.save_model(layer, golden.with_suffix(".keras"))
        print(f"Wrote {golden}")


if __name__ == "__main__":
    main()
