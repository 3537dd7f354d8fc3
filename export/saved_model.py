"""Exports a model as a SavedModel that runs where only TensorFlow is installed."""

from pathlib import Path

from tfnca.checkpoints import load
from tfnca.experiment import Parser, fail
from tfnca.graphs import save_saved_model
from tfnca.injection import Injected
from tfnca.perturbation import Perturbation, Perturbed


def main():
    parser = Parser(description=__doc__)
    parser.add_argument("model", help="a model in any format that tfnca.load reads")
    parser.add_argument("--host", help="the host, where MODEL is an adversary or a perturbation")
    parser.add_argument("--out", required=True, help="folder to write")
    arguments = parser.parse_args()
    try:
        step = load(arguments.model)
        if isinstance(step, Perturbation) and not arguments.host:
            raise ValueError("A perturbation needs --host. Received: none")
        if arguments.host:
            wrap = Perturbed if isinstance(step, Perturbation) else Injected
            step = wrap(load(arguments.host), step)
        Path(arguments.out).parent.mkdir(parents=True, exist_ok=True)
        save_saved_model(step, arguments.out)
    except (ValueError, OSError) as error:
        fail(error)
    print(f"Wrote {arguments.out}")


if __name__ == "__main__":
    main()
