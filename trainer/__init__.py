"""The trainer: recordings in, folds, models and a state folder out. Never imports streamlit."""
