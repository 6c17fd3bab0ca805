"""Recordings of a run: held in memory where they lie in one file, else worked through by parts.

In: a configuration. Out: ``Material``. Of a folder of Parquet files one part is in memory at a
time; what is made of them is the feature table, and the network's frames in a mapped file.

Shapes: N sequences, F features, T time steps, C channels.
"""

from __future__ import annotations

import hashlib
import io
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from trainer.config import Config
from trainer.data.partitions import Partitions, survey
from trainer.data.preprocess import Signals, preprocess
from trainer.data.sequences import FloatArray, Sequences
from trainer.data.sources import check_trainable, fingerprint, load, open_partitions
from trainer.data.wearing import find_reversed, turn_back
from trainer.features.frames import (
    FRAME_VERSION,
    Frames,
    align_channels,
    build_frames,
    frame_layout,
)
from trainer.features.table import (
    FeatureTable,
    align,
    blocks_of,
    build_block,
    feature_names,
    join_blocks,
)
from trainer.run.material import NUM_BINS, Material
from trainer.store.cache import FeatureParts, cache_key
from trainer.store.checksums import CheckedFolder
from trainer.store.durable import StoreError, file_sha256, replace, sync_folder
from trainer.store.records import FileRef, dump_record, parse_record

KEEP_BLOCK_S = 3.0  # what took longer is kept: a table of 30 s is resumed


def load_material(config: Config) -> Material:
    """Read and check the recordings.

    Raises:
        DataError: They cannot be read or trained on.
    """
    parts = open_partitions(config.data.source)
    if parts is None:
        sequences = load(config.data.source)
        check_trainable(sequences, config.folds.count)
        turned = find_reversed(sequences) if config.data.turn_reversed else ()
        return WholeMaterial(
            config,
            sequences.catalogue,
            fingerprint(sequences),
            turn_back(sequences, turned),
            turned_subjects=turned,
        )
    told = survey(parts, fingerprint)
    check_trainable(told.catalogue, config.folds.count)
    return PartitionedMaterial(config, told.catalogue, told.fingerprint, parts, told.first_sequence)


@dataclass
class WholeMaterial(Material):
    """Recordings that are held in memory.

    Attributes:
        sequences: All of them, reversed devices turned back.
    """

    sequences: Sequences

    @cached_property
    def signals(self) -> Signals:
        """Return the preprocessed recordings."""
        return preprocess(self.sequences, self.config.data.mirror_left_handers)

    @cached_property
    def frames(self) -> Frames:
        """Return what the network sees."""
        return build_frames(self.signals)

    def open_frames(self, folder: CheckedFolder, poll: Callable[[], None]) -> None:
        """Do nothing: they are made in a moment, when first asked for."""

    def forget(self) -> None:
        """Let go of what the folds are fitted on, and of what it was made from."""
        super().forget()
        for name in ("signals", "frames"):
            self.__dict__.pop(name, None)

    def _build_table(self, parts: FeatureParts, poll: Callable[[], None]) -> FeatureTable:
        blocks = blocks_of(self.signals)
        return join_blocks([self._block(block, parts, poll) for block in blocks])

    def _block(self, block: str, parts: FeatureParts, poll: Callable[[], None]) -> FeatureTable:
        """Return one block of the table, from an earlier attempt where it was kept."""
        kept = parts.load(block)
        if kept is not None:
            return FeatureTable(*kept)
        began = time.monotonic()
        table = build_block(self.signals, block, NUM_BINS, poll)
        if time.monotonic() - began >= KEEP_BLOCK_S:
            parts.save(block, table.values_NF, table.names)
        return table


