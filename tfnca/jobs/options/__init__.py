"""Options of the training jobs, one file per job.

A dataclass declares each option once, with its help and its check. No file here loads TensorFlow.
"""

import argparse
import dataclasses
import importlib
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

from tfnca.choices import MOST_STEPS
from tfnca.commands import NOT_NEGATIVE, POSITIVE, SEED, Check, Parser, must, plain_errors, work
from tfnca.deprecated import flag


def fractions_of(drops: str) -> list[float]:
    """The fractions in a string such as ``"0.3,0.7"``; NaN if it does not contain numbers."""
    try:
        return [float(part) for part in drops.split(",") if part]
    except ValueError:
        return [math.nan]


def are_fractions(drops: str) -> bool:
    """Whether a string such as ``"0.3,0.7"`` contains ascending fractions in (0, 1)."""
    fractions = fractions_of(drops)
    return fractions == sorted(fractions) and all(0 < fraction < 1 for fraction in fractions)


CA_STEPS = must(f"be in 1 to {MOST_STEPS}", lambda value: 1 <= value <= MOST_STEPS)
"""The check of CA steps per training step."""

DROPS = must("be ascending fractions of the run, for example 0.3,0.7", are_fractions)
"""The check of the learning rate's drops: see `tfnca.jobs.run.schedule`."""


def option(
    default: Any,
    help: str,
    check: Check | None = None,
    may_change: bool = False,
    **argparse_options: Any,
) -> Any:
    """A field of a job's dataclass, which is also an option of its command.

    A field of type ``bool`` becomes two flags: ``--name`` and ``--no-name``.

    Args:
        default: Its default.
        help: Its text in ``--help``.
        check: Checks its value: see `tfnca.commands.must`.
        may_change: Whether a resumed run may have another value.
        **argparse_options: Further arguments of argparse, for example `choices`.
    """
    metadata = {
        "help": help,
        "check": check,
        "may_change": may_change,
        "argparse": argparse_options,
    }
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class Common:
    """Options of every training job."""

    out: str = option("out", "folder for results and snapshots", may_change=True)
    seed: int = option(
        0, "random seed; on a CPU, the same seed gives the same result, bit for bit", SEED
    )
    resume: str | None = option(
        None,
        "continue exactly from the last snapshot in --out; 'weights': start a new run with model "
        "and optimiser from --out",
        may_change=True,
        nargs="?",
        const="exact",
        choices=["exact", "weights"],
    )
    shards: int = option(
        1,
        "number of shards, each with its own pool and batch; a multiple of the number of workers",
        POSITIVE,
    )
    strategy: str = option(
        "one",
        "'one' process, or the processes listed in TF_CONFIG ('multiworker'); tfnca launch starts "
        "several on this machine",
        may_change=True,
        choices=["one", "multiworker"],
    )
    engine: str = option(
        "auto",
        "'sparse', 'dense', or 'auto' for the faster one on this machine",
        choices=["auto", "dense", "sparse"],
    )
    precision: str = option(
        "float32",
        "precision of the networks while training; 'mixed_bfloat16' is meant for GPUs (not "
        "measured yet) and uses the dense engine; weights, states and results stay float32",
        choices=["float32", "mixed_bfloat16"],
    )
    snapshot_seconds: float = option(
        60.0, "seconds between snapshots", NOT_NEGATIVE, may_change=True
    )
    preview_steps: int = option(
        1000, "training steps between preview pictures", POSITIVE, may_change=True
    )
    measure: str = option(
        "full",
        "measurements after training: 'full', 'quick' (metrics.json then says so) or 'none'",
        may_change=True,
        choices=["full", "quick", "none"],
    )

    def check(self) -> None:
        """Raises ValueError if options contradict each other. Jobs override it."""


def in_order(config: Common, *names: str) -> None:
    """Raises ValueError unless each of these options is at most the next one."""
    for first, second in itertools.pairwise(names):
        low, high = getattr(config, first), getattr(config, second)
        if low > high:
            raise ValueError(
                f"{flag(first)} must be at most {flag(second)}. "
                f"Received: {flag(first)} {low}, {flag(second)} {high}"
            )


def defaults(config_class: type[Common], recipe: str | None = None) -> dict[str, Any]:
    """The default of each option, with those of a recipe if the job has recipes."""
    values = {field.name: field.default for field in dataclasses.fields(config_class)}
    return values | getattr(config_class, "RECIPES", {}).get(recipe, {})


def add_options(parser: Parser, config_class: type[Common]) -> None:
    """Adds the options of a configuration, a dataclass derived from `Common`, to a parser.

    Its `RECIPES`, if any, give defaults for each value of its option `recipe`.
    """
    recipes = getattr(config_class, "RECIPES", {})
    for field in dataclasses.fields(config_class):
        options = dict(field.metadata["argparse"])
        text = field.metadata["help"]
        by_recipe = [
            f"{recipe[field.name]} {name}"
            for name, recipe in recipes.items()
            if field.name in recipe
        ]
        if by_recipe:
            text += f" (default: {', '.join(by_recipe)})"
        elif field.default is not None:
            text += f" (default: {field.default})"
        kind = next(k for k in (bool, int, float, str) if k.__name__ in str(field.type))
        options |= {"action": argparse.BooleanOptionalAction} if kind is bool else {"type": kind}
        parser.add_argument(
            flag(field.name),
            default=field.default,
            help=text.replace("%", "%%"),
            check=field.metadata["check"],
            **options,
        )


def run(
    config_class: type[Common],
    job: str | Callable[[Any], None],
    description: str | None,
    prog: str | None = None,
    words: Sequence[str] | None = None,
) -> None:
    """Parses the command line and runs `job(config)`. Reports invalid input in one line.

    Args:
        config_class: A frozen dataclass derived from `Common`: see `add_options`.
        job: Function of such a configuration. ``"package.module:function"`` is imported after the
            options are checked.
        description: First paragraphs of ``--help``.
        prog: Name of the command in messages.
        words: The command line without the command's name. None: that of this process.
    """
    parser = Parser(prog, description)
    add_options(parser, config_class)
    words = parser.current_words(words)  # once, because the words may be parsed twice
    if recipes := getattr(config_class, "RECIPES", None):
        parser.set_defaults(**recipes[parser.parse_args(words).recipe])
    options = vars(parser.parse_args(words))
    plugins = options.pop("plugin")
    config = config_class(**options)
    with plain_errors():
        config.check()
    work("tfnca.jobs.start:run", config, job, plugins=plugins)


def run_named(name: str, prog: str | None = None, words: Sequence[str] | None = None) -> None:
    """Runs a job of tfnca. Its options are in this package; its function is in the file of the same
    name in `tfnca.jobs`."""
    options = importlib.import_module(f"{__name__}.{name}")
    run(options.Config, f"tfnca.jobs.{name}:main", options.__doc__, prog, words)
