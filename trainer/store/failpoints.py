"""Failpoints: named places inside every durable write where a test can pull the plug.

In: ``TRAINER_FAILPOINT=NAME:HIT`` in the environment. Out: SIGKILL at the HIT-th time the place is
reached; nothing at all where the name is not set. That the kill landed shows in the exit code.
"""

from __future__ import annotations

import os
import signal
from collections import Counter

FAILPOINTS = (
    "write.opened",  # the temporary file is there, empty
    "write.half",  # half of its bytes are in it
    "write.flushed",  # all of them, not yet on the disk
    "write.synced",  # on the disk, not yet renamed
    "replace.done",  # renamed, the folder not yet on the disk
    "folder.synced",
    "unit.rotated",  # the checkpoint is its previous generation, the new one not yet in place
    "unit.placed",  # the new generation is in place, no record names it
    "unit.recorded",
    "checksum.file_written",  # a whole file is in place, its checksum is not recorded
    "metrics.appended",
)

_armed, _, _hit = os.environ.get("TRAINER_FAILPOINT", "").partition(":")
_counts: Counter[str] = Counter()


def reach(name: str) -> None:
    """Pull the plug here, where a test has armed this place for this hit."""
    if name != _armed:
        return
    _counts[name] += 1
    if _counts[name] == int(_hit or 1):
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
