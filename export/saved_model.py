"""Exports a model as a SavedModel, which runs with TensorFlow alone."""

from tfnca.cli import run

if __name__ == "__main__":
    run("export", description=__doc__, format="saved_model")
