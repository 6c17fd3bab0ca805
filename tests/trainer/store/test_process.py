"""Process: who holds a run, and what the trainer and its machine use."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from trainer.store import process
from trainer.store.event_log import curves
from trainer.store.names import RunPaths
from trainer.store.process import ProcessIdentity, boot_id, liveness, own_identity
from trainer.store.reader import RunReader
from trainer.store.recorder import Recorder

BUSY = """
import time
input()
began = time.process_time()
while time.process_time() - began < 0.3:
    pass
print(flush=True)
input()
"""
SPACE = {"used_memory_mb", "free_memory_mb", "free_disk_mb"}


def test_a_recycled_pid_is_recognised_by_its_start_time():
    """The same pid, started a minute later, is another process; rounding is tolerated."""
    own = own_identity()
    assert liveness(own) == "alive"
    assert liveness(ProcessIdentity(own.host, own.boot_id, own.pid, own.started + 1.0)) == "alive"
    assert liveness(ProcessIdentity(own.host, own.boot_id, own.pid, own.started + 60.0)) == "dead"
    assert liveness(ProcessIdentity(own.host, "earlier boot", own.pid, own.started)) == "dead"
    assert liveness(ProcessIdentity("elsewhere", own.boot_id, own.pid, own.started)) == "unknown"
    for pid in (-1, 2**40, 10**30):  # no process can have it
        assert liveness(ProcessIdentity(own.host, own.boot_id, pid, own.started)) == "dead"
    assert boot_id() == own.boot_id


def test_a_zombie_is_dead():
    """A trainer that ended while its parent has not yet waited for it."""
    import psutil

    child = subprocess.Popen([sys.executable, "-c", ""])
    started = psutil.Process(child.pid).create_time()
    zombie = ProcessIdentity(socket.gethostname(), boot_id(), child.pid, started)
    while psutil.Process(child.pid).status() != psutil.STATUS_ZOMBIE:
        pass
    assert liveness(zombie) == "dead"
    child.wait()
    assert liveness(zombie) == "dead"


def test_a_process_that_may_not_be_inspected_is_unknown(monkeypatch):
    """Another user's process is neither alive nor dead."""
    import psutil

    def denied(_):
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil, "Process", denied)
    own = ProcessIdentity(socket.gethostname(), boot_id(), os.getpid(), 1.0)
    assert liveness(own) == "unknown"


def test_a_reading_is_the_average_since_the_one_before(tmp_path, monkeypatch):
    """3 s of processor in 2 s are 1.5 cores; the next reading starts at zero; workers count."""
    clock, busy = [100.0], [10.0]

    def busy_of(workers):
        return {1: busy[0], **dict.fromkeys(workers, 4.0)}

    monkeypatch.setattr(process.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(process.Meter, "_busy_of", lambda self, workers: busy_of(workers))
    meter = process.Meter()
    clock[0], busy[0] = 102.0, 13.0
    assert meter.read(tmp_path)["trainer_cores"] == 1.5
    clock[0] = 112.0
    assert meter.read(tmp_path)["trainer_cores"] == 0.0
    clock[0] = 116.0
    assert meter.read(tmp_path, workers=(7, 8))["trainer_cores"] == 2.0


def test_a_worker_between_two_folds_counts_until_it_has_ended(tmp_path):
    """Work that ended before a reading counts, even if no fold is being fitted at that moment."""
    command = [sys.executable, "-c", BUSY]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as worker:
        meter = process.Meter()
        meter.read(tmp_path, workers=(worker.pid,))
        before_s = meter._busy_s[worker.pid]
        worker.stdin.write("\n")
        worker.stdin.flush()
        worker.stdout.readline()
        meter.read(tmp_path)
        assert meter._busy_s[worker.pid] - before_s >= 0.2
        worker.kill()
    meter.read(tmp_path)
    assert worker.pid not in meter._busy_s


def test_a_reading_holds_processor_memory_and_disk(tmp_path):
    """The names are those that the pages plot; GPU values appear only while a GPU is used."""
    reading = process.Meter().read(tmp_path)
    assert set(reading) == {"trainer_cores", "machine_cpu_percent", *SPACE}
    assert 0 < reading["used_memory_mb"] < 100_000
    assert 0 <= reading["machine_cpu_percent"] <= 100


@pytest.mark.parametrize(
    ("cuda", "expected"),
    [
        (None, {}),  # torch is being imported right now
        (SimpleNamespace(is_initialized=lambda: False), {}),
        (
            SimpleNamespace(
                is_initialized=lambda: True, mem_get_info=lambda: (3 * 2**30, 8 * 2**30)
            ),
            {"gpu_used_memory_mb": 5120, "gpu_free_memory_mb": 3072},
        ),
    ],
)
def test_gpu_memory_is_read_only_if_torch_uses_the_gpu(monkeypatch, cuda, expected):
    """A reading never imports torch and never starts CUDA by itself."""
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    assert process._gpu_memory() == expected


def test_the_heartbeat_writes_readings_to_the_event_log(tmp_path, monkeypatch):
    """One line per reading, with its attempt; it is not a point of a curve."""
    monkeypatch.setattr("trainer.store.recorder.BEAT_S", 0.01)
    monkeypatch.setattr(process, "READING_S", 0.02)
    recorder = Recorder(RunPaths(tmp_path), 3, echo=lambda _: None)
    recorder.start()
    reader = RunReader(tmp_path)
    for _ in range(200):
        if len(reader.events()) >= 2:
            break
        time.sleep(0.02)
    recorder.close(state="finished")
    beats = reader.events()
    assert len(beats) >= 2
    assert {(beat.event, beat.attempt) for beat in beats} == {("beat", 3)}
    assert set(beats[0].values) >= SPACE
    assert curves(beats).is_empty()


def test_a_short_run_has_no_reading(tmp_path):
    """The first comes after the interval, so a refused start writes none."""
    recorder = Recorder(RunPaths(tmp_path), 1, echo=lambda _: None)
    recorder.start()
    recorder.close(state="finished")
    assert RunReader(tmp_path).events() == []
