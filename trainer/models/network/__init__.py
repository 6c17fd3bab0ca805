"""The PyTorch network."""
