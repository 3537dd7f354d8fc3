"""Trains attacks on the lizard for twelve targets with one small budget: which targets are hard?

The hardness of a target is the MSE of the attacked lizard over that of the lizard without an
attack. The script compares it with quantities known before training:

- `unattacked`: the MSE of the lizard without an attack.
- `cells`: the number of cells that change by more than 0.1 in some channel.
- `from centre`, `from edge`: the mean distance of these cells from the lizard's centre and outline.
- `alpha`: the part of the squared change that is alpha's.
- `linear`: the part of the squared change that remains if the target's RGBA is regressed on the 16
  channels of the living cells. One step of a matrix cannot do better.
- `gradient`: the norm of the loss's gradient before training, over the loss.

Prints rank correlations with 95 % intervals over resampled targets, and how well a rule predicts
the order of targets that it has not seen: the quantity that correlates best on the known targets.
Each training's result is a file of its own, and a second call continues after the last one.
"""

import argparse
import json
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from compose import both_changes, correlation
from scipy.ndimage import distance_transform_edt
from scipy.stats import spearmanr
from tqdm import tqdm

import tfnca
from tfnca.files import write_atomically
from tfnca.measures.lizard import grown_states, target_masks
from tfnca.pictures import save_png, tile

DRAWN = ("no_tail", "no_leg", "no_head", "no_arm", "red", "blue")
KINDS = ("matrix", "shift", "injected")
SIZE, AGE, DENSITY = 48, 200, 0.3
QUANTITIES = ("unattacked", "cells", "from centre", "from edge", "alpha", "linear", "gradient")
CA_STEPS = (32, 48)


def targets():
    """Twelve pictures by name: the drawn ones, and six made from the drawing."""
    plain, red = tfnca.lizard(), tfnca.lizard(color="red")
    half = np.concatenate([red[:20], plain[20:]])
    bright = plain.copy()
    bright[..., :3] += 0.5 * (plain[..., 3:] - plain[..., :3])
    made = {
        "two_parts": both_changes("no_tail", "no_leg"),
        "mirrored": plain[:, ::-1],
        "moved": np.roll(plain, 2, axis=1),
        "half_red": half,
        "smaller": tfnca.pad_target(tfnca.lizard(size=34), 3),
        "brighter": bright,
    }
    pictures = {name: tfnca.load_target(name) for name in DRAWN} | made
    padding = (SIZE - 40) // 2
    return {name: tfnca.pad_target(picture, padding) for name, picture in pictures.items()}


def attack(kind, host):
    """A step that attacks the host, before its training."""
    if kind == "injected":
        adversary = type(host).from_config(host.get_config())
        adversary.set_weights(host.get_weights())
        return tfnca.Injected(host, adversary)
    kinds = {"matrix": tfnca.MatrixPerturbation, "shift": tfnca.ShiftPerturbation}
    return tfnca.Perturbed(host, kinds[kind](host.channels))


def quantities(target, plain, grown):
    """What is known of a target without an attack; `grown` are states of the lizard."""
    change = np.square(target - plain)
    cells = np.sqrt(change.max(-1)) > 0.1
    body = plain[..., 3] > 0.1
    places = np.argwhere(cells)
    edge = np.where(body, distance_transform_edt(body), distance_transform_edt(~body))
    living = grown[..., 3] > 0.1
    inputs = grown[living].astype(float)
    wanted = np.broadcast_to(target, (*grown.shape[:3], 4))[living].astype(float)
    left = wanted - inputs @ np.linalg.lstsq(inputs, wanted, rcond=None)[0]
    return {
        "unattacked": float(np.square(grown[..., :4] - target).mean()),
        "cells": int(cells.sum()),
        "from centre": float(np.linalg.norm(places - np.argwhere(body).mean(0), axis=1).mean()),
        "from edge": float(edge[cells].mean()),
        "alpha": float(change[..., 3].sum() / change.sum()),
        "linear": float(np.square(left).sum() / np.square(wanted - inputs[:, :4]).sum()),
    }


def gradient(step, loss, state, mask):
    """The norm of the loss's gradient before training, over the loss."""
    with tf.GradientTape() as tape:
        end = tfnca.rollout(step, state, CA_STEPS[0], seed=1, mask=mask, step_offset=AGE)
        value = tf.reduce_mean(loss(end, tfnca.Batch(state=end, mask=mask)))
    gradients = tape.gradient(value, step.trainable_variables)
    return float(tf.linalg.global_norm(gradients) / value)


def trained(step, target, grown, options):
    """Trains the attack within the budget."""
    injected = step.has_adversary
    where = {"where": target[..., 3] >= 0.1, "density": DENSITY} if injected else {}
    trainer = tfnca.Trainer(step, tfnca.TargetLoss(target), steps=CA_STEPS, seed=options.seed)
    rate = keras.optimizers.schedules.PiecewiseConstantDecay(
        [int(0.7 * options.updates)], [options.rate, options.rate / 5]
    )
    trainer.compile((keras.optimizers.Adam if injected else tfnca.WhitenedAdam)(rate))
    pool = tfnca.GrowingPool(
        grown,
        size=options.pool,
        batch_size=options.batch,
        restarts=1,
        reset_policy="any",
        reset_threshold=0.5 * float(np.square(target).mean()),
        damaged=0,
        seed=options.seed,
        **where,
    )
    trainer.fit(pool, steps_per_epoch=options.updates, verbose=0)


