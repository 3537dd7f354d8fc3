"""Trains the bundled models by the recipes in tfnca/zoo/recipes.py, each after those it needs.

After an interruption the same command continues from the last snapshot. A finished model is not
trained again, unless its recipe or a model that it needs has changed. Each run uses one thread, so
that a command gives the same weights again on the same machine. Models trained on all of MNIST
require its four files in --data-dir.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from graphlib import TopologicalSorter
from pathlib import Path

from tfnca.commands import Parser, plain_errors
from tfnca.files import weights_sha256, write_atomically
from tfnca.zoo.recipes import RECIPES

ROOT = Path(__file__).parents[1]
SHIPPED = ROOT / "saved_models"
THREADS = dict.fromkeys(
    ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "NUMBA_NUM_THREADS"),
    "1",
)
SHIPS = ("model.keras", "perturbation.npy", "metrics.json", "history.csv", "preview.png")


def model_file(name: str, folder: Path) -> str:
    """The file of a model that a recipe needs: the one in the folder, or else the bundled one."""
    for parent in (folder, SHIPPED):
        if (path := parent / name / "model.keras").is_file():
            return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)
    raise ValueError(f"Make {name} first: --only {name}. Received: no {folder / name}/model.keras")


def command(name: str, folder: Path, data: str | None) -> list[str]:
    """The words of a model's command after ``python``."""
    recipe = RECIPES[name]
    if recipe.needs_data and data is None:
        raise ValueError(f"{name} requires MNIST's four files: --data-dir FOLDER. Received: none")
    return recipe.words(str(folder / name), lambda needed: model_file(needed, folder), data or "")


def settings(name: str, folder: Path) -> dict:
    """The ``config.json`` of a run, or an empty dictionary."""
    path = folder / name / "config.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def older_than_its_needs(name: str, folder: Path) -> bool:
    """Whether a model that this one needs is newer than the run in its folder."""
    run = folder / name / "history.csv"
    needs = [folder / needed / "model.keras" for needed in RECIPES[name].needs]
    return run.is_file() and any(
        path.is_file() and path.stat().st_mtime > run.stat().st_mtime for path in needs
    )


def is_made(name: str, folder: Path, words: list[str]) -> bool:
    """Whether this command has finished in the folder."""
    said = settings(name, folder).get("command", "").removesuffix(" --resume")
    return said == " ".join(["python", *words]) and not older_than_its_needs(name, folder)


def make(name: str, folder: Path, data: str | None, to_log: bool = False) -> None:
    """Runs a recipe until it is finished, from its last snapshot if there is one.

    With `to_log`, a file in the folder gets what it prints.
    """
    words = command(name, folder, data)
    if is_made(name, folder, words):
        print(f"{name}: made.", flush=True)
        return
    snapshots = list((folder / name).glob("snapshot*.bin"))
    if snapshots and not older_than_its_needs(name, folder):
        words.append("--resume")
    print(f"{name}: about {RECIPES[name].minutes} minutes: python {' '.join(words)}", flush=True)
    log, options = folder / f"{name}.log", {"cwd": ROOT, "env": os.environ | THREADS}
    if not to_log:
        ended = subprocess.run([sys.executable, *words], **options)
    else:
        folder.mkdir(parents=True, exist_ok=True)
        with log.open("a") as file:
            options |= {"stdout": file, "stderr": subprocess.STDOUT}
            ended = subprocess.run([sys.executable, *words], **options)
    if ended.returncode:
        raise SystemExit(f"{name} failed: see {log}" if to_log else ended.returncode)
    if to_log:
        print(f"{name}: finished.", flush=True)


def make_all(names: Sequence[str], folder: Path, data: str | None, jobs: int) -> None:
    """Makes each model as soon as those that it needs are made, at most `jobs` at once."""
    order = TopologicalSorter(
        {name: [needed for needed in RECIPES[name].needs if needed in names] for name in names}
    )
    order.prepare()
    running: dict[Future[None], str] = {}
    with ThreadPoolExecutor(jobs) as pool:
        while order.is_active():
            for name in order.get_ready():
                running[pool.submit(make, name, folder, data, jobs > 1)] = name
            try:
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    future.result()
                    order.done(running.pop(future))
            except BaseException:  # those that run end, or continue from their snapshots later
                pool.shutdown(cancel_futures=True)
                raise


def ship(name: str, folder: Path, data: str | None) -> None:
    """Copies a finished model to `SHIPPED`, with its command and its weights' checksum.

    What is another on each machine is left out: MNIST's folder, which becomes IDX, and why the
    bundled digits were used.
    """
    words = command(name, folder, data)
    if not is_made(name, folder, words):
        raise ValueError(f"--ship takes finished models. Received: {name}, which is not finished")
    from tfnca.formats.load import load  # with TensorFlow: not before it is needed

    source, target = folder / name, SHIPPED / name
    data = data and "IDX"
    config = settings(name, folder)
    config |= {
        **({"source": config["source"].partition(" (")[0]} if "source" in config else {}),
        **({"data_dir": data} if RECIPES[name].needs_data else {}),
        "command": " ".join(["python", *command(name, folder, data)]),
        "sha256": weights_sha256(load(source / "model.keras")),
    }
    target.mkdir(parents=True, exist_ok=True)
    for file in SHIPS:
        if (source / file).is_file():
            shutil.copy(source / file, target / file)
    write_atomically(target / "config.json", json.dumps(config, indent=2))
    print(f"Wrote {target.relative_to(ROOT)}; now: make cards exports", flush=True)


def listed() -> str:
    """All recipes as a table."""
    from tfnca.zoo.tables import text_table  # with TensorFlow: not before it is needed

    rows = [
        [name, ", ".join(recipe.needs), str(recipe.minutes), "yes" if recipe.ships else ""]
        for name, recipe in RECIPES.items()
    ]
    rows.append(["all", "", str(sum(recipe.minutes for recipe in RECIPES.values())), ""])
    return text_table(["model", "made from", "minutes", "bundled"], rows)


def main() -> None:
    parser = Parser(description=__doc__)
    parser.add_argument(
        "--only",
        nargs="+",
        choices=RECIPES,
        metavar="NAME",
        help="train only these models; those that they need are in --folder, or bundled",
    )
    parser.add_argument("--list", action="store_true", help="only print the recipes")
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path("out/models"),
        help="output folder (default: %(default)s)",
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=1,
        help="models to train at once, one core for each (default: 1); above 1, NAME.log in the "
        "folder gets what a training prints",
    )
    parser.add_argument("--data-dir", help="folder with MNIST's four idx files")
    parser.add_argument(
        "--ship", action="store_true", help="only copy finished models to saved_models/"
    )
    options = parser.parse_args()
    if options.list:
        print(listed())
        return
    names = [name for name in RECIPES if options.only is None or name in options.only]
    with plain_errors():
        if options.only is None and options.data_dir is None:
            raise ValueError("To train all models, give MNIST: --data-dir FOLDER. Received: none")
        if options.jobs < 1:
            raise ValueError(f"--jobs must be 1 or more. Received: {options.jobs}")
        if not options.ship:
            make_all(names, options.folder, options.data_dir, options.jobs)
            return
        for name in names:
            if RECIPES[name].ships:
                ship(name, options.folder, options.data_dir)


if __name__ == "__main__":
    main()
