"""Model cards: one README.md a trained model and one for all, from their JSON files alone.

A card says what ``config.json`` and ``metrics.json`` say. Beside what a job writes, a
``config.json`` may hold what only people know:

- ``earlier_runs``: the parts of the training before the last, each with ``steps`` and, where
  known, ``command``, ``note``, ``seconds``, ``learning_rates`` (``[[until step, rate], …]``);
- ``from_step``: where the last run began to count, if not at 0;
- ``machine``: what ``device`` does not say of the computer;
- ``notes``: sentences.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tfnca.automata.perturbations import KINDS
from tfnca.files import write_atomically
from tfnca.measures.lizard import MEASURED_PADDING
from tfnca.zoo.models import ShippedModel, models
from tfnca.zoo.summary import aim, main_measures, number, pattern, percent
from tfnca.zoo.tables import counts, tables, text_table

GENERATED = "<!-- Written by `make cards` from config.json and metrics.json. -->"


def stale_cards(root: str | os.PathLike[str]) -> Iterator[tuple[Path, str]]:
    """The cards that are missing or do not say what the files beside them say.

    Args:
        root: The folder of trained models.

    Yields:
        ``(path of the README.md, what it should be)``.
    """
    found = models(root)
    cards = {Path(root, model.name, "README.md"): card(model) for model in found}
    cards[Path(root, "README.md")] = index(found)
    for path, text in cards.items():
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            yield path, text


def refresh_cards(root: str | os.PathLike[str]) -> Iterator[Path]:
    """Writes the stale cards anew, and gives their paths."""
    for path, text in stale_cards(root):
        write_atomically(path, text)
        yield path


def card(model: ShippedModel) -> str:
    """The README.md of one model.

    Args:
        model: One of `models`.

    Raises:
        ValueError: If its ``config.json`` or ``metrics.json`` is missing.
    """
    folder = Path(model.path).parent
    for name in ("config.json", "metrics.json"):
        if not (folder / name).is_file():
            raise ValueError(f"A card needs {name} beside its model. Received: {folder}")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    parts = [head(model, config, metrics), f"# {model.name}"]
    if (folder / "preview.png").is_file():
        parts += [f"![{model.name}](preview.png)", f"*{shown(model, config)}.*"]
    parts += [describe(model, config), "## Use", *usage(model, config)]
    parts += ["## Measures", measured_how(model, config, metrics)]
    for caption, columns, rows in tables(metrics):
        parts += [f"{caption}:", text_table(columns, rows)]
    parts += [" ".join(filter(None, [*counts(metrics), _verdict(metrics)]))]
    parts += ["## Training", *training(model, config)]
    parts += ["\n".join(f"- {note}" for note in config.get("notes", []))]
    parts += ["Apache License 2.0."]
    return "\n\n".join(part for part in parts if part) + "\n"


def head(model: ShippedModel, config: dict[str, Any], metrics: dict[str, Any]) -> str:
    """The YAML that the model hubs read."""
    digits = model.layer == "MNISTCA"
    tags = ["tfnca", "neural-cellular-automata", "cellular-automata"]
    tags += ["self-classification"] if digits else ["morphogenesis"]
    if model.kind != "host":
        tags += ["adversarial-reprogramming", model.kind]
    lines = ["---", "license: apache-2.0", "library_name: keras", "tags:"]
    lines += [f"- {tag}" for tag in tags]
    lines += ["datasets:", "- ylecun/mnist"] if digits else []
    lines += ["model-index:", f"- name: {model.name}", "  results:", "  - task:"]
    if digits:
        task, data = "image-classification", "ylecun/mnist"
        about = f"MNIST, first {metrics['digits']:,} test digits"
    else:
        task, data, about = "unconditional-image-generation", "picture", str(config["target"])
    lines += [f"      type: {task}", "    dataset:"]
    lines += [f"      type: {data}", f"      name: {json.dumps(about)}"]
    lines += ["    metrics:"]
    for measure in main_measures(metrics):
        lines += [f"    - type: {measure.kind}", f"      name: {json.dumps(measure.name)}"]
        lines += [f"      value: {measure.value:.6f}"]
    return "\n".join([*lines, "---", GENERATED])


def describe(model: ShippedModel, config: dict[str, Any]) -> str:
    """What the model is, in two sentences."""
    digits = model.layer == "MNISTCA"
    host = f"`{model.host}`" if model.host else ""
    if model.kind == "host" and digits:
        return (
            "A cellular automaton that reads handwritten digits: each cell sees its own pixel and "
            "its eight neighbours, and all cells of a digit come to agree on what it is. Every "
            "cell runs the same small network, and nothing sees the whole digit."
        )
    if model.kind == "host":
        regime = {
            "growing": "It was trained to arrive there, not to stay.",
            "persistent": "It was trained to stay there.",
            "regenerating": "It was trained to stay there, and to mend what is cut out of it.",
        }
        return (
            f"A cellular automaton that grows a {pattern(config)} from one cell: each cell runs "
            f"the same small network and sees only its eight neighbours. {regime[config['regime']]}"
        )
    if model.kind == "adversary":
        what = "digit reader" if digits else f"grown {pattern(config)}"
        aimed = f"call every digit {config['digit']}" if digits else aim(config)
        anywhere = ", also where it is to go" if config.get("among") == "host" else ""
        return (
            f"A rule for a few cells of a {what}, which should make the whole of it {aimed}. The "
            f"automaton under attack, {host}, stays as it is: in {percent(config['density'])} of "
            f"the cells, drawn at random{anywhere}, this rule runs in place of its own."
        )
    (meaning,) = [kind.meaning for kind in KINDS.values() if kind.__name__ == model.layer]
    return (
        f"{meaning[0].upper()}{meaning[1:]} before each step, which should make a "
        f"{pattern(config)} {aim(config)}. The automaton under attack, {host}, stays as it is."
    )


def shown(model: ShippedModel, config: dict[str, Any]) -> str:
    """What a job's ``preview.png`` shows."""
    if model.layer == "MNISTCA":
        if model.kind == "host":
            return "Test digits after 200 steps; the colour of a cell is the digit it says"
        return (
            "Test digits 200 steps after the adversaries (red) came on; the colour of a cell is "
            "the digit it says"
        )
    if model.kind == "host":
        return "The target, and what has grown"
    return (
        "The target, and the grown pattern 0, 100, 300 and 500 steps after the attack began; above "
        "each how far it is from the target"
    )


