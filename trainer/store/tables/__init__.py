"""Tables of a run folder: folds, out-of-fold probabilities, importance, features."""
