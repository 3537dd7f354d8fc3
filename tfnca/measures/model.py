"""Measures a model with the measures for its kind."""

import argparse
import json
from typing import Any

import numpy as np

from tfnca.automata.injection import Injected
from tfnca.automata.perturbations import StatePerturbation
from tfnca.automata.perturbed import Perturbed
from tfnca.automata.state import no_digits
from tfnca.automata.step import CellularAutomaton
from tfnca.choices import TARGET_DIGIT
from tfnca.commands import check_output
from tfnca.data.digits import load_digits
from tfnca.data.targets import load_target, pad_target
from tfnca.files import write_atomically
from tfnca.formats.load import load
from tfnca.measures.digits import attack_digits, base_digits
from tfnca.measures.lizard import MEASURED_PADDING, region_picture
from tfnca.measures.progress import on_screen
from tfnca.measures.protocol import measure_adversary, measure_base, measure_perturbation
from tfnca.measures.settings import fill_in, settings_beside


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measures a model; the result can be written as JSON."""
    model = load(options.model, options.name)
    host = load(options.host, options.host_name) if options.host else None
    fill_in(
        options,
        settings_beside(options.model),
        target="lizard",
        host_target="lizard",
        density=0.1,
        region="target",
        digit=TARGET_DIGIT,
    )
    if not isinstance(model, CellularAutomaton | StatePerturbation):
        raise ValueError(
            "MODEL must be a CA, an adversary or a perturbation, and its host given by --host. "
            f"Received: {type(model).__name__}"
        )
    if isinstance(model, CellularAutomaton) and no_digits(model) is None:
        digits = load_digits("test", options.data_dir, options.test_digits)
        seeds = range(options.seeds)
        if host is None:
            return base_digits(model, digits, seeds, options.horizon, on_screen)
        step = Injected(host, model)
        return attack_digits(step, digits, options.density, seeds, options.digit, on_screen)

    def picture(name: str) -> np.ndarray:
        return pad_target(load_target(name), MEASURED_PADDING)

    if isinstance(model, StatePerturbation):
        if host is None:
            raise ValueError("A perturbation needs its host to be measured: --host. Received: none")
        return measure_perturbation(
            Perturbed(host, model),
            picture(options.target),
            picture(options.host_target),
            progress=on_screen,
        )
    if host is None:
        return measure_base(model, picture(options.target), progress=on_screen)
    target = picture(options.target)
    plain = picture(options.host_target)
    region = region_picture(options.region, target, plain)
    step = Injected(host, model)
    return measure_adversary(step, target, options.density, region, plain, progress=on_screen)


def main(options: argparse.Namespace) -> None:
    """Writes or prints the measures, as ``python -m tfnca.measures`` does."""
    if options.out:
        check_output(options.out)
    text = json.dumps(measure(options), indent=2)
    if options.out:
        write_atomically(options.out, text)
    print(f"Wrote {options.out}" if options.out else text)
