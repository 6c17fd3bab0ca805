"""Tests that train on a GPU, run by hand: ``python -m pytest -m gpu``."""
