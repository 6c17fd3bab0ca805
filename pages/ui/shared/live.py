"""Live refresh: a page runs again when a file of its run changed, and only then.

In: a run. Out: reruns. One watchdog observer per server counts the changes of each run folder; one
fragment per page reads the counter every second while a trainer is active. Every 5 s it also
compares the files' times and sizes, since events get lost on network drives and in containers, and
checks the other runs and the studies for a change of state.
"""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import streamlit as st
from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import ObservedWatch

from pages.ui.shared import frame, toasts
from trainer.run import control
from trainer.store.process import boot_id
from trainer.store.reader import RunReader
from trainer.store.run_state import DerivedState, derive_state
from trainer.study.trials import list_studies

TICK_S = 1.0  # while a trainer is active
IDLE_TICK_S = 5.0  # otherwise: a run may be started or resumed in a terminal
COMPARE_S = 4.5  # between two comparisons of the files; less than an idle tick
LAUNCH_S = 120.0  # a busy machine may need this long until a trainer's first status
MAX_WATCHED = 64  # run folders under one observer

STATUS_FILE = "status.json"  # replaced at every heartbeat; the fragment reads it anyway
COUNTED_EVENTS = ("created", "modified", "moved", "deleted")  # not: opened, closed
COUNTED_SUFFIXES = (".json", ".jsonl", ".parquet", ".csv", ".log")

_LAUNCHED = "live_launched"  # folder of the run or study, pid of its trainer, and when
_COMPARED = "live_compared_at"
_DRAWN = "live_drawn"  # the snapshot for which the fragment was last drawn


@dataclass(frozen=True)
class Snapshot:
    """The state of a run when a page began to load; later changes make the page run again.

    Attributes:
        count: Changes of its folder that were counted.
        files: Times and sizes of its files, the names of all runs, and how far studies are.
        activity: The part of its status that the page shows.
        is_busy: Whether a trainer is active or about to be.
    """

    count: int
    files: object
    activity: object
    is_busy: bool


class FolderWatcher(FileSystemEventHandler):
    """Counts the changes in each watched folder; a folder is watched from its first count.

    A folder that is moved or deleted, and made anew under its name, is watched anew.
    """

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._watches: dict[str, ObservedWatch | None] = {}
        self._folders: dict[str, int] = {}  # the inode that is watched
        self._lock = threading.Lock()
        self._observer = Observer()
        self._observer.daemon = True
        self._observer.start()

    def count(self, folder: Path) -> int:
        """Return how many changes the folder has had since the first call."""
        key = str(folder)
        with self._lock:
            inode = _inode(folder)
            if inode is not None and self._folders.get(key) != inode:
                self._watch(key)
                self._folders[key] = inode
                self._counts[key] += 1
            return self._counts[key]

    def stop(self) -> None:
        """Stop observing."""
        self._observer.stop()

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Count a change of a file that pages show."""
        if event.is_directory and event.event_type == "deleted":
            self._folders.pop(str(event.src_path), None)  # one made anew may have its inode
        path = Path(str(event.dest_path or event.src_path))
        if event.event_type in COUNTED_EVENTS and _is_counted(path.name):
            self._counts[str(path.parent)] += 1

    def _watch(self, key: str) -> None:
        try:
            if key in self._watches:
                self._forget(key)
            if len(self._watches) >= MAX_WATCHED:
                self._forget(next(iter(self._watches)))
            self._watches[key] = self._observer.schedule(self, key, recursive=False)
        except OSError:
            self._watches[key] = None  # inotify is not available: the files are compared instead

    def _forget(self, key: str) -> None:
        self._folders.pop(key, None)
        watch = self._watches.pop(key)
        if watch is not None:
            self._observer.unschedule(watch)


@st.cache_resource(on_release=FolderWatcher.stop, show_spinner=False)
def watcher() -> FolderWatcher:
    """Return the server's one observer."""
    return FolderWatcher()


def snapshot(reader: RunReader | None) -> Snapshot:
    """Return the state of a run now; call it before the page reads anything of the run."""
    if reader is None:
        return Snapshot(0, _files(None), _activity(None), is_busy=_LAUNCHED in st.session_state)
    count, derived = watcher().count(reader.root), derive_state(reader)
    is_busy = derived.is_active or is_launching(reader, derived)
    return Snapshot(count, _files(reader), _activity(derived), is_busy)


