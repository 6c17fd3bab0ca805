"""What the Scores page alone uses."""
