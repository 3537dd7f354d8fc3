"""Writes models as data files for the article's demo pages.

An MNIST adversary with its host becomes data.js of the digits page. Six perturbations (tail, leg,
head, arm, red, blue, in this order) with their host become gca_data.js of the lizard page.
"""

from tfnca.cli import run

if __name__ == "__main__":
    run("export", description=__doc__, format="distill_demo")
