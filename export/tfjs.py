"""Exports a model for TensorFlow.js: a folder that tf.loadGraphModel takes as it is."""

from tfnca.commands import Parser, plain_errors
from tfnca.export.signatures import load_step
from tfnca.export.tfjs import QUANTIZE, save_tfjs


def main():
    parser = Parser(description=__doc__)
    parser.add_argument(
        "models",
        metavar="MODEL",
        nargs="+",
        help="a model in any format that tfnca.load reads, or several perturbations",
    )
    parser.add_argument("--name", help="which model, where MODEL holds several")
    parser.add_argument("--host", help="the host, where MODEL is an adversary or a perturbation")
    parser.add_argument("--host-name", help="which host, where that file holds several")
    parser.add_argument("--out", required=True, help="folder to write")
    parser.add_argument("--quantize", choices=QUANTIZE, help="store kernels in fewer bits")
    arguments = parser.parse_args()
    with plain_errors():
        step, measures = load_step(
            arguments.models, arguments.host, arguments.name, arguments.host_name
        )
        save_tfjs(step, arguments.out, arguments.quantize, measures)
    print(f"Wrote {arguments.out}")


if __name__ == "__main__":
    main()
