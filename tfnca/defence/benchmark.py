"""Measures every attack on every host: of digits, with and without a defence, or of lizards."""

if __name__ == "__main__":  # before TensorFlow loads, so that --help answers at once
    from tfnca.cli import run

    run("benchmark", "python -m tfnca.defence.benchmark")
    raise SystemExit(0)

import argparse
import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tfnca.automata.identity import is_host
from tfnca.automata.injection import Injected
from tfnca.automata.state import no_digits
from tfnca.automata.step import CellularAutomaton
from tfnca.automata.verified import Verified
from tfnca.choices import TOLERANCE
from tfnca.data.digits import Digits, load_digits
from tfnca.defence.lizards import benchmark_lizards, lizard_leaderboard
from tfnca.files import write_atomically
from tfnca.formats.load import load
from tfnca.formats.settings import settings_beside
from tfnca.measures.checks import INJECTED, check_digits, check_seeds
from tfnca.measures.digits import digit_mask, mean_and_spread, measure_digits, spread
from tfnca.measures.progress import Bar, Clock
from tfnca.placement.influence import influence_maps
from tfnca.placement.trials import Trials

_UNSEEN = 1 << 10


Attacks = dict[str, tuple[CellularAutomaton, dict]]


def find_models(folder: Path) -> tuple[dict[str, CellularAutomaton], Attacks]:
    """The hosts, and the attacks with their settings, in a folder that has a folder for each.

    Raises:
        ValueError: If there is no host or no attack, or a file cannot be read.
    """
    hosts, attacks = {}, {}
    for path in sorted(folder.glob("*/model.keras")):
        model, settings = load(path), settings_beside(path)
        if not isinstance(model, CellularAutomaton) or no_digits(model):
            continue
        if "host" in settings:
            attacks[path.parent.name] = model, settings
        else:
            hosts[path.parent.name] = model
    if not hosts or not attacks:
        raise ValueError(
            "FOLDER must contain at least one host and one attack: a folder for each CA of digits, "
            "with its model.keras and, for an attack, a config.json that names its host. "
            f"Received: {len(hosts)} hosts and {len(attacks)} attacks in {folder}"
        )
    return hosts, attacks


def measure_attack(
    step: Injected, digits: Digits, seeds: Iterable[int], target: int, mapped: int, bar: Bar
) -> dict[str, Any]:
    """Measures an attack with adversaries at random cells, and with one at the best cell.

    The best cell is looked for in the first `mapped` digits: see `influence_maps`.

    Returns:
        Dictionary: ``10 %`` and ``1 %``, with that fraction of the grid as adversaries from step
        200 to step 400; and ``placed``, with one adversary at the best cell from the start. Each
        contains the measures of `digit_measures` that apply, and ``_sd`` over seeds.
    """
    check_digits(step, digits, target, INJECTED)
    found: dict[str, Any] = {}
    seeds = check_seeds(seeds)
    for name, density in (("10 %", 0.1), ("1 %", 0.01)):
        runs = []
        for seed in seeds:
            mask = digit_mask(digits, density, seed, at_least_one=density < 0.1)
            runs.append(measure_digits(step, digits, [(200, None), (200, mask)], seed, (), target))
        found[name] = mean_and_spread(runs)[-1]
    images = digits.first(mapped)
    images = images.images[images.labels != target]
    maps = influence_maps(step, images, target, seed=1)
    trials = Trials(step, images, target)
    best = [(d, [int(one.cells[one.outcome.value.argmax()])]) for d, one in enumerate(maps)]
    rates = [trials.ask(best, seed + _UNSEEN).taken.mean() for seed in seeds]
    found["placed"] = spread("takeover", rates)
    bar.update(1)
    return found


