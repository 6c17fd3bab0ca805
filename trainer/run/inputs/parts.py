"""Parts: the feature table or the frames of one part of the recordings, in any process.

In: a ``PartTask``, small enough to be sent to a worker. Out: the part's rows of the feature table
or of the frames, the same bits in every process.

Shapes: N sequences, F features, T time steps, C channels.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, Protocol

from trainer.data.device_orientation import correct_orientation
from trainer.data.partitions import Partitions
from trainer.data.preprocess import Signals, preprocess
from trainer.data.schema import DataError
from trainer.data.sequences import FloatArray
from trainer.data.sources import fingerprint
from trainer.features.feature_table import align, blocks_of, build_block, feature_names, join_blocks
from trainer.features.frames import align_channels, build_frames, frame_layout
from trainer.own_code.code_files import CodeFile
from trainer.own_code.loader import load_approved
from trainer.run.inputs.dataset import NUM_BINS

Kind = Literal["features", "frames"]


@dataclass(frozen=True)
class PartTask:
    """One part, and what is computed of it.

    Attributes:
        part: The part alone.
        fingerprint: SHA-256 of the content that it had when the run first read it.
        kind: Rows of the feature table, or of the frames.
        groups: Sensor groups of all parts, which determine the columns.
        mirrors: Whether recordings of left-handers are mirrored.
        turned: Subjects of the part whose device orientation is corrected.
        code: Own code of the run, approved by the coordinator.
        motion: Channels of the frames, as ``NetworkConfig.motion``.
    """

    part: Partitions
    fingerprint: str
    kind: Kind
    groups: tuple[str, ...]
    mirrors: bool
    turned: tuple[str, ...]
    code: tuple[CodeFile, ...] = ()
    motion: str = "steps"

    @property
    def name(self) -> str:
        """Return the part's path in its folder."""
        return self.part.name(0)


class PartMaker(Protocol):
    """Computes features or frames of many parts: in this process, or on Dask's workers."""

    def make(self, tasks: Sequence[PartTask], poll: Callable[[], None]) -> Generator[FloatArray]:
        """Yield the rows of each part, in the order of the tasks.

        Args:
            tasks: The parts.
            poll: Called often; may raise to stop.
        """

    def close(self) -> None:
        """Release the workers."""


class LocalPartMaker:
    """Computes one part after the other, in this process."""

    def make(self, tasks: Sequence[PartTask], poll: Callable[[], None]) -> Generator[FloatArray]:
        """Yield the rows of each part, in the order of the tasks."""
        for task in tasks:
            yield make_part(task, poll)

    def close(self) -> None:
        """Do nothing."""


def make_part(task: PartTask, poll: Callable[[], None]) -> FloatArray:
    """Return (N, F) features or (T, C) frames of one part.

    Raises:
        DataError: It cannot be read, or is not what the run has seen.
    """
    poll()
    sequences = task.part.read(0)
    if fingerprint(sequences) != task.fingerprint:
        raise DataError(
            f"Part {task.name!r}: its content is not what this run read first. Put the part back "
            f"as it was, then resume; on several machines, see that all have the same folder."
        )
    poll()
    signals = preprocess(correct_orientation(sequences, task.turned, in_place=True), task.mirrors)
    if task.kind == "features":
        return _features(signals, task, poll)
    channels, groups = frame_layout(task.groups, task.motion)
    return align_channels(build_frames(signals, task.motion), channels, groups).values_TC


@lru_cache(maxsize=1)
def names_of(groups: tuple[str, ...], code: tuple[CodeFile, ...] = ()) -> tuple[str, ...]:
    """Return the names of the table of recordings of these sensor groups."""
    return feature_names(groups, NUM_BINS, load_approved(code).blocks)


def _features(signals: Signals, task: PartTask, poll: Callable[[], None]) -> FloatArray:
    own = load_approved(task.code).blocks
    blocks = [
        build_block(signals, block, NUM_BINS, poll, own, may_miss=False)
        for block in blocks_of(signals, own)
    ]
    return align(join_blocks(blocks), names_of(task.groups, task.code))
