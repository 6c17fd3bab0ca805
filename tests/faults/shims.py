"""Shims: what is put between a forked trainer and its world before it begins.

In: options. Out: nothing; the process is changed. None of them touches what the trainer computes.
"""

from __future__ import annotations

import errno
import os
import resource
import threading
import time
from pathlib import Path

from trainer.features import feature_table
from trainer.run import fold_job, machine, pipeline, stop_signal
from trainer.run.inputs import dataset, partitioned_dataset, recordings
from trainer.store import durable, fold_files, locks, records


def keep_every_block():
    """Keep each block of the feature table, as a run does whose table takes half a minute."""
    recordings.KEEP_BLOCK_S = partitioned_dataset.KEEP_BLOCK_S = 0.0


def pause_at(call, in_features=False):
    """Request a pause at the n-th safe point of the process, counted from 1.

    The feature table alone has hundreds, one per column: they are counted by themselves.
    """
    poll, build = stop_signal.StopSignal.is_set, pipeline.Pipeline._build_inputs
    publish = stop_signal.StopSignal.status_changes
    seen, is_building, is_publishing = 0, False, False

    def build_inputs(*arguments):
        nonlocal is_building
        is_building = True
        build(*arguments)
        is_building = False

    def status_changes(stop):  # a look for the status is no safe point
        nonlocal is_publishing
        if threading.current_thread() is not threading.main_thread():
            return publish(stop)
        is_publishing = True
        changes = publish(stop)
        is_publishing = False
        return changes

    def is_set(stop):
        nonlocal seen
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and is_building == in_features and not is_publishing:
            seen += 1
            if seen == call:
                stop.reason = "requested by the fault suite"
        return poll(stop)

    pipeline.Pipeline._build_inputs = build_inputs
    stop_signal.StopSignal.status_changes = status_changes
    stop_signal.StopSignal.is_set = is_set


def failpoint(name, hit):
    """Arm a failpoint, as ``TRAINER_FAILPOINT=NAME:HIT`` does for a process of its own."""
    assert name in durable.FAILPOINTS
    durable._armed, durable._hit = name, str(hit)


def count_failpoints(target):
    """Write down how often each failpoint is reached."""
    counts = dict.fromkeys(durable.FAILPOINTS, 0)

    def reach(name):
        if threading.current_thread() is threading.main_thread():
            counts[name] += 1
            Path(target).write_text(repr(counts))

    replace_everywhere(durable.reach, reach)


def failing_disk(call, code, forever, marker):
    """Let the n-th call that changes the disk fail, or that and every later one.

    A write fails after half of its bytes, as on a disk that has just become full. Calls are
    counted on the main thread; the heartbeat fails with the others once a disk fails for ever.
    A file named ``marker`` shows that the call was reached.
    """
    seen = 0

    def is_failing():
        nonlocal seen
        is_main = threading.current_thread() is threading.main_thread()
        seen += is_main
        is_now = seen >= call and (forever or (seen == call and is_main))
        if is_now:
            os.close(os.open(marker, os.O_CREAT | os.O_WRONLY))
        return is_now

    def guarded(function):
        def call_or_fail(*arguments, **options):
            if is_failing():
                raise OSError(code, os.strerror(code))
            return function(*arguments, **options)

        return call_or_fail

    open_file = Path.open

    def open_guarded(path, mode="r", *arguments, **options):
        file = open_file(path, mode, *arguments, **options)
        return file if mode in ("r", "rb") else _FailingFile(file, is_failing, code)

    Path.open = open_guarded
    for name in ("fsync", "replace", "ftruncate"):
        setattr(durable.os, name, guarded(getattr(os, name)))


