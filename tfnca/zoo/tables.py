"""Measures as small tables."""

from statistics import median
from typing import Any

from tfnca.zoo.summary import number

Table = tuple[str, list[str], list[list[str]]]
"""Caption, columns, rows."""

CAPTIONS = {
    "base": "Without an attack",
    "swapped": "Every digit swapped for another at step 200",
    "attack": "Adversaries from step 200 to step 400",
    "sparse": "1 % adversaries from the start",
    "host": "Baseline (the host without an attack, compared with the target)",
    "from_seed": "From the seed",
    "from_grown": "From the grown pattern",
}
"""Captions of the entries of ``metrics.json`` that are rows with a ``step``."""

INVASIONS = {
    "invasion": "Steps after the invasion; fraction of the cells: median (lowest to highest)",
    "host_alone": "Baseline (the host without an attack, compared with the target)",
}
"""Those of entries whose rows have one value per run."""

COLUMNS = {
    "step": "step",
    "digit_accuracy": "digit accuracy",
    "cell_accuracy": "cell accuracy",
    "agreement": "agreement",
    "takeover": "takeover rate",
    "host_takeover": "takeover rate, host cells alone",
    "median": "median MSE",
    "mean": "mean",
    "worst": "worst",
    "shifted_median": "median after the best shift",
    "host_median": "host's own cells: median",
    "host_worst": "host's own cells: worst",
    "dead": "died",
}


def tables(metrics: dict[str, Any]) -> list[Table]:
    """The measures in a ``metrics.json`` of any kind of model."""
    found: list[Table] = []
    for key, caption in CAPTIONS.items():
        rows = metrics.get(key) or []
        if key == "attack":  # of every tenth step, only the ends of the three phases
            rows = [row for row in rows if row["step"] % 200 == 0]
        columns = [name for name in COLUMNS if any(name in row for row in rows)]
        if key in ("base", "swapped"):
            columns = [name for name in columns if name != "takeover"]
        if rows:
            cells = [[_cell(row, name) for name in columns] for row in rows]
            found.append((caption, [COLUMNS[name] for name in columns], cells))
    for key, caption in INVASIONS.items():
        if rows := metrics.get(key):
            found.append(
                (
                    caption,
                    ["step", "adversaries", "red minus green", "MSE"],
                    [
                        [
                            f"{row['step']:,}",
                            _range(row["share"], 2),
                            _range(row["red"], 2),
                            f"{_error(median(row['error']))}, worst {_error(max(row['error']))}",
                        ]
                        for row in rows
                    ],
                )
            )
    if left := metrics.get("left"):
        what = f"Mean alpha of the part that the attack removes, {left['runs']} runs"
        rows = [
            [f"{row['step']:,}", number(row["alpha"]), number(row["alpha_worst"])]
            for row in left["rows"]
        ]
        found.append((what, ["step", "median", "worst"], rows))
    if damaged := metrics.get("damaged_at_200"):
        when = f"A circle of radius {damaged['radius']:g} cut out at step 200"
        rows = [
            [name, *(_error(damaged[name][key]) for key in ("median", "worst"))]
            for name in ("damaged", "repaired")
        ]
        found.append((when, ["", "median MSE", "worst"], rows))
    return found


def counts(metrics: dict[str, Any]) -> list[str]:
    """The measures that are best said in a sentence."""
    found = []
    if "mean_square_of_target" in metrics:
        found.append(f"An empty grid has an MSE of {_error(metrics['mean_square_of_target'])}.")
    if damaged := metrics.get("damaged_at_200"):
        found.append(
            f"{damaged['below']} of {damaged['runs']} such wounds have healed by step 500, which "
            "means that the MSE is below 0.0005."
        )
    if lifted := metrics.get("lifted"):
        found.append(
            "After 500 steps with the attack and 500 without, the pattern has recovered in "
            f"{lifted['back']} of {lifted['runs']} runs."
        )
    if metrics.get("steps_to_flip") is not None:
        found.append(
            f"Half of the digits are misclassified {metrics['steps_to_flip']} steps after the "
            "adversaries appear."
        )
    return found


def text_table(columns: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(row: dict[str, Any], name: str) -> str:
    value = row.get(name)
    if value is None:
        return ""
    if name in ("step", "dead"):
        return f"{value:,}"
    if f"{name}_sd" in row:
        return f"{number(value)} ± {row[f'{name}_sd']:.3f}"
    return _error(value)


def _range(values: list[float], decimals: int) -> str:
    low, middle, high = (f"{f(values):.{decimals}f}" for f in (min, median, max))
    return f"{middle} ({low} to {high})"


def _error(value: float) -> str:
    return number(value, "mse")
