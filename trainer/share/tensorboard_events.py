"""TensorBoard: the curves and scores of a run as event files, one folder per fold and model.

In: a run and TensorBoard's log folder. Out: event files in ``FOLDER/RUN/``. The same points always
give the same bytes, so a second call, or one after a kill, appends what the file lacks, which a
running TensorBoard reads on. A file whose beginning differs (a fold was started over) is replaced.

Source of the format: records of ``tensorboard.summary.writer.record_writer``, as torch's own writer
uses it; the protobufs are those of TensorBoard's plugins.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from trainer.share.shared_run import SharedRun, demand, safe_key
from trainer.share.target_folder import claim, read_mark
from trainer.store.durable import StoreError, append_bytes, write_atomic
from trainer.store.event_log import Event
from trainer.store.file_kinds import read_file

PROGRAM = "TensorBoard"
FILE_NAME = "events.out.tfevents.gesture"  # TensorBoard reads files with "tfevents" in their name
VERSION = "brain.Event:2"  # the first record of every event file

Record = tuple[float, int, Any]  # time in s since 1970, step, summary


def share_to_tensorboard(run: SharedRun, folder: Path) -> str:
    """Write, or continue, the event files of a run; return what was done, in words.

    Raises:
        LibraryError: TensorBoard cannot be imported.
        RefusedError: The run's folder in it holds something else.
        StoreError: A file cannot be written.
    """
    demand("tensorboard", PROGRAM)
    root = claim(_place(folder, run), run, PROGRAM)
    num_points = 0
    for (model, fold), points in run.points.items():
        place = root / f"{model}_fold{fold:02d}" / FILE_NAME
        num_points += _extend(place, _curve(model, points))
    num_points += _extend(root / FILE_NAME, _scores(run))
    settings = root / f"{FILE_NAME}.settings"  # a protobuf map has no order: written once
    if not settings.exists():
        write_atomic(settings, b"".join(_encode([_session_start(run)])))
    return f"{root}: {num_points:,} points added. Show them: tensorboard --logdir {folder}"


def _place(folder: Path, run: SharedRun) -> Path:
    """Return the run's folder: that of an earlier call, perhaps under an earlier name, or a new."""
    if folder.is_dir():
        for place in sorted(folder.iterdir()):
            try:
                mark = read_mark(place) if place.is_dir() else None
            except StoreError:
                continue
            if mark is not None and (mark.run, mark.program) == (run.identity, PROGRAM):
                return place
    return folder / run.name


def _curve(model: str, points: Iterable[Event]) -> Iterator[Record]:
    """Yield the numbers of a fold's points; models have own names, since their steps differ."""
    for point in points:
        for name, value in point.values.items():
            if name != "step":
                yield _scalar(f"{model}/{safe_key(name)}", value, int(point.values["step"]), point)


def _scores(run: SharedRun) -> Iterator[Record]:
    """Yield the score of each finished fold, and at the end of the run those over all folds."""
    for (model, fold), event in sorted(run.fold_ends.items(), key=lambda pair: pair[1].time):
        if "score" in event.values:
            yield _scalar(f"fold_score/{model}", event.values["score"], fold, event)
    if not (run.is_finished and run.scores is not None and run.fold_ends):
        return
    last = max(run.fold_ends.values(), key=lambda event: event.time)
    for model, scores in run.scores.models.items():
        if scores.all_sensors.mean is not None:
            yield _scalar(f"score/{safe_key(model)}", scores.all_sensors.mean, 0, last)


def _scalar(tag: str, value: float, step: int, event: Event) -> Record:
    from tensorboard.plugins.scalar.summary_v2 import scalar_pb

    return event.time, step, scalar_pb(tag, value)


def _session_start(run: SharedRun) -> Record:
    from tensorboard.plugins.hparams.summary_v2 import hparams_pb

    made = run.run_file.created_at
    return made, 0, hparams_pb(run.settings, trial_id=run.identity, start_time_secs=made)


def _encode(records: Iterable[Record]) -> Iterator[bytes]:
    """Yield the bytes of each record of an event file, the first with the file's version."""
    from tensorboard.compat.proto.event_pb2 import Event as Entry
    from tensorboard.summary.writer.record_writer import RecordWriter

    for number, (time, step, summary) in enumerate(records):
        buffer = io.BytesIO()
        writer = RecordWriter(buffer)
        if number == 0:
            writer.write(Entry(wall_time=time, file_version=VERSION).SerializeToString())
        writer.write(Entry(wall_time=time, step=step, summary=summary).SerializeToString())
        yield buffer.getvalue()


def _extend(path: Path, records: Iterable[Record]) -> int:
    """Write what a file lacks of its records; return the number of records that are new."""
    encoded = list(_encode(records))
    wanted = b"".join(encoded)
    try:
        written = read_file(path)
    except FileNotFoundError:
        written = b""
    if not wanted.startswith(written):
        written = b""
    if not written and wanted:
        write_atomic(path, wanted)
    elif len(written) < len(wanted):
        append_bytes(path, wanted[len(written) :])
    ends = itertools.accumulate(map(len, encoded))
    return sum(end > len(written) for end in ends)
