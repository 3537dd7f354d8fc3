"""Exports a model for LiteRT (--out FILE.tflite) or ONNX (--out FILE.onnx)."""

from tfnca.cli import run

if __name__ == "__main__":
    run("export", description=__doc__, format="portable")
