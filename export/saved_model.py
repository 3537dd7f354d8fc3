"""Exports a model as a SavedModel that runs where only TensorFlow is installed."""

from tfnca.cli import run

if __name__ == "__main__":
    run("export", description=__doc__, format="saved_model")
