"""Measures how fast a Growing CA's colours return, which limits how far a matrix can shift them.

    python benchmarks/colours.py saved_models/growing_lizard/model.keras
    python benchmarks/colours.py saved_models/growing_lizard/model.keras --pace 0.5 --out slow.keras

Shifts the colours of grown patterns by a tenth towards another picture, and prints the remaining
fraction of the shift after some steps, as a row of a table. --pace first multiplies the last
layer's weights for red, green and blue, so that colours reach the same values at another pace.
--out saves that CA, so that you can attack it.
"""

from pathlib import Path

import keras
import numpy as np

import tfnca
from tfnca.automata.growing import GrowingCA
from tfnca.automata.scaling import with_colour_pace
from tfnca.automata.state import ALPHA
from tfnca.commands import POSITIVE, Parser, check_output, plain_errors
from tfnca.measures.lizard import grown_states

RUNS, SHIFT, AT = 16, 0.1, (1, 2, 4, 8, 16, 32)


def left_of_a_shift(ca: GrowingCA, plain: np.ndarray, other: np.ndarray) -> list[float]:
    """The remaining fraction of a shift of the colours from `plain` to `other` after `AT` steps."""
    shift = SHIFT * (other - plain)[..., :ALPHA]
    here = np.array(grown_states(ca, plain.shape[:2], RUNS, seed=1))
    there = here.copy()
    there[..., :ALPHA] += shift
    pairs = [
        tfnca.trajectory(ca, state, AT[-1], seed=1, step_offset=200) for state in (here, there)
    ]
    found = []
    for (now, without), (_, shifted) in zip(*pairs, strict=True):
        if now - 200 in AT:
            moved = (np.asarray(shifted) - np.asarray(without))[..., :ALPHA]
            found.append(float((moved * shift).sum() / (RUNS * np.square(shift).sum())))
    return found


def main() -> None:
    parser = Parser(description=__doc__)
    parser.add_argument("model", help="Growing CA, in any format")
    parser.add_argument(
        "--plain", default="lizard", help="picture that it grows (default: %(default)s)"
    )
    parser.add_argument(
        "--target", default="blue", help="picture with the other colours (default: %(default)s)"
    )
    parser.add_argument(
        "--pace",
        type=float,
        default=1.0,
        check=POSITIVE,
        help="factor on the colours' rate of change (default: 1)",
    )
    parser.add_argument("--out", type=Path, help="output file for the CA at that pace, .keras")
    options = parser.parse_args()
    with plain_errors():
        ca = tfnca.load(options.model)
        if not isinstance(ca, GrowingCA):
            raise ValueError(f"model must be a Growing CA. Received: {type(ca).__name__}")
        plain, other = (
            tfnca.pad_target(tfnca.load_target(name), 16)
            for name in (options.plain, options.target)
        )
        if np.array_equal(plain, other):
            raise ValueError(f"--target must differ from --plain. Received: {options.target}")
        ca = with_colour_pace(ca, options.pace)
        if options.out:
            check_output(options.out)
            keras.saving.save_model(ca, options.out)
        print(f"| pace | {' | '.join(f'after {step}' for step in AT)} |\n|---{'|---' * len(AT)}|")
        found = left_of_a_shift(ca, plain, other)
        print(f"| {options.pace:g} | {' | '.join(f'{share:.2f}' for share in found)} |")


if __name__ == "__main__":
    main()
