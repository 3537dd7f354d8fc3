"""Plots curves as PNG bytes."""

import io
from collections.abc import Sequence


def plot(
    curves: dict,
    xlabel: str,
    ylabel: str,
    log: bool = False,
    spans: Sequence[tuple] = (),
    log_x: bool = False,
) -> bytes:
    """Plots curves as PNG bytes.

    Args:
        curves: Dictionary of ``name: (x, y)``.
        xlabel: Label of the x axis.
        ylabel: Label of the y axis.
        log: Whether y is logarithmic.
        spans: ``(start, end, label)`` of each shaded interval of the x axis.
        log_x: Whether x is logarithmic.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.5, 3.6), layout="constrained")
    axes = figure.subplots()
    for start, end, label in spans:
        axes.axvspan(start, end, color="red", alpha=0.08, label=label)
    for name, (x, y) in curves.items():
        axes.plot(x, y, label=name, linewidth=1.5)
    axes.set(xlabel=xlabel, ylabel=ylabel, yscale="log" if log else "linear")
    if log_x:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper", fontsize="small")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    return buffer.getvalue()
