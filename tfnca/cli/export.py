"""Exports a model for other programs.

Formats:
  saved_model   a folder that runs where only TensorFlow is installed
  tfjs          a folder that TensorFlow.js loads
  portable      a file for LiteRT (--out FILE.tflite) or ONNX (--out FILE.onnx)
  distill_demo  a data file for the article's demo pages: data.js from an MNIST adversary and its
                host, or gca_data.js from six perturbations (tail, leg, head, arm, red, blue, in
                this order) and their host
"""

from tfnca.choices import QUANTIZE
from tfnca.cli.shared import add_host, add_model
from tfnca.commands import Parser

WORK = "tfnca.export.model:main"
FORMATS = ("saved_model", "tfjs", "portable", "distill_demo")


def add_options(parser: Parser, format: str | None = None) -> None:
    add_model(
        parser, "model in any format that tfnca.load reads, or several perturbations", many=True
    )
    add_host(
        parser,
        "host, if MODEL is an adversary or a perturbation",
        required=format == "distill_demo",
    )
    parser.add_argument("--out", required=True, help="output folder; for portable, the output file")
    if format is None:
        parser.add_argument("--format", choices=FORMATS, required=True, help="see above")
    else:
        parser.set_defaults(format=format)
    if format in (None, "tfjs"):
        parser.add_argument(
            "--quantize", choices=QUANTIZE, help="for tfjs: store kernels with fewer bits"
        )
