"""Exports a model for TensorFlow.js: a folder that tf.loadGraphModel loads."""

from tfnca.cli import run

if __name__ == "__main__":
    run("export", description=__doc__, format="tfjs")
