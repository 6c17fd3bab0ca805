"""Explanations of a prediction, and the check of its input."""
