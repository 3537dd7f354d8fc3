"""The one thing that pyproject.toml cannot say: the trained models, from outside the package."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["tfnca", "tfnca.*"]), "tfnca.saved_models"],
    package_dir={"tfnca.saved_models": "saved_models"},
)
