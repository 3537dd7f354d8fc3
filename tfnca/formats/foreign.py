"""From the arrays of another project's file to a CA, by a convention or a rule."""

from collections.abc import Mapping

import numpy as np

from tfnca.automata.step import CellularAutomaton
from tfnca.formats.archive import some
from tfnca.formats.build import build_ca
from tfnca.formats.conventions import (
    ARTICLES,
    CONVENTIONS,
    ROW_ORDERS,
    DoesNotFitError,
    make,
    make_by_rule,
)
from tfnca.formats.layout import Layout, layouts
from tfnca.formats.readers.base import Source
from tfnca.formats.tensors import arrange, is_beside


def build_foreign(
    source: Source, arrays: Mapping[str, np.ndarray], convention: str | None = None
) -> dict[str, CellularAutomaton]:
    """Builds the CA of a file that does not tell with which rule it was trained: ``{"": the CA}``.

    The convention is that of the format, if it has one. The result is empty if the file contains no
    weights.

    Raises:
        ValueError: If no rule fits, or if several fit and the caller named none.
    """
    where = source.where
    source.arrays.update(arrays)
    if not any(array.ndim and not is_beside(name) for name, array in arrays.items()):
        return {}
    if source.rule is not None:
        return {"": _by_rule(source, source.rule, list(layouts(where, arrays)))}
    name = source.convention or convention
    if name in ARTICLES:
        tensors = arrange(where, arrays)
        if (len(tensors) == 6) != (name == "digits"):
            raise _misfit(source, name, [f"{len(tensors)} tensors"])
        return {"": build_ca(where, tensors, ROW_ORDERS.get(name, "channel"))}
    fitting: dict[str, CellularAutomaton] = {}
    reasons: list[str] = []
    for layout in layouts(where, arrays):
        for other in [name] if name else CONVENTIONS:
            try:
                fitting.setdefault(other, make(CONVENTIONS[other], layout))
            except DoesNotFitError as error:
                reasons.append(str(error))
    if len(fitting) == 1:
        return {"": fitting.popitem()[1]}
    if name:
        raise _misfit(source, name, reasons)
    if not fitting:
        try:
            arrange(where, arrays)
        except ValueError as error:
            raise ValueError(
                f"{error}. For a rule with other layers, give rule=tfnca.NeuralCA(...)"
            ) from None
    raise ValueError(
        f"{where} fits several rules, because shapes alone do not distinguish them. Name the rule "
        "that it was trained with, or run `tfnca identify` on it to see each of them. "
        + "; ".join(f"convention={each!r}: {CONVENTIONS[each].about}" for each in fitting)
        + f"; or rule=tfnca.NeuralCA(...). Received: convention={source.convention!r}, rule=None"
    )


def _by_rule(
    source: Source, rule: CellularAutomaton, candidates: list[Layout]
) -> CellularAutomaton:
    reasons = []
    for layout in candidates:
        try:
            return make_by_rule(rule, layout)
        except DoesNotFitError as error:
            reasons.append(str(error))
    raise _misfit(source, f"rule={rule.name}", reasons)


def _misfit(source: Source, name: str, reasons: list[str]) -> ValueError:
    return ValueError(
        f"{source.where} does not have the layers of {name}. "
        f"Received: {some(dict.fromkeys(reasons)) if reasons else 'other layers'}"
    )
