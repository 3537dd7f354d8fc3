"""Draws the article's figures."""

if __name__ == "__main__":  # before TensorFlow loads, so that --help answers at once
    from tfnca.cli import run

    run("figures", "python -m tfnca.article.figures")
    raise SystemExit(0)

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from tfnca.article.models import ADVERSARIES, MUTATIONS, MissingModelError, Ours, Published
from tfnca.automata.injection import Injected
from tfnca.automata.perturbations import combine
from tfnca.automata.perturbed import Perturbed
from tfnca.automata.state import digit_state, seed_state, to_rgb
from tfnca.cli.figures import NUMBERS
from tfnca.data.digits import load_digits
from tfnca.data.targets import pad_target
from tfnca.engines.rollout import trajectory
from tfnca.measures.digits import digit_mask, digit_measures
from tfnca.measures.lizard import grown_states, region_picture, target_masks
from tfnca.pictures import caption, digits_to_rgb, save_animation, save_png, save_video, tile

SIZE = (72, 72)
SEED = 3


@dataclass
class Figure:
    """The frames of a video, and the captioned stills that are drawn side by side."""

    frames: list = field(default_factory=list)
    stills: list = field(default_factory=list)
    """Pairs ``(caption, picture)``."""


# ---------------------------------------------------------------------------------------------
# Digits
# ---------------------------------------------------------------------------------------------


def _digits(step, phases, at, count=60, every=2):
    """Runs 60 digits through phases ``(steps, mask)`` and draws them every few steps."""
    digits = load_digits("test", count=count, source="sample")
    figure, state, now = Figure(), digit_state(digits.images), 0
    for steps, density in phases:
        mask = None
        if density:
            mask = np.asarray(digit_mask(digits, density, SEED, at_least_one=True))
        for then, states in trajectory(
            step, state, steps, every, mask=mask, seed=SEED, step_offset=now
        ):
            picture = tile(digits_to_rgb(states, digits.labels, mask), columns=10, scale=2)
            figure.frames.append(picture)
            if then in at and then > now:
                found = digit_measures(states, digits.labels, mask=mask)
                text = f"step {then}: accuracy {found['digit_accuracy']:.0%}"
                if density:
                    text += f", takeover rate {found['takeover']:.0%}"
                figure.stills.append((text, picture))
        state, now = states, now + steps
    return figure


def figure_2(models):
    """Digits without an attack; a dark frame marks those that most cells misclassify"""
    return _digits(models.digits, [(200, None)], at=(20, 50, 200))


def figure_3(models):
    """10 % adversaries (red cells), from step 200 to step 400"""
    step = Injected(models.digits, models.digits_adversary)
    return _digits(step, [(200, None), (200, 0.1), (200, None)], at=(200, 400, 600))


def figure_4(models):
    """1 % adversaries (red cells) from the start"""
    step = Injected(models.digits, models.digits_adversary)
    return _digits(step, [(200, 0.01)], at=(20, 50, 200))


# ---------------------------------------------------------------------------------------------
# Lizards
# ---------------------------------------------------------------------------------------------


def _mosaic(states, columns, labels, target=None):
    """Tiles labelled pictures of several runs, three screen pixels per cell.

    With targets, one per run or one for all, each label ends with the run's MSE.
    """
    if target is not None:
        errors = np.square(states[..., :4] - target).mean((1, 2, 3))
        labels = [f"{label}: {error:.4f}" for label, error in zip(labels, errors, strict=True)]
    return tile(to_rgb(states), columns=columns, scale=3, labels=labels)


def _lizards(phases, starts, at, columns, labels, targets=None, every=10):
    """Runs several lizards at once through phases of steps, and draws them.

    Each phase is ``(CA steps, [one step per run])``, and has its own targets, if any. The states
    after the steps in `at` become stills. Starts are ``(1, height, width, channels)``.
    """
    figure, states, now = Figure(), list(starts), 0
    for phase, (steps, runs) in enumerate(phases):
        along = [
            trajectory(step, state, steps, every, seed=SEED, step_offset=now)
            for step, state in zip(runs, states, strict=True)
        ]
        for moment in zip(*along, strict=True):
            then = moment[0][0]
            states = [np.asarray(state) for _, state in moment]
            target = None if targets is None else targets[phase]
            picture = _mosaic(np.concatenate(states), columns, labels, target)
            if then > now or then == 0:
                figure.frames.append(picture)
                if then in at:
                    figure.stills.append((f"step {then}", picture))
        now += steps
    return figure