def benchmark(
    folder: Path,
    digits: Digits,
    seeds: Iterable[int],
    target: int,
    mapped: int,
    tolerance: float = TOLERANCE,
) -> dict[str, Any]:
    """Measures all hosts against all attacks: see `find_models` and `measure_attack`.

    Returns:
        Dictionary: ``hosts``, the measures of each host without an attack; ``attacks``, a row for
        each host, defence and attack. ``held`` tells whether the deviation test clips the
        adversaries' updates to the tolerance.
    """
    hosts, attacks = find_models(folder)
    seeds = list(seeds)
    total = 3 * len(hosts) * len(attacks)
    bar = Clock(desc="Attacking", total=total, unit="attack", dynamic_ncols=True)
    alone, rows = {}, []
    for host_name, host in hosts.items():
        runs = [measure_digits(host, digits, [(200, None)], seed) for seed in seeds]
        alone[host_name] = mean_and_spread(runs)[-1]
        for attack_name, (adversary, settings) in attacks.items():
            same = bool(is_host(host, settings))
            careful = settings.get("tolerance") is not None
            steps = {
                ("none", False): Injected(host, adversary),
                ("verified", False): Verified(host, adversary, tolerance),
                ("verified", True): Verified(host, adversary, tolerance, mode="clip"),
            }
            for (defence, held), step in steps.items():
                rows.append(
                    {
                        "host": host_name,
                        "defence": defence,
                        "attack": attack_name,
                        "held": held,
                        "fresh": same and careful == (defence == "verified"),
                        **measure_attack(step, digits, seeds, target, mapped, bar),
                    }
                )
    bar.close()
    return {"digits": len(digits.labels), "seeds": seeds, "hosts": alone, "attacks": rows}


def leaderboard(found: dict[str, Any]) -> str:
    """The results as a Markdown table, a row for each host and defence, the safest first."""
    table = []
    for host, alone in found["hosts"].items():
        for defence in ("none", "verified"):
            own = [r for r in found["attacks"] if (r["host"], r["defence"]) == (host, defence)]
            worst = {
                place: max(own, key=lambda row: row[place]["takeover"])
                for place in ("10 %", "1 %", "placed")
            }
            table.append((host, defence, alone, worst))
    table.sort(key=lambda row: row[3]["10 %"]["10 %"]["takeover"])
    lines = [
        "| host | defence | accuracy without attack | accuracy under attack "
        "| takeover rate, 10 % adversaries | 1 % adversaries | one at the best cell "
        "| most harmful attack at 10 % |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for host, defence, alone, worst in table:
        hardest = min(
            (r for r in found["attacks"] if (r["host"], r["defence"]) == (host, defence)),
            key=lambda row: row["10 %"]["digit_accuracy"],
        )
        cells = [f"{row[place]['takeover']:.3f}" for place, row in worst.items()]
        many = worst["10 %"]
        held = ", clipped" if many["held"] else ""
        cells.append(f"{many['attack']}{'*' if many['fresh'] else ''}{held}")
        lines.append(
            f"| {host} | {defence} | {alone['digit_accuracy']:.3f} "
            f"| {hardest['10 %']['digit_accuracy']:.3f} | {' | '.join(cells)} |"
        )
    return "\n".join(lines) + "\n"


def main(options: argparse.Namespace) -> None:
    """Writes and prints the leaderboard, as ``python -m tfnca.defence.benchmark`` does."""
    began, models = time.monotonic(), Path(options.folder)
    if options.task == "lizard":
        found = benchmark_lizards(models, options.seeds)
        table = lizard_leaderboard(found)
    else:
        digits = load_digits("test", options.data_dir, options.test_digits)
        seeds = range(options.seeds)
        found = benchmark(models, digits, seeds, options.digit, options.mapped, options.tolerance)
        table = leaderboard(found)
    found["seconds"] = time.monotonic() - began
    folder = Path(options.out)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "benchmark.json", json.dumps(found, indent=1))
    write_atomically(folder / "README.md", table)
    print(table)
    print(f"Wrote {folder} after {found['seconds'] / 60:.1f} minutes.")
