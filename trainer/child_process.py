"""A child process: it ends soon after the process that started it, however that ended.

In: the parent's pid. Out: nothing; a thread of the child looks at the parent.
"""

from __future__ import annotations

import os
import threading
import time

PARENT_POLL_S = 0.5


def end_with(parent: int) -> None:
    """Let this process end when its parent has ended.

    Args:
        parent: The parent's pid.
    """
    threading.Thread(target=_wait_for_end, args=(parent,), name="parent", daemon=True).start()


def _wait_for_end(parent: int) -> None:
    import psutil

    while os.getppid() == parent and psutil.pid_exists(parent):  # Windows keeps a dead parent's pid
        time.sleep(PARENT_POLL_S)
    os._exit(1)
