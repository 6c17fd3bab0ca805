"""Resources: what the trainer and its machine use, in the status and in the history."""

from __future__ import annotations

import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from trainer.store import resources
from trainer.store.names import RunPaths
from trainer.store.reader import RunReader, curves
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


def test_a_reading_is_the_average_since_the_one_before(tmp_path, monkeypatch):
    """3 s of processor in 2 s are 1.5 cores; the next reading begins anew; workers count too."""
    clock, busy = [100.0], [10.0]

    def busy_of(workers):
        return {1: busy[0], **dict.fromkeys(workers, 4.0)}

    monkeypatch.setattr(resources.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(resources.Meter, "_busy_of", lambda self, workers: busy_of(workers))
    meter = resources.Meter()
    clock[0], busy[0] = 102.0, 13.0
    assert meter.read(tmp_path)["trainer_cores"] == 1.5
    clock[0] = 112.0
    assert meter.read(tmp_path)["trainer_cores"] == 0.0
    clock[0] = 116.0
    assert meter.read(tmp_path, workers=(7, 8))["trainer_cores"] == 2.0


def test_a_worker_between_two_folds_counts_until_it_has_ended(tmp_path):
    """At the instant of a reading no fold may be at work; what was done before it is not lost."""
    command = [sys.executable, "-c", BUSY]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as worker:
        meter = resources.Meter()
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
    """The names are those that the pages draw; without a GPU in use there are none of a GPU."""
    reading = resources.Meter().read(tmp_path)
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
def test_graphics_memory_is_read_only_where_the_network_uses_it(monkeypatch, cuda, expected):
    """A reading never imports torch and never starts CUDA by itself."""
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    assert resources._gpu_memory() == expected


def test_the_heartbeat_keeps_readings_in_the_history(tmp_path, monkeypatch):
    """A line per reading, with its attempt; it is no point of a curve."""
    monkeypatch.setattr("trainer.store.recorder.BEAT_S", 0.01)
    monkeypatch.setattr(resources, "READING_S", 0.02)
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
    """The first comes after the interval, so a test's or a refused start's history is clean."""
    recorder = Recorder(RunPaths(tmp_path), 1, echo=lambda _: None)
    recorder.start()
    recorder.close(state="finished")
    assert RunReader(tmp_path).events() == []
