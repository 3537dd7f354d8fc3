"""The command `tfnca`: every script of the project, from an installed package."""

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
        "invasion": "invasion",
        "mnist": "mnist_adversary",
        "perturbation": "perturbation",
    },
}
"""Training jobs, with their file in `tfnca.jobs`."""

COMMANDS = (*("measure", "sweep", "place", "detect", "benchmark", "identify", "export", "models"),)
"""Commands with a file in `tfnca.cli`."""

EXAMPLES = """Neural cellular automata, and attacks on them.

Each command with an example. A command followed by --help lists its options:

  tfnca play                                       open the playgrounds in your browser
  tfnca models                                     list the bundled models; use their names below

  tfnca train growing --target picture.png         train a CA that grows a picture
  tfnca train mnist                                train a CA that classifies handwritten digits
  tfnca train mnist_defence                        train a digit CA that resists adversaries
  tfnca attack growing --region host --density 0.3   train adversaries that change a grown picture
  tfnca attack invasion --target red               train adversaries that spread
  tfnca attack mnist --digit 8                     train adversaries that change a digit's class
  tfnca attack perturbation --target red           train a matrix that changes every living cell
  tfnca launch 2 train growing --out out/growing   train one model with two processes

  tfnca measure growing_lizard                     measure a model
  tfnca measure no_tail --host growing_lizard      measure an attack
  tfnca sweep mnist_adversary --host mnist         measure an attack at several fractions
  tfnca place mnist_adversary --host mnist         find the most harmful cells
  tfnca detect mnist_adversary --host mnist        detect adversaries
  tfnca benchmark FOLDER                           compare hosts and attacks: a leaderboard

  tfnca identify weights.pth                       find the rule that a file belongs to
  tfnca export growing_lizard --format tfjs --out out/lizard   export a model
"""


def main(words: Sequence[str] | None = None) -> None:
    """Runs a command line. None: that of this process."""
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
    """The first word that is not an option, one of `choices`, and the remaining words."""
    parser = Parser(prog, description)
    listed = ", ".join(choices)
    parser.add_argument("command", metavar="COMMAND", choices=list(choices), help=listed)
    parser.add_argument(
        "words", metavar="...", nargs=argparse.REMAINDER, help="options of the command"
    )
    given = parser.parse_args(words)
    plugins = [word for name in given.plugin for word in ("--plugin", name)]
    return given.command, [*plugins, *given.words]


if __name__ == "__main__":
    main()
