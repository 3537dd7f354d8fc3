"""Writes our models as the data files of the article's own demo pages.

An MNIST adversary with its host becomes data.js of the digits page; six perturbations (tail, leg,
head, arm, red, blue, in this order) with theirs become gca_data.js of the lizard page.
"""

from tfnca.cli import run

if __name__ == "__main__":
    run("export", description=__doc__, format="distill_demo")
