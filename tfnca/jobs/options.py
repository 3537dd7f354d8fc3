"""Options of the training scripts: declared once, with their help, as fields of a dataclass."""

import argparse
import dataclasses
import platform
from pathlib import Path

import keras
import tensorflow as tf

from tfnca.commands import Parser, check_positive, plain_errors
from tfnca.files import remove_leftovers


def option(default, help, **argparse_options):
    """A field of a hyperparameters' dataclass: its default and its line in ``--help``."""
    return dataclasses.field(default=default, metadata={"help": help, **argparse_options})


@dataclasses.dataclass(frozen=True)
class Common:
    """Options of every training script."""

    out: str = option("out", "folder for results and snapshots")
    seed: int = option(0, "random seed; on a CPU one seed gives one result, bit for bit")
    resume: str | None = option(
        None,
        "go on exactly from the last snapshot in --out; 'weights': take only model and "
        "optimiser from --out, with a fresh pool",
        nargs="?",
        const="exact",
        choices=["exact", "weights"],
    )
    engine: str = option("auto", "'sparse', 'dense', or 'auto' for the faster one here",
                         choices=["auto", "dense", "sparse"])  # fmt: skip
    snapshot_seconds: float = option(60.0, "seconds between snapshots")
    preview_steps: int = option(1000, "training steps between preview pictures")


def run(config_class, job, description):
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
        options = dict(field.metadata)
        text = options.pop("help")
        by_recipe = [f"{recipe[field.name]} {name}" for name, recipe in recipes.items()
                     if field.name in recipe]  # fmt: skip
        if by_recipe:
            text += f" (default: {', '.join(by_recipe)})"
        elif field.default is not None:
            text += f" (default: {field.default})"
        kind = next(k for k in (int, float, str) if k.__name__ in str(field.type))
        name = "--" + field.name.replace("_", "-")
        parser.add_argument(
            name, default=field.default, help=text.replace("%", "%%"), type=kind, **options
        )
    if recipes:
        parser.set_defaults(**recipes[parser.parse_args().recipe])
    config = config_class(**vars(parser.parse_args()))
    with plain_errors():
        start(config)
        job(config)


def start(config):
    """Makes the run reproducible, prints the device, and makes the folder for results."""
    keras.utils.set_random_seed(config.seed)
    tf.config.experimental.enable_op_determinism()
    check_positive(config, "steps", "batch_size", "pool_size", "test_digits", "test_seeds")
    folder = Path(config.out)
    folder.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder)
    print(f"Device: {device_name()}")


def device_name():
    """The device that will do the work, in words."""
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        return tf.config.experimental.get_device_details(gpus[0]).get("device_name", gpus[0].name)
    return f"CPU, {platform.machine()}, {len(tf.config.list_logical_devices('CPU'))} device"