class _FailingFile:
    """A file whose writes can fail half-way."""

    def __init__(self, file, is_failing, code):
        self.file, self.is_failing, self.code = file, is_failing, code

    def write(self, data):
        if self.is_failing():
            self.file.write(data[: len(data) // 2])
            self.file.flush()
            raise OSError(self.code, os.strerror(self.code))
        return self.file.write(data)

    def __enter__(self):
        self.file.__enter__()
        return self

    def __exit__(self, *problem):
        return self.file.__exit__(*problem)

    def __getattr__(self, name):
        return getattr(self.file, name)


def file_size_limit(num_bytes):
    """Let the operating system refuse any file that grows beyond a size (``EFBIG``)."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, num_bytes))


def clock_jumps(seconds):
    """Move the wall clock by so many seconds half a second after the process began."""
    now, began = time.time, time.monotonic()
    time.time = lambda: now() + (seconds if time.monotonic() - began > 0.2 else 0.0)


def other_feature_code():
    """Be a later version of the feature code."""
    for module in (feature_table, machine, dataset):
        module.FEATURE_VERSION += 1


def other_library():
    """Be a process with another LightGBM and another numpy, whose bits agree."""
    versions = machine.versions
    found = {**versions(), "lightgbm": "9.9.9"}
    replace_everywhere(versions, lambda: found)


def other_bits():
    """Be a machine on which the canaries have other hashes."""
    from trainer.run import frozen_config

    replace_everywhere(
        frozen_config.canary_hashes, lambda config: dict.fromkeys(config.models, "another hash")
    )


def wait_for(path):
    """Start only when a file appears: a barrier for two trainers."""
    while not Path(path).exists():
        time.sleep(0.001)


def slow_rounds(seconds):
    """Wait at every safe point of a fold, so that there is time to send signals."""
    poll = fold_job.FoldMonitor.should_stop

    def should_stop(monitor):
        time.sleep(seconds)
        return poll(monitor)

    fold_job.FoldMonitor.should_stop = should_stop


def slow_writes(seconds):
    """Wait in the middle of every durable write, so that a signal lands inside one."""
    reach = durable.reach

    def wait_there(name):
        if name == "write.half" and threading.current_thread() is threading.main_thread():
            time.sleep(seconds)
        reach(name)

    replace_everywhere(reach, wait_there)


def no_lock():
    """Be on a file system whose locks always succeed."""

    class NoLock:
        def release(self):
            pass

    replace_everywhere(locks.acquire, lambda path, **options: NoLock())


def replace_everywhere(old, new):
    """Put a function in the place of another in every module of the trainer that imported it."""
    import sys

    places = [
        (module, name)
        for key, module in list(sys.modules.items())
        if key.startswith("trainer") and module is not None
        for name, value in list(vars(module).items())
        if value is old
    ]
    assert places
    for module, name in places:
        setattr(module, name, new)


FULL, BROKEN = errno.ENOSPC, errno.EIO


def write_in_place():
    """Write over the old file, without a temporary one and a rename."""

    def write_over(path, data, durable=True):
        real_write(path, data, durable)

    real_write = durable.write_new
    replace_everywhere(durable.write_atomic, write_over)


def record_before_file():
    """Name the checksum of a checkpoint before the checkpoint is there."""

    def commit(store, data, progress):
        ref = records.FileRef(
            name=store.paths.last, sha256=durable.sha256(data), num_bytes=len(data)
        )
        kept = store.record.last
        store._commit_record(progress.model_copy(update={"last": ref, "last_previous": kept}))
        real_commit(store, data, progress)

    real_commit = fold_files.FoldFiles.commit_last
    fold_files.FoldFiles.commit_last = commit


def keep_no_previous():
    """Replace a checkpoint without keeping the generation before."""

    def forget(store):
        return None

    fold_files.FoldFiles._keep_previous = forget


def no_checksums():
    """Take whatever bytes a file has."""

    def read(store, path, ref):
        return path.read_bytes() if path.exists() else None

    fold_files.FoldFiles._read_verified = read


def no_fsync():
    """Never flush anything to the disk."""
    durable.os.fsync = lambda descriptor: None


def no_folder_sync():
    """Flush contents but never the names that renames gave them."""
    replace_everywhere(durable.sync_folder, lambda folder: None)


def record_disk(root, target):
    """Write down every change and every flush of a run folder; see ``tests.faults.power``."""
    from tests.faults.power import DiskRecorder

    DiskRecorder(Path(root), Path(target)).listen()