def usage(model: ShippedModel, config: dict[str, Any]) -> Iterator[str]:
    """How to load the model and run it."""
    name = model.short or model.name
    lines = ["import tfnca", ""]
    if model.kind == "host":
        lines += [f'step = tfnca.load("{name}")']
    elif model.host_ships:
        lines += [f'step = tfnca.load_attack("{name}")  # a frozen {model.host} under attack']
    else:
        lines += [f'host = tfnca.load("{config["host"]}")']
        lines += [f'step = tfnca.load_attack("{name}", host=host)']
    where = "state[..., 0] >= 0"  # every pixel
    if model.layer == "MNISTCA":
        lines += ['state = tfnca.digit_state(tfnca.load_digits("test", count=8).images)']
    else:
        start = "step" if model.kind == "host" else "step.host"
        lines += [f"state = tfnca.rollout({start}, tfnca.seed_state(72), steps=200, seed=0)"]
        where = "tfnca.living_mask(state)[..., 0]"
    if model.kind == "adversary":
        lines += [f"mask = tfnca.random_mask({where}, {config['density']:g}, seed=0)"]
        lines += ["state = tfnca.rollout(step, state, steps=200, mask=mask, seed=1)"]
    elif model.kind == "perturbation" or model.layer == "MNISTCA":
        lines += ["state = tfnca.rollout(step, state, steps=200, seed=1)"]
    if model.layer == "MNISTCA":
        lines += ["said = tfnca.class_logits(state).numpy().argmax(-1)  # what each cell says"]
    else:
        lines += ["picture = tfnca.to_rgb(state)"]
    needs_others = model.host is not None and not model.host_ships
    fence = "```py" if needs_others else "```python"  # the latter runs as it stands
    yield "\n".join([fence, *lines, "```"])
    if needs_others:
        yield (
            f"Its host, `{model.host}`, is one of the article's published files, and so are its "
            "targets; neither is part of this project. In the commands `originals/` holds the "
            "published files, and `targets/` what is in `growing_ca_target_images.zip`."
        )


def measured_how(model: ShippedModel, config: dict[str, Any], metrics: dict[str, Any]) -> str:
    """The command that gives the measures, and what they rest on."""
    command = f"python -m tfnca.measures {Path('saved_models', model.name, Path(model.path).name)}"
    if model.kind != "host":
        host = f"saved_models/{model.host}/model.keras" if model.host_ships else config["host"]
        command += f" --host {host}"
    if model.layer != "MNISTCA" and config["target"] != "lizard":
        command += f" --target {config['target']}"
    if model.layer != "MNISTCA" and config.get("host_target", "lizard") != "lizard":
        command += f" --host-target {config['host_target']}"
    if model.kind == "adversary" and config["density"] != 0.1:
        command += f" --density {config['density']:g}"
    if model.layer == "MNISTCA":
        if metrics["digits"] != 1000:
            command += f" --test-digits {metrics['digits']}"
        on = f"the first {metrics['digits']:,} test digits, {len(metrics['seeds'])} seeds"
    else:
        side = config["size"] + 2 * MEASURED_PADDING
        on = f"{metrics['runs']} runs on {side} by {side} cells; errors are mean squares over RGBA"
    return f"By `{command}`, on {on}."


