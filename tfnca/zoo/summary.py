"""Describes a trained model in words and a few numbers, from its ``config.json`` and measures."""

from dataclasses import dataclass
from pathlib import PurePath
from statistics import median
from typing import Any

from tfnca.automata.perturbations import KINDS
from tfnca.automata.presets import PRESETS
from tfnca.data.drawing import DRAWN
from tfnca.formats.settings import spreads

WHOLE = {"lizard": "lizard", "lizard_complete": "lizard"}
"""The noun for the pattern that a host grows, by the name of its target."""


@dataclass(frozen=True)
class Measure:
    """One of the main measures of a model.

    Attributes:
        name: The measure, and the step at which it was taken.
        value: The number.
        kind: The model hubs' word for it: ``"accuracy"``, ``"mse"`` or ``"success_rate"``; or
            ``"fraction"``.
    """

    name: str
    value: float
    kind: str

    def __str__(self) -> str:
        return f"{self.name}: {number(self.value, self.kind)}"


def number(value: float, kind: str = "accuracy") -> str:
    """A measure as text; small errors get one more digit."""
    if kind in ("success_rate", "fraction"):
        return f"{value:.2f}"
    return f"{value:.3f}" if kind == "accuracy" else f"{value:.{4 if value >= 1e-3 else 5}f}"


def percent(fraction: float) -> str:
    """A fraction as text: ``"10 %"``."""
    return f"{100 * fraction:g} %"


def pattern(config: dict[str, Any]) -> str:
    """The noun for the pattern that a Growing CA, or an attack's host, grows."""
    stem = PurePath(config.get("host_target", config.get("target", "lizard"))).stem
    return WHOLE.get(stem, f"picture “{stem}”")


def aim(config: dict[str, Any]) -> str:
    """The aim of an attack on a pattern, as a verb: ``"lose its tail"``."""
    stem = PurePath(config["target"]).stem.removeprefix("lizard_")
    return DRAWN[stem].change if stem in DRAWN else f"turn into “{stem}”"


def first_cells(config: dict[str, Any]) -> str:
    """The cells with which an adversary that spreads begins."""
    if config["spray"] is None:
        return f"a patch of {config['patch']} by {config['patch']} cells"
    return f"{percent(config['spray'])} of the cells"


def task_of(layer: str) -> str | None:
    """The task of a model, or of its host, by the name of its class; None if it is unknown."""
    tasks = {kind.__name__: "pattern" for kind in KINDS.values()}
    return (tasks | {kind.__name__: kind.task for kind in PRESETS.values()}).get(layer)


def line(config: dict[str, Any], kind: str, layer: str) -> str:
    """A model in one line, without a full stop: see `ShippedModel` for its kind and layer."""
    if (task := task_of(layer)) is None:
        return f"a model of the class {layer}"
    known = kind == "adversary" and "density" in config
    fraction = f"; adversary fraction {percent(config['density'])}" if known else ""
    if task == "digit":
        if kind == "host":
            how = "trained among adversaries" if "bank" in config else "each cell for itself"
            return f"classifies handwritten digits, {how}"
        article = "an" if config["digit"] == 8 else "a"
        return f"makes digits choose {article} {config['digit']}{fraction}"
    if kind == "host":
        return f"grows a {pattern(config)} from one cell"
    if spreads(config):
        return f"spreads from {first_cells(config)}, to make the lizard {aim(config)}"
    what = "".join(f"{kind.kind}: " for kind in KINDS.values() if kind.__name__ == layer)
    return f"{what}makes the {pattern(config)} {aim(config)}{fraction}"


def main_measures(metrics: dict[str, Any]) -> list[Measure]:
    """The main measures in a ``metrics.json`` of any kind of model, the most important first."""
    if "attack" in metrics:
        return _digit_attack(metrics)
    if "base" in metrics:
        return _digit_base(metrics)
    if "invasion" in metrics:
        return _invasion(metrics)
    return _pattern(metrics)


def _invasion(metrics: dict[str, Any]) -> list[Measure]:
    found = []
    for row in metrics["invasion"]:
        if row["step"] in (500, 5000):
            when = f"{row['step']:,} steps after the invasion"
            found += [
                Measure(f"MSE {when}", median(row["error"]), "mse"),
                Measure(
                    f"fraction of the cells that adversaries have {when}",
                    median(row["share"]),
                    "fraction",
                ),
            ]
    found.append(Measure("baseline MSE", median(metrics["host_alone"][-1]["error"]), "mse"))
    return found


def _pattern(metrics: dict[str, Any]) -> list[Measure]:
    nothing = metrics.get("host")
    key, label = ("from_grown", "grown pattern") if nothing else ("from_seed", "seed")
    rows = [row for row in metrics.get(key, []) if row["step"] in (500, 5000)]
    found = [
        Measure(f"MSE at step {row['step']:,} from the {label}", row["median"], "mse")
        for row in rows
    ]
    if nothing:
        found.append(Measure("baseline MSE", nothing[-1]["median"], "mse"))
    if nothing and "host_median" in nothing[-1]:
        found += [
            Measure(f"host's own cells: MSE at step {row['step']:,}", row["host_median"], "mse")
            for row in rows
        ]
        name = "host's own cells: baseline MSE"
        found.append(Measure(name, nothing[-1]["host_median"], "mse"))
    if lifted := metrics.get("lifted"):
        name = "fraction of runs that recover after the attack is removed"
        found.append(Measure(name, lifted["back"] / lifted["runs"], "success_rate"))
    if damaged := metrics.get("damaged_at_200"):
        name = f"fraction of wounds of radius {damaged['radius']:g} healed by step 500"
        found.append(Measure(name, damaged["below"] / damaged["runs"], "success_rate"))
    return found


def _digit_base(metrics: dict[str, Any]) -> list[Measure]:
    rows = {row["step"]: row for row in metrics["base"]}
    settled = rows.get(200, metrics["base"][-1])
    last = metrics["base"][-1]
    swapped = metrics["swapped"][-1]
    when = f"at step {settled['step']:,}"
    return [
        Measure(f"digit accuracy {when}", settled["digit_accuracy"], "accuracy"),
        Measure(f"agreement {when}", settled["agreement"], "accuracy"),
        Measure(f"digit accuracy at step {last['step']:,}", last["digit_accuracy"], "accuracy"),
        Measure(
            f"digit accuracy at step {swapped['step']:,}, digits swapped at 200",
            swapped["digit_accuracy"],
            "accuracy",
        ),
    ]


def _digit_attack(metrics: dict[str, Any]) -> list[Measure]:
    under = [row for row in metrics["attack"] if "host_takeover" in row][-1]
    last = metrics["attack"][-1]
    when = f"after {under['step'] - 200:,} steps of attack"
    found = [
        Measure(f"takeover rate {when}", under["takeover"], "accuracy"),
        Measure(f"takeover rate {when}, host cells alone", under["host_takeover"], "accuracy"),
    ]
    if sparse := metrics.get("sparse"):
        name = "takeover rate with 1 % adversaries"
        found.append(Measure(name, sparse[-1]["takeover"], "accuracy"))
    gone = last["step"] - under["step"]
    name = f"digit accuracy {gone:,} steps after the adversaries are removed"
    return [*found, Measure(name, last["digit_accuracy"], "accuracy")]
