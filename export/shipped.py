"""Writes saved_model/ and tfjs/ anew in each folder of saved_models/ whose weights changed."""

from tfnca.commands import Parser, plain_errors
from tfnca.export.shipped import refresh


def main():
    parser = Parser(description=__doc__)
    parser.add_argument("folder", nargs="?", default="saved_models", help="(default: saved_models)")
    arguments = parser.parse_args()
    with plain_errors():
        for export in refresh(arguments.folder):
            print(f"Wrote {export}")


if __name__ == "__main__":
    main()
