"""Writes a one-page report on a trained adversary of digits."""

if __name__ == "__main__":  # before TensorFlow loads, so that --help answers at once
    from tfnca.cli import run

    run("report", "python -m tfnca.article.report")
    raise SystemExit(0)

import base64
import html
import json
import os
import tempfile
from pathlib import Path

import numpy as np

from tfnca.automata.injection import Injected
from tfnca.automata.state import digit_state
from tfnca.data.digits import load_digits
from tfnca.engines.rollout import rollout, trajectory
from tfnca.files import write_atomically
from tfnca.formats.load import load
from tfnca.measures.digits import attack_digits, digit_mask
from tfnca.pictures import DIGIT_COLOURS, digits_to_rgb, png_bytes, save_video, tile
from tfnca.plots import plot

_SHOWN = 60
_AT = (20, 50, 200, 250, 400, 450, 600)
_MEASURES = ("digit_accuracy", "cell_accuracy", "agreement", "takeover")
_STYLE = """body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;margin:1rem 0}td,th{padding:.25rem .7rem;text-align:right;
border-bottom:1px solid #ddd}td:first-child,th:first-child{text-align:left}
img,video{max-width:100%;image-rendering:pixelated}figure{margin:1.5rem 0}
.key{display:inline-block;width:1em;height:1em;vertical-align:-.15em;margin-left:.8em}
pre{white-space:pre-wrap;overflow-wrap:anywhere}"""


def published_metrics(digits, density, seeds, target):
    """Measures of the article's models under the same protocol; None if they are missing."""
    folder = Path(os.environ.get("TFNCA_ORIGINALS", "../shared/originals"))
    files = folder / "mnist_ca.json", folder / "mnist_ca_adversarial_model.zip"
    if target != 8 or not all(file.exists() for file in files):
        return None
    return attack_digits(Injected(load(files[0]), load(files[1])), digits, density, seeds)