def measured(kind, target, plain, host, options):
    """One training: its errors, those without an attack, the quantities, and a picture's state."""
    began = time.process_time()
    grown = grown_states(host, (SIZE, SIZE), options.runs, seed=1)
    step, loss = attack(kind, host), tfnca.TargetLoss(target)
    mask = target_masks(target, DENSITY, options.runs, seed=1) if step.has_adversary else None
    known = quantities(target, plain, np.asarray(grown))
    known["gradient"] = gradient(step, loss, grown, mask)
    trained(step, target, np.asarray(grown[:1]), options)
    ends = {
        name: np.asarray(
            tfnca.rollout(each, grown, options.at, seed=1, step_offset=AGE, mask=cells)
        )
        for name, each, cells in (("attack", step, mask), ("alone", host, None))
    }
    found = {
        name: [float(e) for e in np.square(end[..., :4] - target).mean((1, 2, 3))]
        for name, end in ends.items()
    }
    hardness = float(np.median(found["attack"]) / np.median(found["alone"]))
    seconds = time.process_time() - began
    row = {**found, "hardness": hardness, "known": known, "cpu_seconds": seconds}
    return row, ends["attack"][0, ..., :4]


def best_of(known, hardness):
    """The quantity whose rank correlation with the hardness is strongest, and its sign."""
    ranks = [spearmanr(values, hardness)[0] for values in known.T]
    best = int(np.argmax(np.abs(np.nan_to_num(ranks))))
    return best, np.sign(ranks[best])


def predicted(known, hardness, first):
    """Rank correlation of predicted and measured order: of the targets after the `first`, and of
    each target in turn from all others.

    For one target at a time, the prediction is a line through the ranks of the others.
    """
    best, sign = best_of(known[:first], hardness[:first])
    unseen = spearmanr(sign * known[first:, best], hardness[first:])[0]
    guesses, chosen = [], []
    for out in range(len(hardness)):
        rest = np.arange(len(hardness)) != out
        each, _ = best_of(known[rest], hardness[rest])
        rank = np.mean(known[rest, each] < known[out, each])
        ranks = [np.mean(known[rest, each] < value) for value in known[rest, each]]
        guesses.append(np.polyval(np.polyfit(ranks, np.log(hardness[rest]), 1), rank))
        chosen.append(QUANTITIES[each])
    left_out = spearmanr(guesses, hardness)[0]
    return QUANTITIES[best], float(unseen), max(chosen, key=chosen.count), float(left_out)


def report(rows):
    """Tables of the hardness, the correlations, and the predictions, in Markdown."""
    names = [*targets()]
    lines = [f"| target | {' | '.join(KINDS)} | {' | '.join(QUANTITIES[:-1])} |"]
    lines.append("|---" * (len(KINDS) + len(QUANTITIES)) + "|")
    for name in names:
        values = [f"{rows[kind, name]['hardness']:.2f}" for kind in KINDS]
        known = rows[KINDS[0], name]["known"]
        values += [f"{known[quantity]:.3g}" for quantity in QUANTITIES[:-1]]
        lines.append(f"| {name} | {' | '.join(values)} |")
    lines += ["", f"| quantity | {' | '.join(KINDS)} |", "|---" * (len(KINDS) + 1) + "|"]
    known = {
        kind: np.array([[rows[kind, n]["known"][q] for q in QUANTITIES] for n in names])
        for kind in KINDS
    }
    hardness = {kind: np.array([rows[kind, n]["hardness"] for n in names]) for kind in KINDS}
    for number, quantity in enumerate(QUANTITIES):
        ranks = [correlation(known[kind][:, number], hardness[kind]) for kind in KINDS]
        values = [f"{rank:.2f} ({low:.2f} to {high:.2f})" for rank, low, high in ranks]
        lines.append(f"| {quantity} | {' | '.join(values)} |")
    lines += ["", "| attack | rule from the drawn six | order of the other six"
              " | rule, one left out | order of all |", "|---|---|---|---|---|"]  # fmt: skip
    for kind in KINDS:
        rule, unseen, usual, left_out = predicted(known[kind], hardness[kind], len(DRAWN))
        lines.append(f"| {kind} | {rule} | {unseen:.2f} | {usual} | {left_out:.2f} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--updates", type=int, default=200, help="training steps")
    parser.add_argument("--rate", type=float, default=1e-3, help="learning rate")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--pool", type=int, default=16)
    parser.add_argument("--runs", type=int, default=8)
    parser.add_argument("--at", type=int, default=300, help="CA steps until the measurement")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("out/hardness"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    host = tfnca.load("growing_lizard")
    plain = tfnca.pad_target(tfnca.lizard(), (SIZE - 40) // 2)
    pairs = [(kind, name) for kind in KINDS for name in targets()]
    rows = {}
    for kind, name in tqdm(pairs, unit="training"):
        path = options.out / f"{kind}_{name}"
        if not path.with_suffix(".json").exists():
            row, state = measured(kind, targets()[name], plain, host, options)
            np.save(path.with_suffix(".npy"), state)
            write_atomically(path.with_suffix(".json"), json.dumps(row, indent=1))
        rows[kind, name] = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    states = [*targets().values(), *(np.load(options.out / f"{k}_{n}.npy") for k, n in pairs)]
    labels = [*targets(), *(f"{rows[pair]['hardness']:.2f}" for pair in pairs)]
    picture = tile(tfnca.to_rgb(np.stack(states)), columns=len(targets()), scale=2, labels=labels)
    save_png(options.out / "hardness.png", picture)
    print(report(rows))
    print(f"Processor time: {sum(row['cpu_seconds'] for row in rows.values()) / 60:.1f} minutes.")


if __name__ == "__main__":
    main()
