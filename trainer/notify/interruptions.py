"""Interruptions: a process that was killed cannot report it; its next start or a dashboard does.

In: the folders of runs and studies. Out: one notification for each interruption, sent by the first
process that finds it. A file in the run's folder, created exclusively, records that it was sent.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from trainer.notify import messages
from trainer.notify.notifier import Notifier
from trainer.store.durable import StoreError, create
from trainer.store.names import RunPaths
from trainer.store.reader import RunReader, list_runs
from trainer.store.run_state import DerivedState, derive_state
from trainer.study.trials import list_studies, study_of_run

LOOK_S = 5.0
RECENT_S = 86_400.0  # older interruptions are no news to a dashboard that has just started


def notify_at_start(root: Path, notifier: Notifier) -> None:
    """Send that the attempt before this one was interrupted, unless a dashboard has sent it."""
    if notifier.addresses and _is_interrupted(derive_state(RunReader(root))) and claim(root):
        notifier.send(messages.interrupted(root))


def claim(root: Path) -> bool:
    """Return whether the caller is the first to report the present interruption of a run."""
    status = derive_state(RunReader(root)).status
    if status is None:
        return False
    mark = RunPaths(root).interruption_mark(status.attempt)
    try:
        is_first = create(mark)
        for old in root.glob(RunPaths(root).interruption_mark("*").name):
            if old != mark:
                old.unlink(missing_ok=True)
    except OSError:
        return False  # a folder that cannot be written
    return is_first


class Watch:
    """Looks for interrupted runs and studies of a state folder, in a thread of the dashboard."""

    def __init__(self, state_dir: Path, addresses: Sequence[str]) -> None:
        """Prepare a watch.

        Args:
            state_dir: The state folder.
            addresses: Where to send every interruption.
        """
        self._state_dir = state_dir
        self._addresses = tuple(addresses)
        self._more: dict[Path, tuple[str, ...]] = {}
        self._active: set[Path] = set()
        self._suspected: dict[Path, int] = {}
        self._thread: threading.Thread | None = None
        if addresses:
            self._start()

    def add(self, root: Path, addresses: Sequence[str]) -> None:
        """Send interruptions of a run or study that was started here to more addresses."""
        self._more[root] = tuple(addresses)
        if addresses:
            self._start()

    def look(self) -> None:
        """Send the interruptions that were there at the previous look too."""
        before, self._suspected = self._suspected, {}
        runs = [run.root for run in list_runs(self._state_dir)]
        for root in filter(_is_recent, runs + list_studies(self._state_dir)):
            derived = derive_state(RunReader(root))
            if derived.is_active:
                self._active.add(root)
            if derived.status is not None and self._is_news(root, derived):
                self._suspected[root] = derived.status.attempt
                if before.get(root) == derived.status.attempt:
                    self._send(root)

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="interruptions", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                self.look()
            except (StoreError, OSError) as error:
                print(f"interruptions: {error}")
            time.sleep(LOOK_S)

    def _is_news(self, root: Path, derived: DerivedState) -> bool:
        """Return whether a run of this machine, or one that was seen active, is interrupted."""
        if derived.status is None or not _is_interrupted(derived):
            return False
        return root in self._active or derived.status.host == socket.gethostname()

    def _send(self, root: Path) -> None:
        addresses = tuple(dict.fromkeys([*self._addresses, *self._more.get(root, ())]))
        is_part = study_of_run(self._state_dir, root.name) is not None  # its study is reported
        if addresses and not (is_part and root.parent == self._state_dir) and claim(root):
            notifier = Notifier(addresses)
            notifier.send(messages.interrupted(root))
            notifier.close()


def _is_interrupted(derived: DerivedState) -> bool:
    return derived.state == "interrupted" and derived.status is not None


def _is_recent(root: Path) -> bool:
    try:
        return time.time() - RunPaths(root).status.stat().st_mtime < RECENT_S
    except OSError:
        return False
