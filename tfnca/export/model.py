"""Exports a model with any of the exporters."""

import argparse

from tfnca.export.demo_pages import save_demo
from tfnca.export.portable import save_portable
from tfnca.export.saved_model import save_saved_model
from tfnca.export.signatures import load_step
from tfnca.export.tfjs import save_tfjs


def main(options: argparse.Namespace) -> None:
    """Exports a model, as ``tfnca export`` and the scripts in ``export/`` do."""
    wanted, out = options.format, options.out
    if wanted != "tfjs" and getattr(options, "quantize", None):
        raise ValueError(f"--quantize needs --format tfjs. Received: --format {wanted}")
    step, measures = load_step(
        options.models,
        options.host,
        options.name,
        options.host_name,
        options.convention,
        options.host_convention,
    )
    if wanted == "saved_model":
        save_saved_model(step, out, measures)
    elif wanted == "tfjs":
        save_tfjs(step, out, options.quantize, measures)
    elif wanted == "portable":
        save_portable(step, out)
    else:
        out = save_demo(step, out)
    print(f"Wrote {out}")
