"""A dataset in parts: one file of recordings in memory at a time, or one per worker.

In: a folder of Parquet files. Out: the feature table, and the frames in a mapped file.

Shapes: N sequences, F features, T time steps, C channels.
"""

from __future__ import annotations

import hashlib
import io
import os
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from trainer.data.device_orientation import Vectors
from trainer.data.partitions import Partitions, Survey
from trainer.data.sequences import FloatArray
from trainer.features.feature_table import FeatureTable
from trainer.features.frames import FRAME_VERSION, Frames, frame_layout
from trainer.run.inputs.dataset import KEEP_BLOCK_S, Dataset
from trainer.run.inputs.parts import Kind, PartMaker, PartTask, names_of
from trainer.store.checksums import CheckedFolder
from trainer.store.durable import StoreError, create, make_folder, replace, sync_folder
from trainer.store.file_kinds import file_sha256
from trainer.store.records import FileRef, dump_record, parse_record
from trainer.store.tables.feature_cache import FeatureParts, cache_key

TITLES = {"features": "Feature table", "frames": "Frames"}


@dataclass
class PartitionedDataset(Dataset):
    """Recordings in parts, one of them in memory at a time, or one per worker.

    Attributes:
        parts: The parts.
        surveyed: Sequences, labels and fingerprints of all parts.
        maker: Computes features and frames of a part.
        show: Receives the progress, in words.
    """

    parts: Partitions
    surveyed: Survey
    maker: PartMaker
    show: Callable[[str], None]
    _frames: Frames | None = field(default=None, kw_only=True)

    @property
    def frames(self) -> Frames:
        """Return the frames, mapped from a file."""
        assert self._frames is not None  # open_frames comes first
        return self._frames

    @property
    def orientation_NF(self) -> Vectors:
        """Return features for the orientation detector; the rotation changes their sign."""
        is_turned_N = np.isin(self.subjects, list(self.turned_subjects))
        return np.where(is_turned_N[:, None], -1.0, 1.0) * self.surveyed.orientation_NF

    def _build_table(self, parts: FeatureParts, poll: Callable[[], None]) -> FeatureTable:
        names = names_of(self.catalogue.groups, self.code)
        values_NF = np.empty((self.catalogue.num_sequences, len(names)), dtype=np.float32)
        left = self._place_kept(values_NF, parts)
        first, began = None, time.monotonic()
        with closing(self._make("features", left, poll)) as pieces:
            for number, then, piece_NF in zip(left, [*left[1:], None], pieces, strict=True):
                first = number if first is None else first
                values_NF[self._rows(number, number + 1)] = piece_NF
                is_long = time.monotonic() - began >= KEEP_BLOCK_S
                if number + 1 < len(self.parts) and (is_long or then != number + 1):
                    parts.save(_from(first), values_NF[self._rows(first, number + 1)], names)
                    first, began = None, time.monotonic()
        return FeatureTable(values_NF, names)

    def _place_kept(self, values_NF: FloatArray, parts: FeatureParts) -> list[int]:
        """Place the rows that earlier attempts have kept; return the parts that are missing."""
        left, number, num_features = [], 0, values_NF.shape[1]
        while number < len(self.parts):
            kept = parts.load(_from(number))
            first = self.surveyed.first_sequence
            after = first[number] + (0 if kept is None else len(kept[0]))
            if kept is None or after not in first[number + 1 :] or kept[0].shape[1] != num_features:
                left.append(number)
                number += 1
            else:
                number, before = first.index(after), number
                values_NF[self._rows(before, number)] = kept[0]
        return left

    def _rows(self, first: int, after: int) -> slice:
        """Return the rows of the sequences of parts ``first`` to ``after - 1``."""
        return slice(self.surveyed.first_sequence[first], self.surveyed.first_sequence[after])

    def _make(
        self, kind: Kind, numbers: Sequence[int], poll: Callable[[], None]
    ) -> Generator[FloatArray]:
        """Yield the rows of each of these parts, in order."""
        tasks = [self._task(number, kind) for number in numbers]
        with closing(self.maker.make(tasks, poll)) as pieces:
            for number, piece in zip(numbers, pieces, strict=True):
                self.show(f"{TITLES[kind]}: part {number + 1} of {len(self.parts)}")
                yield piece

    def _task(self, number: int, kind: Kind) -> PartTask:
        subjects = set(self.subjects[self._rows(number, number + 1)].tolist())
        return PartTask(
            part=self.parts.alone(number, subjects),
            fingerprint=self.surveyed.part_fingerprints[number],
            kind=kind,
            groups=self.catalogue.groups,
            mirrors=self.config.data.mirror_left_handers,
            turned=tuple(name for name in self.turned_subjects if name in subjects),
            code=self.code,
            motion=self.config.network.motion_channels,
        )

    def open_frames(self, folder: CheckedFolder, poll: Callable[[], None]) -> None:
        """Map the frames' file; write it first where it is missing or incomplete.

        Raises:
            StoreError: The disk is full.
        """
        network = self.config.network
        channels, groups = frame_layout(self.catalogue.groups, network.motion_channels)
        mirror = int(self.config.data.mirror_left_handers)
        key = cache_key(
            *(self.fingerprint, "frames", FRAME_VERSION, "mirror", mirror),
            *self._key_of_turned,
            *([network.motion] if network.motion else []),
        )
        name = f"units/frames_{key[:16]}.npy"
        shape = (self.catalogue.num_rows, len(channels))
        values_TC = _map(folder.root / name, shape) if _is_complete(folder, name) else None
        if values_TC is None:
            with closing(self._make("frames", range(len(self.parts)), poll)) as pieces:
                _write_array(folder, name, shape, pieces)
            values_TC = _map(folder.root / name, shape)
        assert values_TC is not None  # just written
        self._frames = Frames(self.catalogue.offsets, values_TC, channels, groups)


