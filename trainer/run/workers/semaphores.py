"""Semaphores: the room that joblib's workers need for them, and those that a kill leaves behind.

In: the last status of an earlier start. Out: its semaphores are gone. Joblib (loky) names them
``loky-<pid>-...`` after the process that creates them, here the trainer, and a helper process
removes them when the trainer ends, unless it is killed too.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
from pathlib import Path

from trainer.store.process import boot_id
from trainer.store.records import Status

SHARED_MEMORY = Path("/dev/shm")  # of Linux; elsewhere semaphores are no files
CLOCK_TOLERANCE_S = 60.0
MIN_FREE_BYTES = 1 << 20  # a worker has six semaphores, each of which takes a page of memory


def has_room() -> bool:
    """Return whether there is room for the semaphores of workers."""
    if not SHARED_MEMORY.is_dir():
        return True
    return shutil.disk_usage(SHARED_MEMORY).free >= MIN_FREE_BYTES


def remove_semaphores(earlier: Status) -> int:
    """Remove the semaphores of an earlier start of this run; return how many there were.

    Only those of its process are touched: the pid is of this machine and of no living process, and
    the files are this user's and as old as that trainer.
    """
    import psutil

    is_here = (earlier.host, earlier.boot_id) == (socket.gethostname(), boot_id())
    if not is_here or earlier.pid <= 0 or psutil.pid_exists(earlier.pid):
        return 0
    began = earlier.process_started - CLOCK_TOLERANCE_S
    ended = earlier.heartbeat_at + CLOCK_TOLERANCE_S
    num_removed = 0
    for path in SHARED_MEMORY.glob(f"sem.loky-{earlier.pid}-*"):
        with contextlib.suppress(OSError):  # gone meanwhile
            stat = path.lstat()
            if stat.st_uid == os.getuid() and began <= stat.st_mtime <= ended:
                path.unlink()
                num_removed += 1
    return num_removed
