"""What the Runs page alone uses."""
