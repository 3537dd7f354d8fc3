"""Builds the playgrounds: tfnca/site/, which `tfnca play` serves. Needs Node.

The result is the same whenever and wherever it is built from the same files. ``built.json`` in it
lists their checksums, so that a test can tell without Node whether the site is up to date.
"""

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from prepare import MODELS, ROOT, WEB, prepare

from tfnca.commands import Parser, plain_errors
from tfnca.files import replacing

SOURCES = [
    *("build.py", "prepare.py", "vite.config.js", "package-lock.json"),
    *("index.html", "example.html", "preview.png", "sw.js", "src/*"),
]
"""Patterns of the files below export/web that the site is made of."""


def main():
    parser = Parser(description=__doc__)
    models = os.environ.get("TFNCA_MODELS") or ROOT / "saved_models"
    out = ROOT / "tfnca/site"
    parser.add_argument("--models", type=Path, default=models, help="(default: saved_models)")
    parser.add_argument("--out", type=Path, default=out, help="(default: tfnca/site)")
    options = parser.parse_args()
    with plain_errors():
        build(options.models, options.out)
    print(f"Wrote {options.out}")


def build(models, out):
    """Builds the site from a folder of models, and puts it in the place of `out`."""
    with tempfile.TemporaryDirectory() as data, replacing(out, "built.json") as site:
        data = Path(data)
        files = prepare(models, data)
        if models.resolve() != ROOT / "saved_models":  # the bundled models are served from there
            for name in files:
                (data / "models" / name).parent.mkdir(exist_ok=True)
                shutil.copy(models / name, data / "models" / name)
        command = ["node", "node_modules/vite/bin/vite.js", "build", "--logLevel", "warn"]
        environment = {**os.environ, "TFNCA_SITE_DATA": str(data), "TFNCA_SITE": str(site)}
        done = subprocess.run(command, cwd=WEB, env=environment)
        if done.returncode:
            raise ValueError(f"vite build failed. Received: exit code {done.returncode}")
        (site / "built.json").write_text(
            json.dumps(checksums(models, site), indent=1) + "\n", encoding="utf-8"
        )


def checksums(models, site):
    """SHA-256 of all that a site is made of, and of all that it consists of."""
    built_from = {
        **{f"export/web/{name}": path for name, path in find(WEB, SOURCES)},
        **{f"models/{name}": path for name, path in find(models, inputs())},
        **{name: ROOT / name for name in ("LICENSE", "tfnca/data/NOTICE")},
    }
    return {
        "built_from": {name: sha256(path) for name, path in sorted(built_from.items())},
        "files": {name: sha256(path) for name, path in find(site, ["**/*"])},
    }


def inputs():
    """Patterns of the models' files that the site is made of."""
    for name in MODELS:
        yield f"{name}/model.keras"
        yield f"{name}/tfjs/*"
    yield "mnist_adversary/influence.json"
    yield "perturbation_*/perturbation.npy"
    yield "targets/*.png"


def find(folder, patterns):
    """Names and paths of the files below a folder that match any of the patterns, in order."""
    paths = {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    return [(path.relative_to(folder).as_posix(), path) for path in sorted(paths)]


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
