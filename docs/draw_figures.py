"""Redraws the stills of docs/figures.md."""

import argparse
import tempfile
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from tfnca.article.figures import FIGURES, write_figure
from tfnca.article.models import Ours, Published

OUT = Path(__file__).parent / "images/figures"


WIDE = (11, 12, 13)
"""Figures of many pictures in a row, which the page shows one above the other."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", choices=["ours", "published", "both"], nargs="?", default="both")
    which = parser.parse_args().models
    OUT.mkdir(parents=True, exist_ok=True)
    sets = [models for models in (Ours(), Published()) if which in ("both", models.name)]
    work = [(number, models) for models in sets for number in FIGURES]
    with tempfile.TemporaryDirectory() as folder:
        for number, models in tqdm(work, unit="figure"):
            width = 1500 if number in WIDE else 700
            write_figure(number, models, folder, moving=False, width=width, titled=False)
            name = f"figure_{number:02d}_{models.name}"
            with Image.open(Path(folder) / f"{name}.png") as picture:
                picture.convert("RGB").save(OUT / f"{name}.webp", quality=82, method=6)


if __name__ == "__main__":
    main()
