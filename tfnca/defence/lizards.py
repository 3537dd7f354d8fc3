"""Measures every attack on every host that grows a picture: ``tfnca benchmark --task lizard``."""

import math
from pathlib import Path
from typing import Any

from tfnca.automata.injection import Injected
from tfnca.automata.perturbations import StatePerturbation
from tfnca.automata.perturbed import Perturbed
from tfnca.automata.state import no_picture
from tfnca.automata.step import CellularAutomaton
from tfnca.data.targets import load_target, pad_target
from tfnca.formats.load import load
from tfnca.formats.settings import settings_beside, spreads
from tfnca.measures.lizard import MEASURED_PADDING
from tfnca.measures.progress import Clock
from tfnca.measures.task import measure_task
from tfnca.tasks.pattern import PatternTask

AT = (500, 5000)
"""CA steps after the attack's beginning at which it is measured."""

Models = dict[str, tuple[Any, dict]]


def find_lizards(folder: Path) -> tuple[Models, Models]:
    """The hosts and the attacks, with their settings, in a folder that has a folder for each.

    Adversaries that spread are left out, because the protocol does not place them.

    Raises:
        ValueError: If there is no host or no attack, or a file cannot be read.
    """
    hosts: Models = {}
    attacks: Models = {}
    for path in sorted(folder.glob("*/model.keras")):
        model, settings = load(path), settings_beside(path)
        perturbs = isinstance(model, StatePerturbation)
        grows = isinstance(model, CellularAutomaton) and not no_picture(model)
        if not (perturbs or grows) or spreads(settings):
            continue
        name = path.parent.name
        (attacks if perturbs or "host" in settings else hosts)[name] = model, settings
    if not hosts or not attacks:
        raise ValueError(
            "FOLDER must contain at least one host and one attack: a folder for each CA that grows "
            "a picture, with its model.keras and, for an attack, a config.json that names its "
            f"host. Received: {len(hosts)} hosts and {len(attacks)} attacks in {folder}"
        )
    return hosts, attacks


def picture_task(settings: dict[str, Any], name: str) -> PatternTask:
    """The task of growing the picture that a setting names."""
    picture = load_target(settings.get(name, "lizard"), settings.get("size", 40))
    return PatternTask(pad_target(picture, MEASURED_PADDING))


def benchmark_lizards(folder: Path, runs: int, at: tuple[int, ...] = AT) -> dict[str, Any]:
    """Measures all hosts against all attacks that fit them, by `measure_task`.

    Returns:
        Dictionary: ``runs``, ``at``, and ``attacks``, a row for each pair. ``remaining`` is the
        MSE against the attack's target at each step of `at`, over that without an attack.
        ``recovery`` is the MSE against the host's picture, after the best shift, when the host has
        run alone for 200 steps after the attack. All are medians. ``measured`` has everything.
    """
    hosts, attacks = find_lizards(folder)
    pairs = [
        (host, attack)
        for host in hosts
        for attack in attacks
        if hosts[host][0].channels == attacks[attack][0].channels
    ]
    rows = []
    for host_name, attack_name in Clock(pairs, desc="Attacking", unit="attack", dynamic_ncols=True):
        (host, of_host), (attack, settings) = hosts[host_name], attacks[attack_name]
        kind = Perturbed if isinstance(attack, StatePerturbation) else Injected
        task, goal = picture_task(of_host, "target"), picture_task(settings, "target")
        density = settings.get("density", 0.1)
        found = measure_task(kind(host, attack), task, goal, density, runs, at)
        rows.append(
            {
                "host": host_name,
                "attack": attack_name,
                "remaining": [
                    attacked["median"] / alone["median"]
                    for attacked, alone in zip(found["attack"], found["baseline"], strict=True)
                ],
                "recovery": found["recovery"][-1]["shifted_median"],
                "measured": found,
            }
        )
    return {"runs": runs, "at": list(at), "attacks": rows}


def lizard_leaderboard(found: dict[str, Any]) -> str:
    """The results as a Markdown table: hosts by their most successful attack, then attacks."""
    rows = found["attacks"]
    worst: dict[str, float] = {}
    for row in rows:
        worst[row["host"]] = min(worst.get(row["host"], math.inf), row["remaining"][0])
    rows = sorted(rows, key=lambda row: (-worst[row["host"]], row["host"], row["remaining"]))
    steps = " | ".join(f"MSE over baseline, step {step:,}" for step in found["at"])
    lines = [f"| host | attack | {steps} | MSE after recovery |"]
    lines.append("|---" * (len(found["at"]) + 3) + "|")
    for row in rows:
        values = " | ".join(f"{value:.2f}" for value in row["remaining"])
        lines.append(f"| {row['host']} | {row['attack']} | {values} | {row['recovery']:.4f} |")
    return "\n".join(lines) + "\n"
