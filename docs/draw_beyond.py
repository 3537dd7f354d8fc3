"""Draws docs/images/beyond/: influence maps, takeover by method, and the deviation test.

The curves are the numbers of the table in docs/beyond/digits.md.
"""

import re
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import tfnca
from tfnca.files import write_atomically
from tfnca.measures.digits import digit_mask
from tfnca.pictures import caption, digits_to_rgb, save_png, tile
from tfnca.placement import influence_maps
from tfnca.placement.pictures import draw_maps

ROOT = Path(__file__).parents[1]
OUT = ROOT / "docs/images/beyond"
LINES = {
    "greedy": ("#00695c", "o-"),
    "most influential": ("#1565c0", "s-"),
    "eigenvector": ("#ad1457", "v--"),
    "most neighbours": ("#6a1b9a", "^--"),
    "betweenness": ("#bf5600", "D--"),
    "random": ("#424242", "x:"),
}


def one_of_each_class(host):
    """The first test digit of each class but 8 that the host recognises."""
    digits = tfnca.load_digits("test", count=60)
    settled = tfnca.rollout(host, tfnca.digit_state(digits.images), 200, seed=1)
    said = tfnca.class_logits(settled).numpy().argmax(-1) == digits.labels[:, None, None]
    alive = digits.images > 0.1
    right = 2 * (said & alive).sum((1, 2)) > alive.sum((1, 2))
    first = [int(np.flatnonzero((digits.labels == k) & right)[0]) for k in range(10) if k != 8]
    return tfnca.Digits(digits.images[first], digits.labels[first], digits.source)


def draw_curves():
    """The table's columns as lines, named where they end."""
    text = (ROOT / "docs/beyond/digits.md").read_text(encoding="utf-8")
    table = re.search(r"^(\| adversaries in the digit .*\n(?:\|.*\n)+)", text, flags=re.M)[1]
    head, _, *rows = ([cell.strip() for cell in row.strip("|").split("|")]
                      for row in table.strip().splitlines())  # fmt: skip
    numbers = 100 * np.array(rows, float)
    figure = Figure(figsize=(8, 4.6), layout="constrained")
    axes = figure.subplots()
    for method, (colour, style) in LINES.items():
        rates = numbers[:, head.index(method)]
        axes.plot(numbers[:, 0] / 100, rates, style, color=colour, label=method, clip_on=False)
    axes.set_xscale("log")
    axes.set_xticks([1, 2, 4, 8], ["1", "2", "4", "8"])
    axes.minorticks_off()
    axes.set(xlabel="adversaries in the digit", ylabel="takeover rate, %", ylim=(0, 100))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right center", frameon=False)
    figure.savefig(OUT / "takeover.png", dpi=110)


def draw_deviation_test(digits, host, adversary):
    mask = digit_mask(digits, 0.1, seed=1)
    settled = tfnca.rollout(host, tfnca.digit_state(digits.images), 200, seed=1)
    attacked, verified = (
        tfnca.rollout(kind(host, adversary), settled, 200, mask=mask, seed=1, step_offset=200)
        for kind in (tfnca.Injected, tfnca.Verified)
    )
    rows = [
        ("no adversaries", settled, None),
        ("10 % adversaries (red)", attacked, np.asarray(mask)),
        ("10 % adversaries, host with deviation test", verified, np.asarray(mask)),
    ]
    pictures = [
        caption(tile(digits_to_rgb(state, digits.labels, cells), columns=9, scale=3), text, 18)
        for text, state, cells in rows
    ]
    save_png(OUT / "silenced.png", np.concatenate(pictures))


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    step = tfnca.load_attack("mnist_adversary")
    digits = one_of_each_class(step.host)
    maps = influence_maps(step, digits.images, seed=1, repeats=2)
    write_atomically(OUT / "maps.png", draw_maps(digits.images, digits.labels, maps, columns=3))
    draw_curves()
    draw_deviation_test(digits, step.host, step.adversary)


if __name__ == "__main__":
    main()
