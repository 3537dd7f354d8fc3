"""Model cards: one README.md a trained model and one for all, from their JSON files alone.

A card repeats ``config.json`` and ``metrics.json``. A job writes most of ``config.json``; a person
may add:

- ``earlier_runs``: the parts of the training before the last, each with ``steps`` and, where
  known, ``command``, ``note``, ``seconds``, ``learning_rates`` (``[[until step, rate], …]``);
- ``from_step``: where the last run began to count, if not at 0;
- ``sha256``: of the weights, where the model's recipe made them (`train/models.py --ship`);
- ``machine``: more about the computer than ``device`` says;
- ``notes``: sentences.
"""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tfnca.automata.perturbations import KINDS
from tfnca.deprecated import ARGUMENTS, flag
from tfnca.files import write_atomically
from tfnca.formats.settings import spreads
from tfnca.measures.lizard import MEASURED_PADDING
from tfnca.zoo.models import ShippedModel, models
from tfnca.zoo.recipes import RECIPES
from tfnca.zoo.summary import aim, first_cells, main_measures, number, pattern, percent
from tfnca.zoo.tables import counts, tables, text_table

GENERATED = "<!-- Written by `make cards` from config.json and metrics.json. -->"


def stale_cards(root: str | os.PathLike[str]) -> Iterator[tuple[Path, str]]:
    """The cards that are missing or differ from the files that they describe.

    Yields ``(path of the README.md, what it should be)``.
    """
    found = models(root)
    cards = {Path(root, model.name, "README.md"): card(model) for model in found}
    cards[Path(root, "README.md")] = index(found)
    for path, text in cards.items():
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            yield path, text


def refresh_cards(root: str | os.PathLike[str]) -> Iterator[Path]:
    """Writes the stale cards and yields their paths."""
    for path, text in stale_cards(root):
        write_atomically(path, text)
        yield path


def card(model: ShippedModel) -> str:
    """The README.md of one model; raises ValueError if a JSON file of its training is missing."""
    folder = Path(model.path).parent
    for name in ("config.json", "metrics.json"):
        if not (folder / name).is_file():
            raise ValueError(f"A card needs {name} in its model's folder. Received: {folder}")
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
    return current_options("\n\n".join(part for part in parts if part) + "\n")


def current_options(text: str) -> str:
    """Commands with the present names of their options; ``config.json`` keeps the old names."""
    for old, new in ARGUMENTS.items():
        text = re.sub(rf"(?<!\S){flag(old)}(?=[ =])", flag(new), text)
    return text


def head(model: ShippedModel, config: dict[str, Any], metrics: dict[str, Any]) -> str:
    """The YAML that the model hubs read."""
    digits = model.of_digits
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
    digits = model.of_digits
    host = f"`{model.host}`" if model.host else ""
    if model.kind == "host" and digits:
        return (
            "A cellular automaton that classifies handwritten digits. All cells run the same small "
            "network. Each cell sees its own pixel and its eight neighbours, and never the whole "
            "digit, yet nearly all cells of a digit come to agree on its class."
        )
    if model.kind == "host":
        regime = {
            "growing": "It was trained to grow the pattern, not to keep it.",
            "persistent": "It was trained to keep the pattern.",
            "regenerating": "It was trained to keep the pattern and to heal wounds.",
        }
        return (
            f"A cellular automaton that grows a {pattern(config)} from one cell. All cells run the "
            "same small network, and each sees only its eight neighbours. "
            f"{regime[config['regime']]}"
        )
    if spreads(config):
        return (
            f"A rule for adversaries that spread in a grown lizard, to make it {aim(config)}. They "
            f"begin with {first_cells(config)}, and compete with the host, {host}, for the "
            "others: a cell belongs to the species with the larger alpha. The host's rule is "
            "unchanged."
        )
    if model.kind == "adversary":
        among = config.get("region", config.get("among"))
        what = "digit" if digits else f"grown {pattern(config)}"
        aimed = f"choose the class {config['digit']}" if digits else aim(config)
        anywhere = ", including the part that is to disappear" if among == "host" else ""
        return (
            f"A rule for adversaries in a {what}, which aim to make the whole of it {aimed}. In "
            f"{percent(config['density'])} of the cells, drawn at random{anywhere}, it replaces "
            f"the rule of the host, {host}. The host itself is unchanged."
        )
    (meaning,) = [kind.meaning for kind in KINDS.values() if kind.__name__ == model.layer]
    return (
        f"{meaning[0].upper()}{meaning[1:]} before each step. It makes a {pattern(config)} "
        f"{aim(config)}. The host, {host}, is unchanged."
    )


