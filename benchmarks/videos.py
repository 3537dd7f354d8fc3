"""Draws the videos of docs/beyond/lizard.md, which show what its tables measure.

FOLDER has the models of Cavuoti et al. (2022), as for `takeover.py`.
"""

import argparse
import itertools
from pathlib import Path

import numpy as np
from compose import NAMES, AnyMatrix
from immunity import SPRAY, TestedInvasion
from takeover import first_cell

import tfnca
from tfnca.measures.invasion import look_at
from tfnca.measures.lizard import grown_states
from tfnca.pictures import save_animation, tile

RUNS = 3
AGE = 200


def path(step, state, frames, every, first=AGE):
    """The states of a run, one for each frame."""
    for number in range(frames):
        yield number * every, state
        state = tfnca.rollout(step, state, every, seed=1, step_offset=first + number * every)


def shown(states):
    return tfnca.to_rgb(np.asarray(states)[..., :4])


def picture(pictures, labels, columns=RUNS):
    """A frame. Labels must be narrower than the pictures, since all frames have the same size."""
    scale = 100 // pictures.shape[1] + 1
    return tile(pictures, columns, scale=scale, labels=labels)


def short(name, other):
    """A label, such as ``tail, red`` for the matrices no_tail and red."""
    return ", ".join(str(each).removeprefix("no_") for each in (name, other))


def shares(step, state):
    return [f"{100 * share:.0f} %" for share in look_at(step, state)["share"]]


def released(folder, *names):
    return [tfnca.load(folder / f"{name}.pt", convention="takeover") for name in names]


def invasion(step, grown, side, frames, every):
    """An invasion from a square of cells, then the host alone, which gets all cells back."""
    cells = np.asarray(grown)[..., 3] > 0.1
    where = tfnca.random_patch(cells, side)
    for now, state in path(step, step.invade(grown, where), frames, every):
        labels = [f"{now}: {share}" for share in shares(step, state)]
        yield picture(shown(step.seen(state)), labels)
    freed = step.invade(state, np.ones(cells.shape), species=0)[..., : step.host.channels]
    for now, state in path(step.host, freed, frames // 2, 20, AGE + frames * every):
        yield picture(shown(state), [f"{now} after"] * len(state))


def takeover(folder):
    host, adversary = released(folder, "lizard_persistent", "lizard_to_red_2x2")
    grown = tfnca.rollout(host, first_cell(64, RUNS, host.channels), AGE, seed=0)
    return invasion(tfnca.Invasion(host, adversary), grown, 2, 36, 8)


def our_lizard(folder):
    host, adversary = tfnca.load("growing_lizard"), tfnca.load("invasion_red")
    grown = grown_states(host, (48, 48), RUNS, steps=AGE)
    return invasion(tfnca.Invasion(host, adversary), grown, 1, 36, 12)


def second(folder):
    """One empty cell gets the seed's state."""
    host = tfnca.load("growing_lizard")
    seed = tfnca.seed_state(48, RUNS)
    both = np.zeros((RUNS, 48, 96, host.channels), np.float32)
    both[:, :, :48] = tfnca.rollout(host, seed, AGE, seed=1)
    both[:, :, 48:] = seed
    for now, state in path(host, both, 36, 6):
        yield picture(shown(state), [f"{now}"] * len(state))


def immunity(folder):
    """The same invasion without a defence, and with the deviation test."""
    host, adversary = released(folder, "lizard_persistent", "lizard_to_red_2x2")
    grown = tfnca.rollout(host, first_cell(48, 2, host.channels), AGE, seed=1)
    kinds = {"no test": tfnca.Invasion, "test": TestedInvasion}
    paths = []
    for kind in kinds.values():
        step = kind(host, adversary)
        where = tfnca.random_mask(np.asarray(grown)[..., 3] > 0.1, SPRAY, seed=1)
        paths.append((step, path(step, step.invade(grown, where), 40, 8)))
    for _ in range(40):
        states = [(step, *next(states)) for step, states in paths]
        labels = [
            f"{name} {share}"
            for name, (step, _, state) in zip(kinds, states, strict=True)
            for share in shares(step, state)
        ]
        seen = np.concatenate([shown(step.seen(state)) for step, _, state in states])
        yield picture(seen, labels, columns=2)


def lasting(folder):
    """Hosts and attacks from the grown lizard on, for 10,000 steps."""
    host = tfnca.load("growing_lizard")
    steps = {"no attack": host}
    for name, strength in itertools.product(("no_leg", "red", "blue"), (1, 2)):
        matrix = tfnca.load_attack(name).perturbation.scaled(strength)
        steps[short(name, strength)] = tfnca.Perturbed(host, matrix)
    grown = grown_states(host, (56, 56), 1, steps=AGE)
    paths = [path(step, grown, 25, 400) for step in steps.values()]
    for states in zip(*paths, strict=True):
        yield picture(np.concatenate([shown(state) for _, state in states]), [*steps], columns=4)


def composed(folder):
    """Each pair of matrices as A + B - I."""
    host = tfnca.load("growing_lizard")
    matrices = {
        name: tfnca.load_attack(name).perturbation.to_array().astype(float) for name in NAMES
    }
    pairs = list(itertools.combinations(NAMES, 2))
    grown = grown_states(host, (72, 72), 1, steps=AGE)
    sums = [AnyMatrix(matrices[one] + matrices[other] - np.eye(16)) for one, other in pairs]
    paths = [path(tfnca.Perturbed(host, both), grown, 30, 20) for both in sums]
    for states in zip(*paths, strict=True):
        pictures = np.concatenate([shown(state) for _, state in states])
        yield picture(pictures, [short(*pair) for pair in pairs], columns=5)


VIDEOS = {
    "invasion_red": takeover,
    "invasion_ours": our_lizard,
    "second": second,
    "immunity": immunity,
    "lasting": lasting,
    "composed": composed,
}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--only", nargs="+", choices=VIDEOS, default=[*VIDEOS])
    parser.add_argument("--out", type=Path, default=Path("docs/images/beyond"))
    options = parser.parse_args()
    for name in options.only:
        save_animation(options.out / f"{name}.webp", VIDEOS[name](options.folder), fps=12)
        print(options.out / f"{name}.webp", flush=True)


if __name__ == "__main__":
    main()
