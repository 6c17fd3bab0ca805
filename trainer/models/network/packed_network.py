"""A fold's network as plain data, and back; what comes from a file is checked before it is built.

In: a ``NetworkModel``. Out: plain data; the other way round: the model, or a ``DamagedDataError``.

A network is first built on torch's device "meta", which has shapes and no memory. So sizes from a
file allocate nothing that the file does not contain.

Shapes: C channels, K classes.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainer.config import OWN_NAME
from trainer.features.batches import FrameScaler
from trainer.features.frames import OPTIONAL_GROUPS
from trainer.models.base import Packed
from trainer.models.network.factory import make_network
from trainer.models.network.gesture_net import NetworkSizes
from trainer.models.network.inference import NetworkModel
from trainer.models.temperature import TEMPERATURES
from trainer.plain_data import DamagedDataError, array, integer, names, number, part

MAX_CLASSES = 1000
MAX_CHANNELS = 10_000
MAX_LENGTH = 2**20  # steps
MAX_UNITS = 2**16
MAX_MEMBERS = 16
MAX_BRANCHES = 100
ARCHITECTURES = ("time_series_net", "branches")  # and those of own code, by qualified name
OWN_ARCHITECTURE = re.compile(f"{OWN_NAME}:[0-9a-f]{{64}}")
# attributes of NetworkSizes whose names in fold files are older
_NAMES_IN_FILES = {"optional_columns": "light_columns", "has_phase_head": "tells_phase"}


def pack(model: NetworkModel) -> Packed:
    """Return a fold's network as plain data, its weights as arrays."""
    return {
        "weights": {name: tensor.numpy() for name, tensor in model.weights.items()},
        "scaler_mean": model.scaler.mean_C,
        "scaler_std": model.scaler.std_C,
        "channels": list(model.channels),
        "groups": list(model.groups),
        "length": model.length,
        "sizes": {_NAMES_IN_FILES.get(k, k): v for k, v in dataclasses.asdict(model.sizes).items()},
    }


def unpack(packed: Mapping[str, Any]) -> NetworkModel:
    """Return the network of a packed fold; its weights may be arrays or tensors.

    Raises:
        DamagedDataError: It is not one.
    """
    channels = names(packed, "channels", MAX_CHANNELS)
    groups = names(packed, "groups", MAX_CHANNELS, are_unique=False)
    if len(groups) != len(channels):
        raise DamagedDataError(f"groups: expected {len(channels)} names, got {len(groups)}")
    mean_C = array(packed, "scaler_mean", "f", (len(channels),))
    std_C = array(packed, "scaler_std", "f", (len(channels),))
    if (std_C <= 0).any():
        raise DamagedDataError("scaler_std: expected numbers above 0")
    sizes = _read_sizes(part(packed, "sizes", dict), len(channels) + len(OPTIONAL_GROUPS))
    return NetworkModel(
        weights=_read_weights(part(packed, "weights", dict), sizes),
        scaler=FrameScaler(mean_C.astype(np.float32), std_C.astype(np.float32)),
        channels=tuple(channels),
        groups=tuple(groups),
        length=integer(packed, "length", 1, MAX_LENGTH),
        sizes=sizes,
    )


def check_tensors(found: Mapping[str, Any], wanted: Mapping[str, Tensor], title: str) -> None:
    """Check that tensors from a file have the names, shapes and types of a network's.

    Args:
        found: By name.
        wanted: The network's ``state_dict``; on any device.
        title: What they are, as the message begins.

    Raises:
        DamagedDataError: They do not, or hold numbers that are not finite.
    """
    for name in wanted:
        if name not in found:
            raise DamagedDataError(f"{title}: {name} is missing")
    for name, tensor in found.items():
        if name not in wanted:
            raise DamagedDataError(f"{title}: expected no {str(name)[:60]!r}")
        check_tensor(tensor, wanted[name], f"{title}: {name}")


def check_tensor(found: object, wanted: Tensor, title: str) -> None:
    """Check one tensor from a file; see ``check_tensors``."""
    if (
        not isinstance(found, Tensor)
        or found.layout != torch.strided
        or found.is_meta
        or not found.is_contiguous()
    ):
        raise DamagedDataError(f"{title}: expected a dense tensor, got a {type(found).__name__}")
    if found.shape != wanted.shape or found.dtype != wanted.dtype:
        raise DamagedDataError(
            f"{title}: expected {tuple(wanted.shape)} of {wanted.dtype}, got "
            f"{tuple(found.shape)} of {found.dtype}"
        )
    if found.is_floating_point() and not np.isfinite(found.cpu().numpy()).all():
        raise DamagedDataError(f"{title}: expected finite numbers, got some that are not")