def shown(model: ShippedModel, config: dict[str, Any]) -> str:
    """The caption of a job's ``preview.png``."""
    if model.of_digits:
        if model.kind == "host":
            return "Test digits after 200 steps; the colour of a cell is the class it has chosen"
        return (
            "Test digits 200 steps after the adversaries (red) appeared; the colour of a cell is "
            "the class it has chosen"
        )
    if model.kind == "host":
        return "The target, and the grown pattern"
    if spreads(config):
        return (
            "The target, and the lizard 0, 60, 120 and 500 steps after the invasion, each with its "
            "MSE and the fraction of the cells that adversaries have"
        )
    return (
        "The target, and the grown pattern 0, 100, 300 and 500 steps after the attack began, each "
        "with its MSE"
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
    if model.of_digits:
        lines += ['state = tfnca.digit_state(tfnca.load_digits("test", count=8).images)']
    else:
        start = "step" if model.kind == "host" else "step.host"
        lines += [f"state = tfnca.rollout({start}, tfnca.seed_state(72), steps=200, seed=0)"]
        where = "tfnca.living_mask(state)[..., 0]"
    if spreads(config):
        lines += [f"cells = {where}"]
        lines += [f"state = step.invade(state, {_placed(config)})"]
        lines += ["state = tfnca.rollout(step, state, steps=500, seed=1)"]
    elif model.kind == "adversary":
        lines += [f"mask = tfnca.random_mask({where}, {config['density']:g}, seed=0)"]
        lines += ["state = tfnca.rollout(step, state, steps=200, mask=mask, seed=1)"]
    elif model.kind == "perturbation" or model.of_digits:
        lines += ["state = tfnca.rollout(step, state, steps=200, seed=1)"]
    if model.of_digits:
        lines += ["chosen = tfnca.class_logits(state).numpy().argmax(-1)  # the class of each cell"]
    else:
        picture = "step.seen(state)" if spreads(config) else "state"
        lines += [f"picture = tfnca.to_rgb({picture})"]
    needs_others = model.host is not None and not model.host_ships
    fence = "```py" if needs_others else "```python"  # the tests run the latter
    yield "\n".join([fence, *lines, "```"])
    if needs_others:
        yield (
            f"Its host, `{model.host}`, and its targets are files of the article and not part of "
            "this project ([how to get them](../../../docs/guides/formats.md#the-articles-files)). "
            "In the commands, `originals/` is the folder with these files, and `targets/` contains "
            "the unpacked `growing_ca_target_images.zip`."
        )


def _placed(config: dict[str, Any]) -> str:
    """The first cells of an adversary that spreads, as an expression."""
    if config["spray"] is None:
        return f"tfnca.random_patch(cells, {config['patch']}, seed=0)"
    return f"tfnca.random_mask(cells, {config['spray']:g}, seed=0)"


def measured_how(model: ShippedModel, config: dict[str, Any], metrics: dict[str, Any]) -> str:
    """The command that measures the model, and the sample."""
    command = f"tfnca measure {Path('saved_models', model.name, Path(model.path).name)}"
    if model.kind != "host":
        host = f"saved_models/{model.host}/model.keras" if model.host_ships else config["host"]
        command += f" --host {host}"
    if not model.of_digits and config["target"] != "lizard":
        command += f" --target {config['target']}"
    if not model.of_digits and config.get("host_target", "lizard") != "lizard":
        command += f" --host-target {config['host_target']}"
    if model.kind == "adversary" and config.get("density", 0.1) != 0.1:
        command += f" --density {config['density']:g}"
    if model.of_digits:
        if metrics["digits"] != 1000:
            command += f" --test-digits {metrics['digits']}"
        on = f"the first {metrics['digits']:,} test digits, {len(metrics['seeds'])} seeds"
    else:
        spreading = spreads(config)
        runs = len(metrics["invasion"][0]["share"]) if spreading else metrics["runs"]
        side = config["size"] + 2 * (config["padding"] if spreading else MEASURED_PADDING)
        on = f"{runs} runs on {side} by {side} cells (MSE: mean squared error over RGBA)"
    return f"Measured by `{command}` on {on}."


def _verdict(metrics: dict[str, Any]) -> str:
    """Whether an attack on a pattern is closer to its target than the baseline."""
    if "base" in metrics or "attack" in metrics or not metrics.get("host"):
        return ""
    nothing = metrics["host"][-1]["median"]
    rows = metrics["from_grown"]
    worse = [f"{row['step']:,}" for row in rows if row["median"] >= nothing]
    if not worse:
        return "At every step measured, the attack is closer to its target than the baseline."
    return (
        f"At step {', '.join(worse)} the attack is no closer to its target than the baseline "
        f"({number(nothing, 'mse')})."
    )


def training(model: ShippedModel, config: dict[str, Any]) -> Iterator[str]:
    """The effort and the commands."""
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
    if "sha256" in config:
        yield f"SHA-256 of the weights: `{config['sha256']}`."
    if earlier:
        yield "The model was trained in parts, so no single command gives these weights:"
        last = f"{own:,} steps: {_rates(_schedule(config))}, with this command:"
        parts = [*map(_part, earlier), last]
        yield "\n".join(f"{number}. {part}" for number, part in enumerate(parts, 1))
    else:
        yield f"Learning rate {_rates(_schedule(config))}."
    yield f"```sh\n{config['command']}\n```"
    yield from _recipe(model.name, made_by_it="sha256" in config)


def _recipe(name: str, made_by_it: bool) -> Iterator[str]:
    """How to make the model again."""
    if name not in RECIPES:
        return
    others = ", ".join(f"`{needed}`" for needed in RECIPES[name].needs)
    start = f"from {others}" if others else "from nothing"
    data = " --data-dir IDX" if RECIPES[name].needs_data else ""
    command = f"`python train/models.py --only {name}{data}`"
    if made_by_it:
        yield (
            f"{command} makes this model {start} in about {RECIPES[name].minutes} minutes. On the "
            "same machine it gives exactly these weights, and on another machine weights with "
            "similar measures."
        )
    else:
        yield (
            f"{command} is a recipe for a similar model {start}, in one run. These weights are "
            "older, and the recipe has not been run to its end."
        )


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


WHY = {
    "Attacks on the article's lizard": [
        "These attacks need the article's lizard, which is [not part of this "
        "project](../docs/guides/formats.md#the-articles-files). They are here so that you can "
        "compare our training with the article's on the same host."
    ]
}
"""What to say about a group of models before its table."""


def index(found: list[ShippedModel]) -> str:
    """The README.md over all models."""
    groups = {
        "Hosts": [model for model in found if model.kind == "host"],
        "Attacks": [model for model in found if model.kind != "host" and model.host_ships],
        "Attacks on the article's lizard": [
            model for model in found if model.host and not model.host_ships
        ],
    }
    parts = [GENERATED, "# Trained models", INTRODUCTION]
    for title, group in groups.items():
        if group:
            rows = [_row(model) for model in group]
            parts += [
                f"## {title}",
                *WHY.get(title, []),
                text_table(["", "model", "what it is", "main measure"], rows),
            ]
    return "\n\n".join(parts) + "\n"


INTRODUCTION = """\
These models are bundled with tfnca. Load a host or an attack by its name, or by the shorter name in
brackets:

```python
import tfnca

print(tfnca.models())
host = tfnca.load("growing_lizard")
step = tfnca.load_attack("no_tail")  # the perturbation on its host, ready to run
```

Each folder contains `model.keras` or `perturbation.npy`, a card, `config.json` (settings, command,
time, device and the host's checksum), `metrics.json` (measures, with seeds and numbers of runs)
and `history.csv`. Most also contain a preview and [exports](../docs/guides/export.md) for
TensorFlow and TensorFlow.js. An attack's file does not contain its host. All models are under the
Apache License 2.0.

*MSE* is the mean squared error over red, green, blue and alpha, the median of the runs. The
*baseline* is the MSE of the host without an attack."""


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
        if nothing.name.endswith("baseline MSE"):
            own = nothing.name.startswith("host")
            said += f"; {next(m for m in measures if m.name.startswith('host'))}" if own else ""
            said += f" (baseline {number(nothing.value, 'mse')})"
    return [picture, f"[`{model.name}`]({model.name}/README.md){short}", model.line, said]