def write_report(folder):
    """Writes ``report.html`` of a finished run of ``train/mnist_adversary.py``.

    Adds the measures of the article's models to its ``metrics.json``.
    """
    folder = Path(folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    if "attack" not in metrics and metrics.get("measure") == "none":
        raise ValueError(f"The run was not measured: --measure none. Received: {folder}")
    if "density" not in config:
        raise ValueError(f"The folder must contain an attack on an MNIST CA. Received: {folder}")
    digits = load_digits("test", config["data_dir"], metrics["digits"])
    metrics["published"] = published_metrics(
        digits, config["density"], metrics["seeds"], config["digit"]
    )
    write_atomically(folder / "metrics.json", json.dumps(metrics, indent=2))

    host = load(config["host"])
    step = Injected(host, load(folder / "model.keras"))
    models = {"this model": metrics}
    if metrics["published"]:
        models["article's model"] = metrics["published"]
    page = [
        f"<h1>Adversaries that make digits choose the class {config['digit']}</h1>",
        f"<p>The adversaries attack a frozen self-classifying MNIST CA. Their rule was trained for "
        f"{config['steps']:,} steps in {config['seconds'] / 60:.1f} minutes. From step 200 to step "
        f"400, {config['density']:.0%} of all pixels are adversaries.</p>",
        _summary(metrics),
        _curves(models),
        "<h2>Numbers</h2>",
        *(_table(name, rows) for name, rows in models.items()),
        "<h2>The digits</h2>" + _legend(),
        *_pictures(step, host, digits, config),
        "<h2>Training and measurement</h2><pre>"
        + html.escape(json.dumps(config, indent=2))
        + f"</pre><p>Measured on the first {metrics['digits']} test digits ({metrics['others']} of "
        f"other classes), with mask and noise seeds {metrics['seeds']}: mean ± standard deviation "
        "over the seeds. A digit is classified correctly if at least half of its living cells "
        "are. Agreement is the fraction of digits whose living cells all choose the same class. "
        "The takeover rate is the fraction of digits of other classes in which more than half of "
        "the living cells choose the target class.</p>",
    ]
    document = (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport "
        f"content='width=device-width'><title>tfnca: MNIST takeover</title><style>{_STYLE}</style>"
        + "\n".join(page)
    )
    write_atomically(folder / "report.html", document)


def _at(rows, step):
    return next(row for row in rows if row["step"] == step)


def _summary(metrics):
    rows = metrics["attack"]
    return (
        f"<p><b>The takeover rate is {_at(rows, 400)['takeover']:.1%}</b> of {metrics['others']} "
        f"digits with {metrics['density']:.0%} adversaries (host cells alone: "
        f"{_at(rows, 400)['host_takeover']:.1%}) and {metrics['sparse'][0]['takeover']:.1%} with "
        f"1 %. The digit accuracy is {_at(rows, 200)['digit_accuracy']:.1%} before the attack, "
        f"{_at(rows, 400)['digit_accuracy']:.1%} during it, and "
        f"{_at(rows, 600)['digit_accuracy']:.1%} 200 steps after it. Half of the digits are "
        f"misclassified {metrics['steps_to_flip']} steps after the adversaries appear.</p>"
    )


def _table(name, metrics):
    cells = "".join(f"<th>{measure.replace('_', ' ')}</th>" for measure in _MEASURES)
    lines = [f"<table><tr><th>{name}: step</th>{cells}</tr>"]
    named = [(f"{step}", _at(metrics["attack"], step)) for step in _AT]
    named.append(("200, with 1 % from the start", metrics["sparse"][0]))
    for label, row in named:
        values = "".join(
            f"<td>{row[measure]:.3f} ± {row[measure + '_sd']:.3f}</td>" for measure in _MEASURES
        )
        lines.append(f"<tr><td>{label}</td>{values}</tr>")
    return "".join(lines) + "</table>"


def _curves(models):
    curves = {}
    for name, metrics in models.items():
        steps = [row["step"] for row in metrics["attack"]]
        for measure in ("digit_accuracy", "agreement", "takeover"):
            label = f"{measure.replace('_', ' ')}, {name}"
            curves[label] = steps, [row[measure] for row in metrics["attack"]]
    picture = plot(curves, "CA step", "fraction of digits", spans=[(200, 400, "adversaries")])
    return _figure(_image(picture), "Before, during and after the attack.")


def _pictures(step, host, digits, config):
    """Tiles of digits before, during and after the attack, and a video of all steps."""
    images, labels = digits.images[:_SHOWN], digits.labels[:_SHOWN]
    few = type(digits)(images, labels, digits.source)
    seed = config["seed"]
    mask = np.asarray(digit_mask(few, config["density"], seed))
    state = digit_state(images)
    frames, stills = [], {}
    for first, adversaries in ((0, None), (200, mask), (400, None)):
        for _, states in trajectory(
            host if adversaries is None else step,
            state,
            200,
            every=2,
            mask=adversaries,
            seed=seed,
            step_offset=first,
        ):
            frames.append(tile(digits_to_rgb(states, labels, adversaries), columns=10, scale=2))
        state = states
        stills[first + 200] = tile(digits_to_rgb(state, labels, adversaries), columns=10, scale=3)
    for now, text in (
        (
            200,
            "Step 200: before the attack. A dark frame marks digits that most cells misclassify.",
        ),
        (400, "Step 400: after 200 steps with adversaries (red cells)."),
        (600, "Step 600: 200 steps after the adversaries are removed."),
    ):
        yield _figure(_image(png_bytes(stills[now])), text)
    thin = np.asarray(digit_mask(few, 0.01, seed, at_least_one=True))
    state = rollout(step, digit_state(images), 200, mask=thin, seed=seed)
    picture = tile(digits_to_rgb(state, labels, thin), columns=10, scale=3)
    yield _figure(_image(png_bytes(picture)), "Step 200 with 1 % adversaries from the start.")
    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder) / "digits.mp4"
        save_video(video, frames, fps=30)
        data = base64.b64encode(video.read_bytes()).decode()
    yield _figure(
        f"<video controls loop muted src='data:video/mp4;base64,{data}'></video>",
        "All 600 steps.",
    )


def _legend():
    keys = "".join(
        f"<span class=key style='background:rgb({','.join(str(round(255 * c)) for c in colour)})'>"
        f"</span> {digit}"
        for digit, colour in enumerate(DIGIT_COLOURS)
    )
    return f"<p>{keys}</p>"


def _image(png):
    return f"<img alt='' src='data:image/png;base64,{base64.b64encode(png).decode()}'>"


def _figure(content, caption):
    return f"<figure>{content}<figcaption>{caption}</figcaption></figure>"


def main(options):
    """Writes the report, as ``python -m tfnca.article.report`` does."""
    write_report(options.folder)
    print(f"Wrote {Path(options.folder) / 'report.html'}")