@dataclass
class PartitionedMaterial(Material):
    """Recordings in parts, one of them in memory at a time.

    Attributes:
        parts: The parts.
        first_sequence: (parts + 1,) position of each part's first sequence, then N.
    """

    parts: Partitions
    first_sequence: tuple[int, ...]
    _frames: Frames | None = field(default=None, kw_only=True)

    @property
    def frames(self) -> Frames:
        """Return what the network sees, mapped from a file."""
        assert self._frames is not None  # open_frames comes first
        return self._frames

    def _signals(self, number: int) -> Signals:
        return preprocess(self.parts.read(number), self.config.data.mirror_left_handers)

    def _build_table(self, parts: FeatureParts, poll: Callable[[], None]) -> FeatureTable:
        names = feature_names(self.catalogue.groups, NUM_BINS)
        values_NF = np.empty((self.catalogue.num_sequences, len(names)), dtype=np.float32)
        number = 0
        while number < len(self.parts):
            kept = parts.load(_from(number))
            first = self.first_sequence[number]
            if kept is None:
                number = self._build_some(values_NF, names, number, parts, poll)
            else:
                rows_NF, _ = kept
                values_NF[first : first + len(rows_NF)] = rows_NF
                number = self.first_sequence.index(first + len(rows_NF))
        return FeatureTable(values_NF, names)

    def _build_some(
        self,
        values_NF: FloatArray,
        names: tuple[str, ...],
        number: int,
        parts: FeatureParts,
        poll: Callable[[], None],
    ) -> int:
        """Write the rows of some parts, for as long as a pause may cost; return the next part."""
        first, began = number, time.monotonic()
        while number == first or (
            number < len(self.parts) and time.monotonic() - began < KEEP_BLOCK_S
        ):
            signals = self._signals(number)
            blocks = [build_block(signals, block, NUM_BINS, poll) for block in blocks_of(signals)]
            rows = slice(*self.first_sequence[number : number + 2])
            values_NF[rows] = align(join_blocks(blocks), names)
            number += 1
        if number < len(self.parts):
            done = slice(self.first_sequence[first], self.first_sequence[number])
            parts.save(_from(first), values_NF[done], names)
        return number

    def open_frames(self, folder: CheckedFolder, poll: Callable[[], None]) -> None:
        """Map the frames' file; write it first where it is not there or not whole.

        Raises:
            StoreError: There is no room for it.
        """
        channels, groups = frame_layout(self.catalogue.groups)
        mirror = int(self.config.data.mirror_left_handers)
        key = cache_key(self.fingerprint, "frames", FRAME_VERSION, "mirror", mirror)
        name = f"units/frames_{key[:16]}.npy"
        if not _is_whole(folder, name):
            shape = (self.catalogue.num_rows, len(channels))
            values = (self._aligned(number, channels, groups, poll) for number in self._numbers())
            _write_array(folder, name, shape, values)
        values_TC = np.load(folder.root / name, mmap_mode="r")
        self._frames = Frames(self.catalogue.offsets, values_TC, channels, groups)

    def _numbers(self) -> range:
        return range(len(self.parts))

    def _aligned(
        self,
        number: int,
        channels: tuple[str, ...],
        groups: tuple[str, ...],
        poll: Callable[[], None],
    ) -> FloatArray:
        poll()
        return align_channels(build_frames(self._signals(number)), channels, groups).values_TC


def _from(number: int) -> str:
    """Return the name of what is kept of the parts from one on."""
    return f"from_part_{number:06d}"


def _record_name(name: str) -> str:
    return f"{name}.json"


def _is_whole(folder: CheckedFolder, name: str) -> bool:
    """Return whether a large file has the content that was recorded; it is read in pieces."""
    data = folder.read(_record_name(name))
    path = folder.root / name
    if data is None or not path.exists():
        return False
    ref = parse_record(data, folder.root / _record_name(name), FileRef)
    return file_sha256(path) == ref.sha256


def _write_array(
    folder: CheckedFolder, name: str, shape: tuple[int, int], pieces: Iterator[FloatArray]
) -> None:
    """Write a ``.npy`` file piece by piece, durably, then record its checksum.

    It is not written through a mapping: a full disk would end the process without a word.
    """
    path = folder.root / name
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    header = io.BytesIO()
    told = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_2_0(header, told)
    digest, num_bytes = hashlib.sha256(), 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
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
    except BaseException:  # a pause asked for meanwhile: it is begun again, and not left half
        temporary.unlink(missing_ok=True)
        raise
    ref = FileRef(name=name, sha256=digest.hexdigest(), num_bytes=num_bytes)
    folder.write(_record_name(name), dump_record(ref))


def _with_header(header: bytes, pieces: Iterator[FloatArray]) -> Iterator[bytes]:
    yield header
    for piece in pieces:
        yield np.ascontiguousarray(piece, dtype="<f4").tobytes()
