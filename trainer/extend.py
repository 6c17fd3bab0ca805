"""Extend: the functions that a file of your own code calls to add something to a run.

In: a Python file, named with ``--use FILE.py``. Out: feature blocks, networks and models, which a
run uses like ours. docs/your_own_code.md has an example of each.

    python -m trainer check FILE.py    tries a file within seconds

Shapes: N sequences, T time steps of all of them, C channels, K classes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeVar

from trainer.config import is_own_name
from trainer.data.preprocess import MOTION_SIGNALS as MOTION_SIGNALS
from trainer.data.preprocess import Signals as Signals
from trainer.features.own_blocks import Columns, FeatureBlock
from trainer.features.time_axis import TimeAxis as TimeAxis
from trainer.models.base import Model
from trainer.models.own_networks import Builder
from trainer.models.table_model import TableModel as TableModel
from trainer.own_description import FEATURE, MAX_MODELS, TITLE, WORDS

EXTEND_VERSION = 1  # raised when a function here changes its meaning

B = TypeVar("B", bound=Builder)
M = TypeVar("M", bound=Model | type[Model])
Compute = Callable[[Signals, TimeAxis], Columns]


class ExtendError(ValueError):
    """A registration that cannot be used; the message says what was expected."""


@dataclass
class Registrations:
    """What one file registers, in the order of its calls."""

    blocks: dict[str, FeatureBlock] = field(default_factory=dict)
    networks: dict[str, Builder] = field(default_factory=dict)
    models: dict[str, Model] = field(default_factory=dict)


_collected: ContextVar[Registrations | None] = ContextVar("registrations", default=None)


def feature_block(
    name: str, words: Mapping[str, str] | None = None
) -> Callable[[Compute], Compute]:
    """Register a function that computes columns of the feature table.

    The function gets ``Signals`` and the ``TimeAxis`` of N sequences, and returns (N,) numbers by
    column name. A name is ``sensor.signal.statistic``; its sensor (acc, rot, thm_1 to thm_5, tof_1
    to tof_5) is where importance and contributions count it, and without which it is missing. A
    number of a sequence must not depend on the other sequences. NaN is allowed only where the
    sensor has no value in the sequence.

    Args:
        name: Of the block: a to z, 0 to 9 and _.
        words: What columns mean, by their name: "mean size of the jerk".
    """
    meanings = dict(words or {})
    for column, text in meanings.items():
        if not re.fullmatch(FEATURE, column) or not re.fullmatch(WORDS, text):
            raise ExtendError(
                f"feature_block {name}: words: expected names sensor.signal.statistic and texts of "
                f"at most 160 letters, digits and .,;:()/%+'-; got {column!r}: {text!r}"
            )

    def register(compute: Compute) -> Compute:
        _add(
            "feature_block", name, lambda found: found.blocks, FeatureBlock(name, compute, meanings)
        )
        return compute

    return register


def network(name: str) -> Callable[[B], B]:
    """Register a network, which ``network.architecture=NAME`` selects.

    What is registered, a class or a function, is called with the number of channels C, the number
    of classes K and the dropout of the configuration, and returns an ``nn.Module`` whose
    ``forward(frames_NTC, lengths_N)`` returns logits (N, K). Frames are scaled, the real steps come
    first, and padded steps are zero; they must not change the logits. It is trained in float32 and
    predicts in float64. With a method ``forward_with_attention``, which returns logits and weights
    (N, T), the pages show its attention. Order, augmentation, optimizer, schedule and exact resume
    are ours.

    Args:
        name: Of the network: a to z, 0 to 9 and _; none of ours.
    """

    def register(builder: B) -> B:
        _add("network", name, lambda found: found.networks, builder)
        return builder

    return register


def model(model: M) -> M:
    """Register a whole model, an object or its class.

    ``trainer.models.base`` describes the interface; with ``TableModel`` two methods are enough.

    ``models=lgbm,torch,NAME`` trains it, and ``blend.weights.NAME=0.2`` gives it a weight. Its
    files have the default names and contain plain arrays.

    Args:
        model: The model; its name none of ours.
    """
    _add_model(model() if isinstance(model, type) else model)
    return model


def _add_model(model: object) -> None:
    if not isinstance(model, Model):
        raise ExtendError(f"model: expected a trainer.models.base.Model; got {model!r:.80}")
    _check_name("model", getattr(model, "name", None))
    for attribute in ("title", "phrase", "step_title", "step_name"):
        value = getattr(model, attribute, None)
        if not isinstance(value, str) or not re.fullmatch(TITLE, value):
            raise ExtendError(
                f"model {model.name}: {attribute}: expected 1 to 40 letters, digits, spaces and "
                f".+-; got {value!r:.80}"
            )
    patterns = (f"{model.name}_fold{{fold:02d}}.pkl", f"{model.name}_fold{{fold:02d}}_last.pkl")
    if (model.fold_file, model.checkpoint_file, model.file_format) != (*patterns, "arrays"):
        raise ExtendError(
            f"model {model.name}: expected the default fold_file, checkpoint_file and file_format"
        )
    _add("model", model.name, lambda found: found.models, model)


@contextmanager
def collecting() -> Iterator[Registrations]:
    """Collect the registrations of the file that is executed in the body."""
    registrations = Registrations()
    token = _collected.set(registrations)
    try:
        yield registrations
    finally:
        _collected.reset(token)


def _add(
    kind: str, name: str, table: Callable[[Registrations], dict[str, Any]], value: object
) -> None:
    """Add a registration; in a file that is not loaded by the trainer, only check it."""
    _check_name(kind, name)
    found = table(_collected.get() or Registrations())
    if name in found:
        raise ExtendError(f"{kind} {name}: registered twice; expected each name once")
    if len(found) >= MAX_MODELS:
        raise ExtendError(f"{kind}: expected at most {MAX_MODELS} of a file")
    found[name] = value


def _check_name(kind: str, name: object) -> None:
    if not isinstance(name, str) or not is_own_name(name):
        raise ExtendError(
            f"{kind}: expected a name of at most 40 of a to z, 0 to 9 and _, beginning with a "
            f"letter, and none of ours; got {name!r:.80}"
        )
