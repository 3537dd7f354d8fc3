"""Pictures of placement: influence maps, and takeover against the number of adversaries."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfnca.placement.influence import InfluenceMap
from tfnca.placement.search import Placement


def draw_maps(
    images: np.ndarray,
    labels: np.ndarray,
    maps: Sequence[InfluenceMap],
    placements: Sequence[Placement] = (),
    target: int = 8,
    columns: int = 5,
) -> bytes:
    """Influence maps as a PNG file's bytes: where one adversary would persuade the digit.

    Args:
        images: Digits ``(count, height, width)``.
        labels: Their classes.
        maps: One for each.
        placements: Cells to number in each, the first chosen first.
        target: The class that the adversary argues for.
        columns: Digits in a row.
    """
    from matplotlib.figure import Figure

    rows = -(-len(maps) // columns)
    figure = Figure(figsize=(2.1 * columns + 0.9, 2.25 * rows + 0.3), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    shown = None
    for number, (axis, found) in enumerate(zip(axes.flat, maps, strict=False)):
        values = 100 * found.picture(found.outcome.value)
        shown = axis.imshow(values, cmap="inferno_r", vmin=0, vmax=100)
        best = np.nanmax(values) if len(found.cells) else 0
        axis.set_title(f"a {labels[number]}: best cell {best:.0f} %", fontsize=10)
        for place, cell in enumerate(placements[number] if placements else (), 1):
            row, column = divmod(int(cell), found.shape[1])
            axis.text(column, row, str(place), color="dodgerblue", fontsize=9, weight="bold",
                      ha="center", va="center")  # fmt: skip
    if shown is not None:
        bar = figure.colorbar(shown, ax=axes, shrink=0.7)
        bar.set_label(f"cells that say {target} after one adversary there, %")
    return _png(figure)


def draw_curves(rows: Sequence[dict[str, Any]]) -> bytes:
    """Takeover against the number of adversaries, a line a method, as a PNG file's bytes.

    Args:
        rows: Those of ``curves`` that `study_placement` gives, of one number of digits.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.5, 4.2), layout="constrained")
    axes = figure.subplots()
    methods = dict.fromkeys(row["method"] for row in rows)
    last = {m: max((r["budget"], r["takeover"]) for r in rows if r["method"] == m)[1]
            for m in methods}  # fmt: skip
    for method in sorted(methods, key=last.__getitem__, reverse=True):
        own = sorted((row for row in rows if row["method"] == method), key=lambda r: r["budget"])
        budgets = [row["budget"] for row in own]
        shares = 100 * np.array([row["takeover"] for row in own])
        half = 100 * np.array([row["ci"] for row in own])
        (line,) = axes.plot(budgets, shares, marker="o", markersize=4, label=method)
        axes.fill_between(budgets, shares - half, shares + half, alpha=0.12, color=line.get_color())
    budgets = sorted({row["budget"] for row in rows})
    axes.set_xscale("log")
    axes.set_xticks(budgets, [str(budget) for budget in budgets])
    axes.minorticks_off()
    axes.set(xlabel="adversaries in the digit", ylabel="digits taken, %", ylim=(0, 100))
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper", fontsize="small")
    return _png(figure)


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    return buffer.getvalue()