def _padded(models, names):
    return np.stack([pad_target(models.target(name), 16) for name in names])


def _named(mutation):
    return mutation.replace("_", " ")


def figure_5(models):
    """The lizard grows from one cell; numbers are mean squared errors (MSE) over RGBA"""
    start = seed_state(SIZE, 1, models.lizard.channels)
    targets = [_padded(models, ["lizard"])]
    at = (20, 50, 100, 200)
    return _lizards([(200, [models.lizard])], [start], at, 1, ["lizard"], targets, every=2)


def _targets(models, names):
    figure = Figure()
    plain = models.target("lizard")
    for name in ("lizard", *names):
        picture = models.target(name)
        away = np.square(pad_target(picture, 16) - pad_target(plain, 16)).mean()
        text = f"{_named(name)}: {away:.4f}" if name != "lizard" else name
        figure.stills.append((text, tile(to_rgb(pad_target(picture, 2)[None]), scale=3)))
    return figure


def figure_6(models):
    """Targets of the adversaries, and the MSE of the unattacked lizard against each"""
    return _targets(models, ADVERSARIES)


def _injected(models, mutation, steps, at):
    """Six grown lizards, each with its own adversaries; also returns the states."""
    step = Injected(models.lizard, models.adversary(mutation))
    target = pad_target(models.target(mutation), 16)
    region = region_picture(
        models.region(mutation), target, pad_target(models.target("lizard"), 16)
    )
    mask = np.asarray(target_masks(region, models.density(mutation), 6, SEED))
    state = grown_states(models.lizard, SIZE, 6, seed=SEED)
    labels = [f"run {run}" for run in range(1, 7)]
    figure = Figure()
    figure.stills.append(("target", _mosaic(target[None], 1, [""])))
    for now, states in trajectory(step, state, steps, 5, mask=mask, seed=SEED, step_offset=200):
        picture = _mosaic(np.asarray(states), 3, labels, target)
        figure.frames.append(picture)
        if now - 200 in at:
            name = "before the attack" if now == 200 else f"step {now - 200}"
            figure.stills.append((name, picture))
    return figure, np.asarray(states), mask


def figure_7(models):
    """Tailless, {no_tail:.0%} adversaries, six runs, with the MSE of each against the target"""
    return _injected(models, "no_tail", 1500, at=(0, 100, 500, 1500))[0]


def figure_8(models):
    """Red, {red:.0%} adversaries, six runs, with the MSE of each against the target"""
    figure, states, mask = _injected(models, "red", 500, at=(0, 100, 500))
    own = np.asarray(states) * (1.0 - mask[..., None])
    alive = own[..., 3] > 0.1
    redder = ((own[..., 0] > own[..., 1]) & alive).sum((1, 2)) / np.maximum(alive.sum((1, 2)), 1)
    hosts_only = _mosaic(own, 3, [f"host: {share:.0%} red" for share in redder])
    figure.frames.extend([hosts_only] * 50)
    figure.stills.append(("step 500, host cells alone", hosts_only))
    return figure


def figure_10(models):
    """Targets of the perturbations, and the MSE of the unattacked lizard against each"""
    return _targets(models, MUTATIONS)


def _seeds(models, count):
    return [seed_state(SIZE, 1, models.lizard.channels)] * count


def figure_11(models):
    """Six perturbations, on for 500 steps, off for 500, then on again, with the MSE"""
    host = models.lizard
    steps = [Perturbed(host, models.perturbation(mutation)) for mutation in MUTATIONS]
    phases = [(500, steps), (500, [host] * len(steps)), (500, steps)]
    mutated, plain = _padded(models, MUTATIONS), _padded(models, ["lizard"])
    labels = [_named(mutation) for mutation in MUTATIONS]
    seeds, at = _seeds(models, len(steps)), (100, 500, 1000, 1500)
    return _lizards(phases, seeds, at, 3, labels, [mutated, plain, mutated])


