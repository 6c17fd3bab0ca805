"""The trainer: recordings in, folds, models and a state folder out. Never imports streamlit."""

__version__ = "0.2.0"  # also in CITATION.cff; CHANGELOG.md: what changed, which runs are refused
