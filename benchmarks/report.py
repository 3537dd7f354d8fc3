"""The report of `bench.py`: tables, plots, and whether its targets are met."""

import io
import math

from matplotlib.figure import Figure
from worker import ENGINES

from tfnca.plots import plot

PUBLISHED_HERE = {"growing_72": 1.7, "injection_72": 2.6, "injection_104": 5.3,
                  "perturbation_72": 1.1, "perturbation_104": 2.3,
                  "mnist_adversary": 0.34}  # fmt: skip
"""Seconds of `published` on two cores when the project began. It must not become slower."""
TARGETS = {"growing_72": 5, "injection_72": 9, "injection_104": 17, "perturbation_72": 4,
           "perturbation_104": 8, "mnist_adversary": 7}  # fmt: skip
"""Required speed-up of the sparse engine compared with `published`."""


def number(value, digits=2):
    return "-" if value is None else f"{value:.{digits}f}" if value >= 0.1 else f"{value:.2g}"


def table(header, rows):
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"


def report(results):
    """The report as Markdown."""
    machine, training = results["machine"], results["train_step"]
    rates = ", ".join(f"{k} {v / 1e9:.0f}" for k, v in machine["product_rates"].items())
    parts = [
        "# Benchmarks",
        f"{machine['cpu']}, {machine['cores']} cores"
        + (f"; {machine['gpu']} for all engines except sparse" if "gpu" in machine else "")
        + f"; load {machine['load']} when started. "
        + ", ".join(f"{name} {version}" for name, version in results["versions"].items())
        + ".",
    ]
    if rates:
        parts.append(f"Products [4000, 48] → 128 → 16, GFLOP/s: {rates}.")
    if training:
        engines = [e for e in ENGINES if any(r.get(f"{e}_s") for r in training.values())]
        header = ["seconds per training step", *engines]
        header += ["over published", "over best peer", "floor", "above floor"]
        rows = [
            [
                name,
                *(number(r.get(f"{e}_s"), 3) for e in engines),
                number(r["ratio_published"], 1),
                number(r["ratio_best_peer"], 1),
                number(r["floor_s"], 3),
                number(r["above_floor"], 1),
            ]
            for name, r in training.items()
        ]
        parts += [table(header, rows), "![](training.png)"]
        rows = [
            [name, *(number(r["peak_rss_mb"].get(e), 0) for e in engines)]
            for name, r in training.items()
        ]
        parts.append(table(["MB more than before the first step", *engines], rows))
        left_out = {e: why for r in training.values() for e, why in r["left_out"].items()}
        parts += [f"Left out: {engine} ({why})." for engine, why in left_out.items()]
    for part in ("rollout", "scaling"):
        rows = [
            [name, e, number(r["step_ms"], 2), r["steps"], number(r["total_s"])]
            for name, engines in results[part].items()
            for e, r in engines.items()
        ]
        if rows:
            parts.append(table([part, "engine", "ms per step", "steps", "seconds"], rows))
    if len(results["scaling"]) > 1:
        parts.append("![](scaling.png)")
    if results["targets"]:
        rows = [
            [t["what"], t["target"], number(t["reached"]), "yes" if t["met"] else "**no**"]
            for t in results["targets"]
        ]
        parts.append(table(["what", "target", "reached", "met"], rows))
    parts += [f"**Error**: {error}" for error in results["errors"]]
    return "\n\n".join(parts) + "\n"


def targets(results):
    """The engine's targets, and whether it reaches them."""
    training, found = results["train_step"], []

    def add(what, reached, bound, at_least=True):
        if reached is not None:
            met = reached >= bound if at_least else reached <= bound
            sign = "≥" if at_least else "≤"
            found.append(
                {"what": what, "target": f"{sign} {bound:g}", "reached": reached, "met": met}
            )

    for name, bound in TARGETS.items():
        if name in training:
            add(f"{name} over published", training[name]["ratio_published"], bound)
    if "growing_72" in training:
        add("growing_72 over best peer", training["growing_72"]["ratio_best_peer"], 5)
    for name, result in training.items():
        add(f"{name} above the floor", result["above_floor"], 4, at_least=False)
    rss = training.get("injection_104", {}).get("peak_rss_mb", {})
    if "published" in rss and "sparse" in rss:
        share = rss["sparse"] / rss["published"]
        add("injection_104 memory against published", share, 0.33, at_least=False)
    scaling = {n: r["sparse"]["step_ms"] for n, r in results["scaling"].items() if "sparse" in r}
    if "grid_512" in scaling:
        add("lizard on 512² against 72²", scaling["grid_512"] / scaling["grid_72"], 1.5, False)
    if "digits_10000" in results["rollout"]:
        seconds = results["rollout"]["digits_10000"]["sparse"]["total_s"]
        add("10,000 digits, seconds", seconds, 75, False)
    slower = [
        math.log(r["published_s"] / PUBLISHED_HERE[n])
        for n, r in training.items()
        if r.get("published_s")
    ]
    if len(slower) > 1:  # allows one common factor for the machine
        off = max(abs(x - sum(slower) / len(slower)) for x in slower)
        add("published against its first measurement, largest factor", math.exp(off), 1.25, False)
    return found


def training_plot(training):
    """Bars of seconds per training step, as a PNG file's bytes."""
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    engines = [e for e in ENGINES if any(r.get(f"{e}_s") for r in training.values())]
    for i, engine in enumerate(engines):
        bars = [(k, r[f"{engine}_s"]) for k, r in enumerate(training.values()) if r[f"{engine}_s"]]
        width = 0.8 / len(engines)
        axes.bar(
            [k + i * width - 0.4 + width / 2 for k, _ in bars],
            [s for _, s in bars],
            width,
            label=engine,
        )
    axes.set_xticks(range(len(training)), list(training), rotation=15)
    axes.set(ylabel="seconds per training step", yscale="log")
    axes.legend()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    return buffer.getvalue()


def scaling_plot(scaling):
    """Time per step against the side of the grid, as a PNG file's bytes."""
    curves = {}
    for engine in ("dense", "sparse"):
        points = [
            (int(name.split("_")[1]), engines[engine]["step_ms"])
            for name, engines in scaling.items()
            if name.startswith("grid") and engine in engines
        ]
        curves[engine] = tuple(zip(*points, strict=True)) or ((), ())
    return plot(curves, "side of the grid, one lizard on it", "ms per step", log=True)