def figure_12(models):
    """The tailless perturbation at nine strengths k"""
    tail = models.perturbation("no_tail")
    strengths = np.linspace(1, -1, 9)
    steps = [Perturbed(models.lizard, tail.scaled(k)) for k in strengths]
    labels = [f"k = {k:g}" for k in strengths]
    return _lizards([(500, steps)], _seeds(models, 9), (100, 200, 500), 9, labels)


def _composed(models, pairs):
    tail, leg = models.perturbation("no_tail"), models.perturbation("no_leg")
    steps = [Perturbed(models.lizard, combine([(tail, a), (leg, b)])) for a, b in pairs]
    labels = [f"tail {a:g}, leg {b:g}" for a, b in pairs]
    seeds = _seeds(models, len(steps))
    return _lizards([(1000, steps)], seeds, (200, 500, 1000), len(steps), labels)


def figure_13(models):
    """Tailless and legless combined, with strengths that add up to one"""
    return _composed(models, [(k, 1 - k) for k in (1.0, 0.75, 0.5, 0.25, 0.0)])


def figure_14(models):
    """Tailless and legless combined, both at full strength"""
    return _composed(models, [(1.0, 1.0)])


FIGURES = {number: globals()[f"figure_{number}"] for number in NUMBERS}


# ---------------------------------------------------------------------------------------------
# Files
# ---------------------------------------------------------------------------------------------


def _arranged(stills, width, gap=12):
    """Pictures of any sizes, arranged in rows of at most `width` pixels."""
    rows, row = [], []
    for still in stills:
        if row and sum(one.shape[1] + gap for one in row) + still.shape[1] > width:
            rows.append(row)
            row = []
        row.append(still)
    rows.append(row)
    joined = []
    for row in rows:
        height = max(one.shape[0] for one in row)
        padded = [np.pad(one, ((0, height - len(one)), (0, gap), (0, 0)), constant_values=1)
                  for one in row]  # fmt: skip
        joined.append(np.concatenate(padded, axis=1))
    widest = max(one.shape[1] for one in joined)
    return np.concatenate([_widened(one, widest) for one in joined])


def _widened(picture, width):
    return np.pad(picture, ((0, 0), (0, width - picture.shape[1]), (0, 0)), constant_values=1)


def write_figure(number, models, folder, moving=True, width=1500, titled=True):
    """Draws one figure with one set of models: ``figure_<number>_<set>.{png,mp4,webp}``.

    The stills side by side are at most `width` pixels wide. Raises ValueError if a model is
    missing.
    """
    figure = FIGURES[number](models)
    stem = Path(folder) / f"figure_{number:02d}_{models.name}"
    stills = [caption(picture, text, 24) for text, picture in figure.stills]
    picture = _arranged(stills, width)
    if titled:
        densities = {m: models.density(m) for m in ADVERSARIES} if number in (7, 8) else {}
        title = (FIGURES[number].__doc__ or "").format(**densities)
        whose = {"ours": "our models", "published": "the article's models"}.get(models.name, "")
        picture = caption(picture, f"{title} ({whose})", 26)
    save_png(stem.with_suffix(".png"), picture)
    if moving and figure.frames:
        width = max(frame.shape[1] for frame in figure.frames)
        figure.frames = [_widened(frame, width) for frame in figure.frames]
        save_video(stem.with_suffix(".mp4"), figure.frames, fps=25)
        save_animation(stem.with_suffix(".webp"), figure.frames[::2], fps=12)


def main(options):
    """Draws the figures, as ``python -m tfnca.article.figures`` does."""
    numbers = [options.figure] if options.figure else list(FIGURES)
    sets = [models for models in (Ours(), Published()) if options.models in (None, models.name)]
    sets = [models for models in sets if models.folder.is_dir()]
    if not sets:
        raise ValueError(f"The models of this set are missing. Received: --models {options.models}")
    Path(options.out).mkdir(parents=True, exist_ok=True)
    work = [(number, models) for models in sets for number in numbers]
    for number, models in tqdm(work, unit="figure"):
        try:
            write_figure(number, models, options.out)
        except MissingModelError as error:
            tqdm.write(f"Figure {number}, {models.name}: left out. {error}")
    print(f"Wrote {options.out}")
