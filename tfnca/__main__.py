"""The command `tfnca`: all that the scripts do, from an installed package."""

import argparse
import importlib
from collections.abc import Iterable, Sequence

from tfnca import cli
from tfnca.commands import Parser
from tfnca.jobs import launch
from tfnca.jobs.options import run_named

JOBS = {
    "train": {"growing": "growing", "mnist": "mnist", "mnist_defence": "mnist_defence"},
    "attack": {
        "growing": "growing_adversary",
        "mnist": "mnist_adversary",
        "perturbation": "perturbation",
    },
}
"""What can be trained, and its file in `tfnca.jobs`."""

COMMANDS = (*("measure", "sweep", "place", "detect", "benchmark", "identify", "export", "models"),)
"""Those that are files of `tfnca.cli`."""

EXAMPLES = """Neural cellular automata, and attacks on them.

An example of each command; with --help, a command lists its options:

  tfnca play                                       the playgrounds, in your browser
  tfnca models                                     the bundled models, whose names others take

  tfnca train growing --target picture.png         a CA that grows a picture
  tfnca train mnist                                a CA that reads handwritten digits
  tfnca train mnist_defence                        one that resists adversaries
  tfnca attack growing --target no_tail            adversarial cells that change a grown picture
  tfnca attack mnist --digit 8                     adversarial cells that change a digit
  tfnca attack perturbation --target red           a matrix that changes every cell
  tfnca launch 2 train growing --out out/growing   several processes that train one model

  tfnca measure growing_lizard                     how well a model does
  tfnca measure no_tail --host growing_lizard      how well an attack does
  tfnca sweep mnist_adversary --host mnist         an attack by few and by many cells
  tfnca place mnist_adversary --host mnist         where a few adversaries hurt most
  tfnca detect mnist_adversary --host mnist        whether adversaries can be told from hosts
  tfnca benchmark FOLDER                           hosts against attacks: a leaderboard

  tfnca identify somebody.pth                      the rules that a file's weights may belong to
  tfnca export growing_lizard --format tfjs --out out/lizard   a model for other programs
"""


def main(words: Sequence[str] | None = None) -> None:
    """Runs the command line; that of this process if `words` is None."""
    choices = ("play", "models", *JOBS, "launch", *(c for c in COMMANDS if c != "models"))
    command, rest = _choose("tfnca", EXAMPLES, choices, words)
    prog = f"tfnca {command}"
    if command in JOBS:
        lines = [line for line in EXAMPLES.splitlines() if f"  {prog} " in line]
        job, rest = _choose(prog, "\n".join(lines), JOBS[command], rest)
        run_named(JOBS[command][job], f"{prog} {job}", rest)
    elif command == "launch":
        launch.main(prog, rest)
    elif command == "play":
        importlib.import_module("tfnca.play").main(rest)
    else:
        cli.run(command, prog, rest)


def _choose(
    prog: str, description: str, choices: Iterable[str], words: Sequence[str] | None
) -> tuple[str, list[str]]:
    """The first word that is no option, one of `choices`, and what it is to get."""
    parser = Parser(prog, description)
    listed = ", ".join(choices)
    parser.add_argument("command", metavar="COMMAND", choices=list(choices), help=listed)
    parser.add_argument("words", metavar="...", nargs=argparse.REMAINDER, help="its options")
    given = parser.parse_args(words)
    plugins = [word for name in given.plugin for word in ("--plugin", name)]
    return given.command, [*plugins, *given.words]


if __name__ == "__main__":
    main()
