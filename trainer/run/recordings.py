"""Recordings of a run: held in memory where they lie in one file, else worked through by parts.

In: a configuration. Out: ``Dataset``. Of a folder of Parquet files one part is in memory at a
time; what is made of them is the feature table, and the network's frames in a mapped file.

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
from functools import cached_property

import numpy as np

from trainer.config import Config
from trainer.data.device_orientation import correct_orientation, find_reversed, find_reversed_by
from trainer.data.partitions import Partitions, Survey, survey
from trainer.data.preprocess import Signals, preprocess
from trainer.data.sequences import FloatArray, Sequences
from trainer.data.sources import check_trainable, fingerprint, load, open_partitions
from trainer.features.feature_table import FeatureTable, blocks_of, build_block, join_blocks
from trainer.features.frames import FRAME_VERSION, Frames, build_frames, frame_layout
from trainer.run.dataset import NUM_BINS, Dataset
from trainer.run.parts import Kind, MadeHere, PartMaker, PartTask, names_of
from trainer.store.checksums import CheckedFolder
from trainer.store.durable import StoreError, file_sha256, replace, sync_folder
from trainer.store.feature_cache import FeatureParts, cache_key
from trainer.store.records import FileRef, dump_record, parse_record

SHOWN = {"features": "Feature table", "frames": "The network's frames"}
KEEP_BLOCK_S = 3.0  # what took longer is kept: a table of 30 s is resumed


def load_dataset(
    config: Config,
    maker: PartMaker = MadeHere(),  # noqa: B008 - knows nothing
    show: Callable[[str], None] = lambda _: None,
) -> Dataset:
    """Read and check the recordings.

    Args:
        config: The run's configuration.
        maker: Who works out the parts, where they lie in several.
        show: Told how far that is.

    Raises:
        DataError: They cannot be read or trained on.
    """
    parts = open_partitions(config.data.source)
    if parts is None:
        sequences = load(config.data.source)
        check_trainable(sequences, config.folds.count)
        turned = find_reversed(sequences) if config.data.turn_reversed else ()
        return InMemoryDataset(
            config,
            sequences.catalogue,
            fingerprint(sequences),
            correct_orientation(sequences, turned, in_place=True),  # the fingerprint is taken
            turned_subjects=turned,
        )
    told = survey(parts, fingerprint)
    catalogue = told.catalogue
    check_trainable(catalogue, config.folds.count)
    turned = ()
    if config.data.turn_reversed:
        turned = find_reversed_by(catalogue.subjects, told.held_N3)
    return PartitionedDataset(
        config, catalogue, told.fingerprint, parts, told, maker, show, turned_subjects=turned
    )


@dataclass
class InMemoryDataset(Dataset):
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
class PartitionedDataset(Dataset):
    """Recordings in parts, one of them in memory at a time, or one per worker.

    Attributes:
        parts: The parts.
        told: What a look at all of them has told.
        maker: Who works them out.
        show: Told how far that is.
    """

    parts: Partitions
    told: Survey
    maker: PartMaker
    show: Callable[[str], None]
    _frames: Frames | None = field(default=None, kw_only=True)

    @property
    def frames(self) -> Frames:
        """Return what the network sees, mapped from a file."""
        assert self._frames is not None  # open_frames comes first
        return self._frames

    def _build_table(self, parts: FeatureParts, poll: Callable[[], None]) -> FeatureTable:
        names = names_of(self.catalogue.groups)
        values_NF = np.empty((self.catalogue.num_sequences, len(names)), dtype=np.float32)
        left = self._place_kept(values_NF, parts)
        first, began = None, time.monotonic()
        with closing(self._made("features", left, poll)) as pieces:
            for number, then, piece_NF in zip(left, [*left[1:], None], pieces, strict=True):
                first = number if first is None else first
                values_NF[self._rows(number, number + 1)] = piece_NF
                is_long = time.monotonic() - began >= KEEP_BLOCK_S
                if number + 1 < len(self.parts) and (is_long or then != number + 1):
                    parts.save(_from(first), values_NF[self._rows(first, number + 1)], names)
                    first, began = None, time.monotonic()
        return FeatureTable(values_NF, names)

    def _place_kept(self, values_NF: FloatArray, parts: FeatureParts) -> list[int]:
        """Put in its place what earlier attempts have kept; return the parts that are left."""
        left, number = [], 0
        while number < len(self.parts):
            kept = parts.load(_from(number))
            if kept is None:
                left.append(number)
                number += 1
            else:
                after = self.told.first_sequence[number] + len(kept[0])
                number, before = self.told.first_sequence.index(after), number
                values_NF[self._rows(before, number)] = kept[0]
        return left

    def _rows(self, first: int, after: int) -> slice:
        """Return where the sequences of some parts are, up to one that is not among them."""
        return slice(self.told.first_sequence[first], self.told.first_sequence[after])

    def _made(
        self, kind: Kind, numbers: Sequence[int], poll: Callable[[], None]
    ) -> Generator[FloatArray]:
        """Yield what is made of each of these parts, in order."""
        tasks = [self._task(number, kind) for number in numbers]
        with closing(self.maker.make(tasks, poll)) as pieces:
            for number, piece in zip(numbers, pieces, strict=True):
                self.show(f"{SHOWN[kind]}: part {number + 1} of {len(self.parts)}")
                yield piece

    def _task(self, number: int, kind: Kind) -> PartTask:
        subjects = set(self.subjects[self._rows(number, number + 1)].tolist())
        return PartTask(
            part=self.parts.alone(number, subjects),
            fingerprint=self.told.part_fingerprints[number],
            kind=kind,
            groups=self.catalogue.groups,
            mirrors=self.config.data.mirror_left_handers,
            turned=tuple(name for name in self.turned_subjects if name in subjects),
        )

    def open_frames(self, folder: CheckedFolder, poll: Callable[[], None]) -> None:
        """Map the frames' file; write it first where it is not there or not whole.

        Raises:
            StoreError: There is no room for it.
        """
        channels, groups = frame_layout(self.catalogue.groups)
        mirror = int(self.config.data.mirror_left_handers)
        key = cache_key(
            *(self.fingerprint, "frames", FRAME_VERSION, "mirror", mirror), *self._key_of_turned
        )
        name = f"units/frames_{key[:16]}.npy"
        if not _is_whole(folder, name):
            shape = (self.catalogue.num_rows, len(channels))
            with closing(self._made("frames", range(len(self.parts)), poll)) as pieces:
                _write_array(folder, name, shape, pieces)
        values_TC = np.load(folder.root / name, mmap_mode="r")
        self._frames = Frames(self.catalogue.offsets, values_TC, channels, groups)


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
