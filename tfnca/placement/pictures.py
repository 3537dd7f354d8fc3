"""Pictures of placement: influence maps, and takeover rate against number of adversaries."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfnca.placement.influence import InfluenceMap
from tfnca.placement.search import Placement


def draw_maps(
    images: np.ndarray,
    labels: Sequence[Any] | np.ndarray,
    maps: Sequence[InfluenceMap],
    placements: Sequence[Placement] = (),
    target: int | str = 8,
    columns: int = 5,
) -> bytes:
    """Draws influence maps, the effect of one adversary at each cell, as PNG bytes.

    The images are ``(count, height, width)``, the labels the names of the items. The cells in
    `placements` are marked with a ring, by default each map's best cell. The target is the class of
    the adversaries, or the name of another goal.
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
        limits = (0, 100) if isinstance(target, int) else (None, None)
        shown = axis.imshow(values, cmap="YlGnBu", vmin=limits[0], vmax=limits[1])
        best = np.nanmax(values) if len(found.cells) else 0
        axis.set_title(f"{labels[number]}: best cell {best:.0f} %", fontsize=11)
        # A slice, because a digit without living cells has no strongest cell.
        strongest = found.cells[np.argsort(-found.outcome.value, kind="stable")[:1]]
        row, column = np.divmod(placements[number] if placements else strongest, found.shape[1])
        axis.plot(column, row, "o", markersize=9, markeredgewidth=2,
                  markeredgecolor="#d81b60", markerfacecolor="none")  # fmt: skip
    if shown is not None:
        bar = figure.colorbar(shown, ax=axes, shrink=0.7)
        digits = isinstance(target, int)
        bar.set_label(f"host cells {'that choose' if digits else 'right by'} {target}, %")
    return _png(figure)


def draw_curves(rows: Sequence[dict[str, Any]]) -> bytes:
    """Draws takeover rate against number of adversaries, a line per method, as PNG bytes.

    The rows are the ``curves`` of `study_placement`. The line of a method that was tried on only
    some of the digits is dashed.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.5, 4.2), layout="constrained")
    axes = figure.subplots()
    most = {row["method"]: 0 for row in rows}
    for row in rows:
        most[row["method"]] = max(most[row["method"]], row["digits"])
    shown = {
        method: sorted((r["budget"], r["takeover"], r["ci"]) for r in rows
                       if (r["method"], r["digits"]) == (method, most[method]))
        for method in most
    }  # fmt: skip
    for method in sorted(shown, key=lambda name: shown[name][0][1], reverse=True):
        budgets, rates, half = 100 * np.array(shown[method]).T
        dashed = most[method] < max(most.values())
        label = f"{method} ({most[method]} digits)" if dashed else method
        axes.errorbar(budgets / 100, rates, yerr=half, marker="o", markersize=4, capsize=2,
                      linestyle="--" if dashed else "-", label=label)  # fmt: skip
    budgets = sorted({row["budget"] for row in rows})
    axes.set_xscale("log")
    axes.set_xticks(budgets, [str(budget) for budget in budgets])
    axes.minorticks_off()
    axes.set(xlabel="adversaries per digit", ylabel="takeover rate, %", ylim=(0, 104))
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper", fontsize="small")
    return _png(figure)


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    return buffer.getvalue()
