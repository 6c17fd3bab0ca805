"""A finished run and sequences in, probabilities out."""