def _read_sizes(packed: Mapping[str, Any], num_channels: int) -> NetworkSizes:
    """Return the sizes of a packed fold whose frames have this many channels with flags."""
    known = {_NAMES_IN_FILES.get(one.name, one.name) for one in dataclasses.fields(NetworkSizes)}
    unknown = [str(name) for name in packed if name not in known]
    if unknown:
        raise DamagedDataError(f"sizes: expected no {unknown[0][:60]!r}")
    defaults = {
        "branches": [],
        "members": 1,
        "statistics_members": 0,
        "temperature": 1.0,
        "light_columns": [],
    }
    values = {**defaults, "tells_phase": False, "num_postures": 0, **packed}
    architecture = values.get("architecture", ARCHITECTURES[0])
    is_own = isinstance(architecture, str) and bool(OWN_ARCHITECTURE.fullmatch(architecture))
    if architecture not in ARCHITECTURES and not is_own:
        raise DamagedDataError(f"architecture: expected one of {', '.join(ARCHITECTURES)}")
    first, second = values["conv_channels"]
    widths = {"first": first, "second": second}
    return NetworkSizes(
        num_channels=integer(values, "num_channels", num_channels, num_channels),
        num_classes=integer(values, "num_classes", 1, MAX_CLASSES),
        conv_channels=(
            integer(widths, "first", 1, MAX_UNITS),
            integer(widths, "second", 1, MAX_UNITS),
        ),
        recurrent_units=integer(values, "recurrent_units", 1, MAX_UNITS),
        dropout=number(values, "dropout", 0.0, 1.0),
        architecture=architecture,
        branches=_read_branches(values["branches"], num_channels, architecture),
        members=integer(values, "members", 1, MAX_MEMBERS),
        statistics_members=integer(values, "statistics_members", 0, MAX_MEMBERS),
        temperature=number(values, "temperature", *TEMPERATURES),
        optional_columns=_read_columns(values["light_columns"], num_channels),
        has_phase_head=part(values, "tells_phase", bool),
        num_postures=integer(values, "num_postures", 0, MAX_CLASSES),
    )


def _read_branches(
    branches: object, num_channels: int, architecture: str
) -> tuple[tuple[str, tuple[int, ...]], ...]:
    if not isinstance(branches, list | tuple) or len(branches) > MAX_BRANCHES:
        raise DamagedDataError(f"branches: expected a list of at most {MAX_BRANCHES}")
    if bool(branches) != (architecture == "branches"):
        raise DamagedDataError("branches: expected some for the architecture of branches only")
    named = [(name, _read_columns(columns, num_channels)) for name, columns in branches]
    if not all(
        isinstance(name, str) and name.isidentifier() and columns for name, columns in named
    ):
        raise DamagedDataError("branches: expected names and columns")
    return tuple(named)


def _read_columns(columns: object, num_channels: int) -> tuple[int, ...]:
    if not isinstance(columns, list | tuple) or len(columns) > num_channels:
        raise DamagedDataError(f"columns: expected a list of at most {num_channels}")
    if not all(type(column) is int and 0 <= column < num_channels for column in columns):
        raise DamagedDataError(f"columns: expected whole numbers from 0 to {num_channels - 1}")
    if len(set(columns)) < len(columns):
        raise DamagedDataError("columns: expected different ones, got some twice")
    return tuple(columns)


def _read_weights(packed: Mapping[str, Any], sizes: NetworkSizes) -> dict[str, Tensor]:
    wanted = _state_of(dataclasses.replace(sizes, temperature=1.0, dropout=0.0))
    weights = {
        name: value if isinstance(value, Tensor) else torch.as_tensor(np.asarray(value))
        for name, value in packed.items()
    }
    check_tensors(weights, wanted, "weights")
    return weights


@lru_cache(maxsize=4)
def _state_of(sizes: NetworkSizes) -> dict[str, Tensor]:
    """Return the weights of a network, without memory; the folds of a run have the same."""
    with torch.device("meta"):
        return dict(make_network(sizes).state_dict())