def _from(number: int) -> str:
    return f"from_part_{number:06d}"


def _record_name(name: str) -> str:
    return f"{name}.json"


def _is_complete(folder: CheckedFolder, name: str) -> bool:
    """Return whether a large file has its recorded checksum; it is read in pieces."""
    data = folder.read(_record_name(name))
    path = folder.root / name
    if data is None or not path.exists():
        return False
    ref = parse_record(data, folder.root / _record_name(name), FileRef)
    return file_sha256(path) == ref.sha256


def _map(path: Path, shape: tuple[int, int]) -> FloatArray | None:
    """Map the frames of a file; None where it has another shape or type than it was written in."""
    try:
        values_TC: FloatArray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    is_whole = isinstance(values_TC, np.memmap) and values_TC.flags.c_contiguous
    if not is_whole or values_TC.shape != shape or values_TC.dtype != np.dtype("<f4"):
        return None
    return values_TC


def _write_array(
    folder: CheckedFolder, name: str, shape: tuple[int, int], pieces: Iterator[FloatArray]
) -> None:
    """Write a ``.npy`` file piece by piece, durably, then record its checksum.

    It is not written through a mapping: a full disk would end the process without a message.
    """
    path = folder.root / name
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    header = io.BytesIO()
    layout = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_2_0(header, layout)
    digest, num_bytes = hashlib.sha256(), 0
    try:
        make_folder(path.parent)
        create(temporary)
        with temporary.open("wb") as file:
            for data in _with_header(header.getvalue(), pieces):
                file.write(data)
                digest.update(data)
                num_bytes += len(data)
            file.flush()
            os.fsync(file.fileno())
        replace(temporary, path)
        sync_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        needed = shape[0] * shape[1] * 4
        raise StoreError(
            f"{path}: could not write {needed:,} bytes ({error.strerror or error}). Make room, "
            f"then resume"
        ) from error
    except BaseException:  # a pause: the file is begun again, and no half is left
        temporary.unlink(missing_ok=True)
        raise
    ref = FileRef(name=name, sha256=digest.hexdigest(), num_bytes=num_bytes)
    folder.write(_record_name(name), dump_record(ref))


def _with_header(header: bytes, pieces: Iterator[FloatArray]) -> Iterator[bytes]:
    yield header
    for piece in pieces:
        yield np.ascontiguousarray(piece, dtype="<f4").tobytes()
