"""What the Features page alone uses."""
