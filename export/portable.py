"""Exports a model for LiteRT (--out FILE.tflite) or ONNX (--out FILE.onnx)."""

from tfnca.commands import Parser, fail
from tfnca.export.portable import save_portable
from tfnca.export.signatures import load_step


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
    parser.add_argument("--out", required=True, help="file to write; its ending says the format")
    arguments = parser.parse_args()
    try:
        step, _ = load_step(arguments.models, arguments.host, arguments.name, arguments.host_name)
        save_portable(step, arguments.out)
    except (ValueError, OSError) as error:
        fail(error)
    except ImportError as error:
        fail(f"{error}. Install what it needs: pip install '.[export]'")
    print(f"Wrote {arguments.out}")


if __name__ == "__main__":
    main()
