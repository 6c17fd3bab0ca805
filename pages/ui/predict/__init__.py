"""What the Predict page alone uses."""
