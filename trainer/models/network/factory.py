"""The network of a fold: its sizes, and how it is built from them.

In: a fold's frames and the configuration. Out: ``NetworkSizes``, ``GestureNet``.
"""

from __future__ import annotations

from dataclasses import replace

from trainer.config import NetworkConfig
from trainer.features.frames import Frames, input_branches, num_input_channels
from trainer.models import own_networks
from trainer.models.network.augmentation import hideable_columns
from trainer.models.network.auxiliary_targets import AuxiliaryTargets
from trainer.models.network.composition import Ensemble, SensorRouter, imu_sizes
from trainer.models.network.gesture_net import GestureNet, NetworkSizes
from trainer.models.network.own_network import OwnNetwork
from trainer.models.network.submodels import BranchNet, StatisticsNet, TimeSeriesNet


def network_sizes(
    frames: Frames, num_classes: int, config: NetworkConfig, auxiliary: AuxiliaryTargets
) -> NetworkSizes:
    """Return the sizes of the network that fits a fold.

    Args:
        frames: The fold's inputs.
        num_classes: K.
        config: How it is trained.
        auxiliary: Its auxiliary targets.
    """
    return NetworkSizes(
        num_channels=num_input_channels(frames),
        num_classes=num_classes,
        conv_channels=config.conv_channels,
        recurrent_units=config.recurrent_units,
        dropout=config.dropout,
        architecture=config.kind,
        branches=input_branches(frames) if config.kind == "branches" else (),
        members=config.num_members,
        statistics_members=config.num_statistics_members,
        optional_columns=hideable_columns(frames) if config.imu_network else (),
        has_phase_head=auxiliary.phase_T is not None,
        num_postures=len(auxiliary.postures),
    )


def make_network(sizes: NetworkSizes) -> GestureNet:
    """Return a network with random weights."""
    net: GestureNet
    if sizes.optional_columns:
        whole = make_network(replace(sizes, optional_columns=()))
        net = SensorRouter(whole, make_network(imu_sizes(sizes)), sizes)
    else:
        members = [_make_submodel(sizes) for _ in range(sizes.members)]
        members += [StatisticsNet(sizes) for _ in range(sizes.statistics_members)]
        net = Ensemble(members) if len(members) > 1 else members[0]
    net.temperature = sizes.temperature
    return net


def _make_submodel(sizes: NetworkSizes) -> GestureNet:
    if own_networks.is_own(sizes.architecture):
        return OwnNetwork(sizes)
    return BranchNet(sizes) if sizes.architecture == "branches" else TimeSeriesNet(sizes)
