"""Options of the training scripts: declared once, with their help and their check, as fields of a
dataclass."""

import argparse
import dataclasses
import itertools
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from tfnca.commands import NOT_NEGATIVE, POSITIVE, SEED, Check, Parser, plain_errors
from tfnca.files import remove_leftovers
from tfnca.training.workers import ALONE, Workers, join_workers


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


def flag(name: str) -> str:
    """A field's option, as it is typed: ``"--batch-size"`` for ``"batch_size"``."""
    return "--" + name.replace("_", "-")


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


def run(config_class: type[Common], job: Callable[[Any], None], description: str | None) -> None:
    """Parses the command line, runs `job(config)`, and turns bad input into one line.

    Args:
        config_class: A frozen dataclass derived from `Common`. If it has `RECIPES`, a dictionary
            of defaults for each value of its option `recipe`, an option's default depends on it.
        job: Function of such a configuration.
        description: What ``--help`` says first.
    """
    parser = Parser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
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
    if recipes:
        parser.set_defaults(**recipes[parser.parse_args().recipe])
    config = config_class(**vars(parser.parse_args()))
    with plain_errors():
        config.check()
        start(config)
        job(config)
        workers().wait()  # those that wait for the chief may end now


_workers = ALONE


def workers() -> Workers:
    """Who trains: this process alone, or with others (see `start`)."""
    return _workers


def start(config: Common) -> None:
    """Meets the other workers, makes the run reproducible and the folder for results."""
    global _workers
    _workers = join_workers() if config.strategy == "multiworker" else ALONE
    if config.shards % _workers.count:
        raise ValueError(
            f"--shards must be a multiple of the number of workers {_workers.count}. "
            f"Received: --shards {config.shards}"
        )
    keras.utils.set_random_seed(config.seed)
    if not tf.config.list_physical_devices("GPU"):
        # With it Keras would not compile with XLA, which a GPU needs to be fast.
        tf.config.experimental.enable_op_determinism()
    if not _workers.is_chief:
        return
    folder = Path(config.out)
    folder.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder)
    shared = f", {_workers.count} workers" if _workers.count > 1 else ""
    print(f"Device: {device_name()}{shared}")


def device_name() -> str:
    """The device that will do the work, in words."""
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        return tf.config.experimental.get_device_details(gpus[0]).get("device_name", gpus[0].name)
    return f"CPU, {platform.machine()}, {len(tf.config.list_logical_devices('CPU'))} device"