def _verdict(metrics: dict[str, Any]) -> str:
    """Whether an attack on a pattern is nearer to its target than nothing at all."""
    if "base" in metrics or "attack" in metrics or not metrics.get("host"):
        return ""
    nothing = metrics["host"][-1]["median"]
    rows = metrics["from_grown"]
    worse = [f"{row['step']:,}" for row in rows if row["median"] >= nothing]
    if not worse:
        return "The attack is nearer to its target than the host alone at every step measured."
    return (
        f"At step {', '.join(worse)} the attack is no nearer to its target than the host alone "
        f"({number(nothing, 'mse')})."
    )


def training(model: ShippedModel, config: dict[str, Any]) -> Iterator[str]:
    """What it took, by which commands."""
    earlier = config.get("earlier_runs", [])
    own = config["steps"] - config.get("from_step", 0)
    steps = own + sum(run["steps"] for run in earlier)
    seconds = config["seconds"] + sum(run.get("seconds", 0) for run in earlier)
    cost = f"{seconds / 60:.0f} minutes" if seconds > 120 else f"{seconds:.0f} seconds"
    if any("seconds" not in run for run in earlier):
        cost += " for the last part alone"
    machine = f", {config['machine']}" if "machine" in config else ""
    source = f" Data: {config['source']}." if "source" in config else ""
    yield f"{steps:,} steps, {cost}, on {config['device']}{machine}, seed {config['seed']}.{source}"
    if earlier:
        yield "In parts, so that no single command gives these weights:"
        last = f"{own:,} steps: {_rates(_schedule(config))}; by this command:"
        parts = [*map(_part, earlier), last]
        yield "\n".join(f"{number}. {part}" for number, part in enumerate(parts, 1))
    else:
        yield f"Learning rate {_rates(_schedule(config))}."
    yield f"```sh\n{config['command']}\n```"


def _part(run: dict[str, Any]) -> str:
    text = f"{run['steps']:,} steps"
    if "seconds" in run:
        text += f" in {run['seconds'] / 60:.0f} minutes"
    said = [run["note"]] if "note" in run else []
    said += [_rates(run["learning_rates"])] if "learning_rates" in run else []
    said += [f"`{run['command']}`"] if "command" in run else []
    return f"{text}: {'; '.join(said)}" if said else text


def _schedule(config: dict[str, Any]) -> list[list[float]]:
    """The last run's learning rates, ``[[until step, rate], …]``."""
    fractions = [float(part) for part in config["drops"].split(",") if part]
    stops = [round(fraction * config["steps"]) for fraction in fractions] + [config["steps"]]
    return [[stop, config["learning_rate"] * 0.1**i] for i, stop in enumerate(stops)]


def _rates(schedule: list[list[float]]) -> str:
    return ", ".join(f"{_rate(rate)} to step {stop:,.0f}" for stop, rate in schedule)


def _rate(rate: float) -> str:
    """``"2e-3"``."""
    digits, exponent = f"{rate:.2e}".split("e")
    return f"{float(digits):g}e{int(exponent)}"


def index(found: list[ShippedModel]) -> str:
    """The README.md over all models."""
    groups = {
        "Hosts": [model for model in found if model.kind == "host"],
        "Attacks": [model for model in found if model.kind != "host" and model.host_ships],
        "Attacks on hosts that do not ship": [
            model for model in found if model.host and not model.host_ships
        ],
    }
    parts = [GENERATED, "# Trained models", INTRODUCTION]
    for title, group in groups.items():
        if group:
            rows = [_row(model) for model in group]
            parts += [f"## {title}", text_table(["", "model", "what it is", "main measure"], rows)]
    return "\n\n".join(parts) + "\n"


INTRODUCTION = """\
Each folder holds `model.keras` or `perturbation.npy`, its card, `config.json` (settings, command,
seconds, device), `metrics.json` (the measures of `tfnca.measures`, with seeds and numbers of runs)
and `history.csv`; most also `preview.png` and the exports `saved_model/` and `tfjs/`
([how to use them](../docs/export.md)). An adversary's file holds the adversary alone; the SHA-256
of its host's weights stands in its `config.json`. All under the Apache License 2.0.

```python
import tfnca

print(tfnca.models())  # what ships
host = tfnca.load("growing_lizard")
step = tfnca.load_attack("no_tail")  # the perturbation on its host, ready to run
```

What is in brackets is a shorter name that does as well. *Error*: mean square over RGBA, the median
of the runs."""


def _row(model: ShippedModel) -> list[str]:
    folder = Path(model.path).parent
    picture = ""
    if (folder / "preview.png").is_file():
        picture = f'<img src="{model.name}/preview.png" width="240" alt="{model.name}">'
    short = f" ({model.short})" if model.short else ""
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    measures = main_measures(metrics)
    said = str(measures[0])
    for nothing in measures:  # an adversary that paints itself proves nothing: its host's cells too
        if nothing.name.endswith("error of doing nothing"):
            own = nothing.name.startswith("host")
            said += f"; {next(m for m in measures if m.name.startswith('host'))}" if own else ""
            said += f" (doing nothing: {number(nothing.value, 'mse')})"
    return [picture, f"[`{model.name}`]({model.name}/README.md){short}", model.line, said]
