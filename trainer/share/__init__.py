"""Share: a run is handed over to MLflow, TensorBoard or Hugging Face, also while it is trained."""


class ShareError(RuntimeError):
    """Another program's server or folder cannot be written; the message gives the way on."""
