"""Where a few adversaries hurt most: ``python -m tfnca.placement ADVERSARY --host HOST``.

Places 1, 2, 4 and 8 adversaries in each test digit by every method, and measures under unseen
draws how many digits they take. Writes placement.json, takeover.png and maps.png to --out. With
--map N only the influence map of test digit N is drawn, which takes seconds.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np

from tfnca.automata.injection import Injected
from tfnca.commands import DIGIT, NOT_NEGATIVE, POSITIVE, Parser, plain_errors
from tfnca.data.digits import load_digits
from tfnca.files import write_atomically
from tfnca.formats.load import load
from tfnca.measures.digits import TARGET_DIGIT
from tfnca.measures.progress import Bar, Clock
from tfnca.measures.settings import fill_in, settings_beside
from tfnca.placement.influence import influence_maps
from tfnca.placement.pictures import draw_curves, draw_maps
from tfnca.placement.search import greedy
from tfnca.placement.study import study_placement
from tfnca.placement.trials import Trials


def on_screen(total: int) -> Bar:
    """A bar of rollouts on the terminal; without an end where the number is not known."""
    return Clock(desc="Placing", total=total or None, unit="rollout", dynamic_ncols=True)


def one_map(step: Injected, options: argparse.Namespace) -> None:
    """Draws the influence map of one test digit and four cells that greedy takes."""
    digits = load_digits("test", options.data_dir, options.map + 1)
    image, label = digits.images[-1:], digits.labels[-1:]
    began = time.monotonic()
    maps = influence_maps(
        step, image, options.digit, options.steps, options.seed, progress=on_screen
    )
    seconds = time.monotonic() - began
    trials = Trials(step, image, options.digit, options.steps, seed=options.seed)
    chosen = greedy(trials, 4, [maps[0].outcome.value])
    path = Path(options.out) / f"map_{options.map}.png"
    write_atomically(path, draw_maps(image, label, maps, chosen, options.digit, columns=1))
    row, column = divmod(chosen[0][0], image.shape[2])
    print(f"{len(maps[0].cells)} cells in {seconds:.1f} s. Best: row {row}, column {column}.")
    print(f"Wrote {path}")


def study(step: Injected, options: argparse.Namespace) -> None:
    """The whole study, and its files."""
    digits = load_digits("test", options.data_dir, options.test_digits)
    began = time.monotonic()
    found = study_placement(
        step,
        digits,
        seeds=range(options.seed, options.seed + options.seeds),
        target=options.digit,
        searched=options.searched,
        steps=options.steps,
        progress=on_screen,
    )
    found["seconds"] = time.monotonic() - began
    folder = Path(options.out)
    write_atomically(folder / "placement.json", json.dumps(found, indent=1))
    write_atomically(folder / "takeover.png", draw_curves(found["curves"]))
    numbers = np.array(found["numbers"])
    labels = digits.labels[numbers]
    shown = [int(np.flatnonzero(labels == k)[0]) for k in sorted(set(labels.tolist()))]
    images = digits.images[numbers[shown]]
    maps = influence_maps(step, images, options.digit, options.steps, seed=1, repeats=4)
    chosen = [found["placements"][number][:4] for number in shown]
    write_atomically(
        folder / "maps.png", draw_maps(images, labels[shown], maps, chosen, options.digit)
    )
    print("| adversaries | method | digits | taken | host's own cells |\n|---|---|---|---|---|")
    for row in [*found["one_percent"], *found["curves"]]:
        budget = row["budget"] or "1 % of the grid"
        print(
            f"| {budget} | {row['method']} | {row['digits']} "
            f"| {row['takeover']:.3f} ± {row['takeover_sd']:.3f} "
            f"| {row['host_takeover']:.3f} ± {row['host_takeover_sd']:.3f} |"
        )
    print(f"Wrote {folder} after {found['seconds'] / 60:.1f} minutes.")


def main() -> None:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="the adversary, in any format that tfnca.load reads")
    parser.add_argument("--name", help="which model, where MODEL holds several")
    parser.add_argument("--host", required=True, help="the MNIST CA that is attacked")
    parser.add_argument("--host-name", help="which model, where that file holds several")
    trained = "what config.json beside the model says, or else"
    parser.add_argument(
        "--digit", type=int, check=DIGIT,
        help=f"the class that adversaries argue for (default: {trained} {TARGET_DIGIT})",
    )  # fmt: skip
    parser.add_argument("--map", type=int, check=NOT_NEGATIVE, help="a test digit's number")
    parser.add_argument("--data-dir", help="folder with MNIST's four idx files")
    for name, default, text in (
        ("--test-digits", 1000, "test digits"),
        ("--searched", 100, "of them, for the slow methods"),
        ("--seeds", 3, "evaluations"),
        ("--steps", 200, "CA steps from the empty state"),
    ):
        parser.add_argument(
            name, type=int, default=default, check=POSITIVE, help=f"{text} (default: %(default)s)"
        )
    parser.add_argument(
        "--seed", type=int, default=0, check=NOT_NEGATIVE, help="the first (default: %(default)s)"
    )
    parser.add_argument("--out", default="out/placement", help="folder (default: %(default)s)")
    options = parser.parse_args()
    with plain_errors():
        adversary, host = load(options.model, options.name), load(options.host, options.host_name)
        fill_in(options, settings_beside(options.model), digit=TARGET_DIGIT)
        step = Injected(host, adversary)
        Path(options.out).mkdir(parents=True, exist_ok=True)
        (study if options.map is None else one_map)(step, options)


if __name__ == "__main__":
    main()