def follow(
    reader: RunReader | None,
    show: Callable[[DerivedState], None] | None = None,
    seen: Snapshot | None = None,
) -> None:
    """Run the page again when a file of the run changes; call once per page.

    Args:
        reader: The run; None waits for a first run to appear.
        show: Draws the part of the page that changes every second; called with the derived state.
        seen: The ``snapshot`` from before the page read the run; None where it has not read it.
    """
    control.reap()
    toasts.announce(reader.name if reader is not None and show is not None else None)
    seen = snapshot(reader) if seen is None else seen
    st.session_state[_COMPARED] = time.monotonic()
    st.fragment(_tick, run_every=_interval_s(seen))(reader, seen, show)


def expect_trainer(root: Path, pid: int) -> None:
    """Check every second for a while: a trainer was just launched; call it in a callback."""
    st.session_state[_LAUNCHED] = (root, pid, time.time())


def is_launching(reader: RunReader, derived: DerivedState) -> bool:
    """Return whether a trainer was just launched from here and has not written its status yet."""
    root, pid, launched_at = st.session_state.get(_LAUNCHED, (None, 0, 0.0))
    if root != reader.root or derived.is_active or time.time() - launched_at > LAUNCH_S:
        return False
    if control.exit_code(pid) is not None:
        return False
    return derived.status is None or derived.status.heartbeat_at < launched_at


def exit_code(reader: RunReader, derived: DerivedState) -> int | None:
    """Return the exit code of the run's last trainer; None where this server did not start it."""
    root, pid, launched_at = st.session_state.get(_LAUNCHED, (None, 0, 0.0))
    status = derived.status
    if root == reader.root and (status is None or status.heartbeat_at < launched_at):
        return control.exit_code(pid)  # it ended before its first status
    if status is None or (status.host, status.boot_id) != (socket.gethostname(), boot_id()):
        return None
    return control.exit_code(status.pid, is_ending=derived.state == "interrupted")


def _tick(
    reader: RunReader | None, seen: Snapshot, show: Callable[[DerivedState], None] | None
) -> None:
    """Draw the fragment, or run the whole page again, so that its parts agree.

    The first call belongs to the run of the page itself and always draws: frequent changes must
    not keep a page from being drawn to its end.
    """
    derived = None if reader is None else derive_state(reader)
    is_first = st.session_state.get(_DRAWN) is not seen
    st.session_state[_DRAWN] = seen
    has_changed = not is_first and _is_live() and _has_changed(reader, derived, seen)
    if show is not None and derived is not None and not has_changed:
        show(derived)
    if has_changed:
        st.rerun()


def _has_changed(reader: RunReader | None, derived: DerivedState | None, seen: Snapshot) -> bool:
    if reader is not None and watcher().count(reader.root) != seen.count:
        return True
    if _activity(derived) != seen.activity or (reader is None and frame.run_names()):
        return True
    if time.monotonic() - st.session_state.get(_COMPARED, 0.0) < COMPARE_S:
        return False
    st.session_state[_COMPARED] = time.monotonic()
    return _files(reader) != seen.files or toasts.has_news()


def _interval_s(seen: Snapshot) -> float | None:
    if not _is_live():
        return None
    return TICK_S if seen.is_busy else IDLE_TICK_S


def _is_live() -> bool:
    return bool(st.session_state.get("is_live", True))


def _activity(derived: DerivedState | None) -> object:
    """Return the part of the status that a page shows; without the step and the times."""
    if derived is None or derived.status is None:
        return derived and derived.state
    status = derived.status
    if status.workers:  # model and fold of the status alternate between them
        folds = tuple(sorted((worker.model, worker.fold) for worker in status.workers))
        return derived.state, status.attempt, folds
    return derived.state, status.attempt, status.stage, status.model, status.fold


def _files(reader: RunReader | None) -> object:
    signature = {} if reader is None else reader.signature()
    signature.pop(STATUS_FILE, None)
    studies = [_progress(RunReader(root)) for root in list_studies(frame.state_dir())]
    return signature, frame.run_names(), studies


def _progress(study: RunReader) -> object:
    derived = derive_state(study)
    num_done = derived.status and derived.status.done_units
    return study.root, derived.state, num_done, is_launching(study, derived)


def _inode(folder: Path) -> int | None:
    try:
        return folder.stat().st_ino
    except OSError:
        return None


def _is_counted(name: str) -> bool:
    return name.endswith(COUNTED_SUFFIXES) and not name.startswith(".") and name != STATUS_FILE
