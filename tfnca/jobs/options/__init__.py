"""Options of the jobs that train: declared once, with their help and their check, as fields of a
dataclass; a file a job. All is known before TensorFlow loads."""

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
    """The fractions in a string such as ``"0.3,0.7"``; NaN where it holds no numbers."""
    try:
        return [float(part) for part in drops.split(",") if part]
    except ValueError:
        return [math.nan]


def are_fractions(drops: str) -> bool:
    """Whether a string such as ``"0.3,0.7"`` holds ascending fractions in (0, 1)."""
    fractions = fractions_of(drops)
    return fractions == sorted(fractions) and all(0 < fraction < 1 for fraction in fractions)


CA_STEPS = must(f"lie in 1 to {MOST_STEPS}", lambda value: 1 <= value <= MOST_STEPS)
"""The check of CA steps per training step."""

DROPS = must("be ascending fractions of the run, such as 0.3,0.7", are_fractions)
"""The check of an option that `tfnca.jobs.run.schedule` takes as its drops."""


def option(
    default: Any,
    help: str,
    check: Check | None = None,
    may_change: bool = False,
    **argparse_options: Any,
) -> Any:
    """A field of a hyperparameters' dataclass, and an option of the command line.

    A field of type ``bool`` is a pair of flags: ``--name`` and ``--no-name``.

    Args:
        default: Its default.
        help: Its line in ``--help``.
        check: What its value must hold: see `tfnca.commands.must`.
        may_change: Whether a run that is resumed may have another value.
        **argparse_options: Further arguments of argparse, such as `choices`.
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
    """Options of every training script."""

    out: str = option("out", "folder for results and snapshots", may_change=True)
    seed: int = option(0, "random seed; on a CPU one seed gives one result, bit for bit", SEED)
    resume: str | None = option(
        None,
        "go on exactly from the last snapshot in --out; 'weights': take only model and "
        "optimiser from --out, with a fresh pool",
        may_change=True,
        nargs="?",
        const="exact",
        choices=["exact", "weights"],
    )
    shards: int = option(
        1,
        "parts of the training, each with a pool and a batch of its own: a multiple of the number "
        "of workers, who share them",
        POSITIVE,
    )
    strategy: str = option(
        "one",
        "who trains: 'one' process, or those that TF_CONFIG names ('multiworker'; "
        "train/launch.py starts several on this machine)",
        may_change=True,
        choices=["one", "multiworker"],
    )
    engine: str = option(
        "auto",
        "'sparse', 'dense', or 'auto' for the faster one here",
        choices=["auto", "dense", "sparse"],
    )
    precision: str = option(
        "float32",
        "what networks compute in while training; 'mixed_bfloat16' is for GPUs that are faster in "
        "it, and takes the dense engine. Weights, states and results stay float32",
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
        "what to measure once trained: 'full'; 'quick', which metrics.json says; or 'none'",
        may_change=True,
        choices=["full", "quick", "none"],
    )

    def check(self) -> None:
        """Raises ValueError where options do not go together; a script has its own."""


def in_order(config: Common, *names: str) -> None:
    """Raises ValueError unless each of these options is at most the one that follows."""
    for first, second in itertools.pairwise(names):
        low, high = getattr(config, first), getattr(config, second)
        if low > high:
            raise ValueError(
                f"{flag(first)} must be at most {flag(second)}. "
                f"Received: {flag(first)} {low}, {flag(second)} {high}"
            )


def defaults(config_class: type[Common], recipe: str | None = None) -> dict[str, Any]:
    """What each option is if it is not given, under a recipe where there are several."""
    values = {field.name: field.default for field in dataclasses.fields(config_class)}
    return values | getattr(config_class, "RECIPES", {}).get(recipe, {})


def add_options(parser: Parser, config_class: type[Common]) -> None:
    """Adds the options of a configuration to a parser.

    Args:
        parser: The command's parser.
        config_class: A dataclass derived from `Common`. If it has `RECIPES`, a dictionary of
            defaults for each value of its option `recipe`, an option's default depends on it.
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
    """Parses the command line, runs `job(config)`, and turns bad input into one line.

    Args:
        config_class: A frozen dataclass derived from `Common`: see `add_options`.
        job: Function of such a configuration; as ``"package.module:function"`` it is imported once
            the options are known to be right.
        description: What ``--help`` says first.
        prog: What the command is called in messages.
        words: The command line without the command's name; that of this process if None.
    """
    parser = Parser(prog, description)
    add_options(parser, config_class)
    if recipes := getattr(config_class, "RECIPES", None):
        parser.set_defaults(**recipes[parser.parse_args(words).recipe])
    options = vars(parser.parse_args(words))
    plugins = options.pop("plugin")
    config = config_class(**options)
    with plain_errors():
        config.check()
    work("tfnca.jobs.start:run", config, job, plugins=plugins)


def run_named(name: str, prog: str | None = None, words: Sequence[str] | None = None) -> None:
    """`run` of a job that the package holds: its options are in this package, its work in the file
    of the same name in `tfnca.jobs`."""
    options = importlib.import_module(f"{__name__}.{name}")
    run(options.Config, f"tfnca.jobs.{name}:main", options.__doc__, prog, words)
