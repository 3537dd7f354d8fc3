"""Writes our models as the data files of the article's own demo pages.

An MNIST adversary with its host becomes data.js of the digits page; six perturbations (tail, leg,
head, arm, red, blue, in this order) with theirs become gca_data.js of the lizard page.
"""

from tfnca.commands import Parser, plain_errors
from tfnca.export.demo_pages import save_demo
from tfnca.export.signatures import load_step


def main():
    parser = Parser(description=__doc__)
    parser.add_argument(
        "models", metavar="MODEL", nargs="+", help="an MNIST adversary, or six perturbations"
    )
    parser.add_argument("--name", help="which model, where MODEL holds several")
    parser.add_argument("--host", required=True, help="their host")
    parser.add_argument("--host-name", help="which host, where that file holds several")
    parser.add_argument("--out", required=True, help="folder to write to")
    arguments = parser.parse_args()
    with plain_errors():
        step, _ = load_step(arguments.models, arguments.host, arguments.name, arguments.host_name)
        path = save_demo(step, arguments.out)
    print(f"Wrote {path}")


if __name__ == "__main__":
    main()
