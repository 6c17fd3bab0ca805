"""Fitted models as plain data: arrays, texts and numbers, ready for a file.

In: ``BoostingModel``, ``NetworkModel``. Out: dicts of plain values, and back.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.models.boosting.booster import BoostingModel

if TYPE_CHECKING:
    from trainer.models.network.inference import NetworkModel

Plain = dict[str, Any]


def pack_boosting(model: BoostingModel) -> Plain:
    """Return a LightGBM fold as plain data."""
    return {
        "model_text": model.text,
        "feature_names": list(model.names),
        "class_idx": model.class_idx,
        "log_shares": model.log_shares_P,
        "num_classes": model.num_classes,
        "temperature": model.temperature,
    }


def unpack_boosting(plain: Plain) -> BoostingModel:
    """Return the LightGBM fold that was packed."""
    return BoostingModel(
        text=plain["model_text"],
        names=tuple(plain["feature_names"]),
        class_idx=np.asarray(plain["class_idx"], dtype=np.int64),
        log_shares_P=np.asarray(plain["log_shares"], dtype=np.float64),
        num_classes=int(plain["num_classes"]),
        temperature=float(plain.get("temperature", 1.0)),
    )


def pack_network(model: NetworkModel) -> Plain:
    """Return a network fold as plain data, its weights as arrays without wrapper names."""
    return {
        "weights": {name: tensor.numpy() for name, tensor in model.weights.items()},
        "scaler_mean": model.scaler.mean_C,
        "scaler_std": model.scaler.std_C,
        "channels": list(model.channels),
        "groups": list(model.groups),
        "length": model.length,
        "sizes": dataclasses.asdict(model.sizes),
    }


def unpack_network(plain: Plain) -> NetworkModel:
    """Return the network fold that was packed; weights may be arrays or tensors."""
    import torch

    from trainer.features.frames import FrameScaler
    from trainer.models.network.inference import NetworkModel
    from trainer.models.network.modules import NetworkSizes

    sizes = dict(plain["sizes"])
    sizes["conv_channels"] = tuple(sizes["conv_channels"])
    sizes["branches"] = tuple((name, tuple(columns)) for name, columns in sizes.get("branches", ()))
    sizes["light_columns"] = tuple(sizes.get("light_columns", ()))
    return NetworkModel(
        weights={name: torch.as_tensor(array) for name, array in plain["weights"].items()},
        scaler=FrameScaler(
            mean_C=np.asarray(plain["scaler_mean"], dtype=np.float32),
            std_C=np.asarray(plain["scaler_std"], dtype=np.float32),
        ),
        channels=tuple(plain["channels"]),
        groups=tuple(plain["groups"]),
        length=int(plain["length"]),
        sizes=NetworkSizes(**sizes),
    )
