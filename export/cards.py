"""Writes README.md anew in each folder of saved_models/ whose config.json or metrics.json changed;
saved_models/README.md too."""

from tfnca.commands import Parser, plain_errors
from tfnca.zoo.cards import refresh_cards


def main():
    parser = Parser(description=__doc__)
    parser.add_argument("folder", nargs="?", default="saved_models", help="(default: saved_models)")
    arguments = parser.parse_args()
    with plain_errors():
        for card in refresh_cards(arguments.folder):
            print(f"Wrote {card}")


if __name__ == "__main__":
    main()
