"""The competition's inference server: ``from trainer.kaggle import predict``."""

from trainer.kaggle.server import predict

__all__ = ["predict"]
