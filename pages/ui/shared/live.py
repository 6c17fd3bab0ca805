"""Live refresh: a page runs again when a file of its run changed, and only then.

In: a run. Out: reruns. One watchdog observer per server counts the changes of each run folder; one
fragment per page looks at the counter every second while a trainer works. Every 5 s it compares
the files' times and sizes too, since events get lost on network drives and in containers, and asks
whether another run has something to tell.
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

from pages.ui.shared import frame, toasts
from trainer.run import control
from trainer.store.process import boot_id
from trainer.store.reader import RunReader
from trainer.store.run_state import DerivedState, derive_state

TICK_S = 1.0  # while a trainer works
IDLE_TICK_S = 5.0  # else: a run may be started or resumed in a terminal
COMPARE_S = 4.5  # between two looks at the files themselves; less than an idle tick
LAUNCH_S = 120.0  # for so long a busy machine may need until a trainer's first status
MAX_WATCHED = 64  # run folders under one observer

STATUS_FILE = "status.json"  # replaced at every beat; the fragment reads it anyway
COUNTED_EVENTS = ("created", "modified", "moved", "deleted")  # not: opened, closed
COUNTED_ENDINGS = (".json", ".jsonl", ".parquet", ".csv", ".log")

_LAUNCHED = "live_launched"  # name of the run, pid of its trainer, and when
_COMPARED = "live_compared_at"
_DRAWN = "live_drawn"  # the mark that the page's moving parts were last drawn for


@dataclass(frozen=True)
class Mark:
    """What a page saw when it began to load; what changes after it is news."""

    count: int
    files: object
    doing: object
    is_busy: bool


class FolderWatcher(FileSystemEventHandler):
    """Counts the changes in each watched folder; folders are added as they are looked at."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._watches: dict[str, object] = {}
        self._lock = threading.Lock()
        self._observer = Observer()
        self._observer.daemon = True
        self._observer.start()

    def count(self, folder: Path) -> int:
        """Return how often something changed in the folder since it was first asked about."""
        key = str(folder)
        with self._lock:
            if key not in self._watches and folder.is_dir():
                self._watch(key)
            return self._counts[key]

    def stop(self) -> None:
        """Stop observing."""
        self._observer.stop()

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Count a change of a file that pages show."""
        path = Path(str(event.dest_path or event.src_path))
        if event.event_type in COUNTED_EVENTS and _is_counted(path.name):
            self._counts[str(path.parent)] += 1

    def _watch(self, key: str) -> None:
        try:
            if len(self._watches) >= MAX_WATCHED:
                oldest = next(iter(self._watches))
                self._observer.unschedule(self._watches.pop(oldest))
            self._watches[key] = self._observer.schedule(self, key, recursive=False)
        except OSError:
            self._watches[key] = None  # no inotify left or here: the comparison of files does it


@st.cache_resource(on_release=FolderWatcher.stop, show_spinner=False)
def watcher() -> FolderWatcher:
    """Return the server's one observer."""
    return FolderWatcher()


def look(reader: RunReader | None) -> Mark:
    """Return what there is to see of a run now; call before the page reads anything of it."""
    if reader is None:
        return Mark(0, _files(None), _doing(None), is_busy=False)
    count, derived = watcher().count(reader.root), derive_state(reader)
    is_busy = derived.is_active or is_launching(reader, derived)
    return Mark(count, _files(reader), _doing(derived), is_busy)


def follow(
    reader: RunReader | None,
    show: Callable[[DerivedState], None] | None = None,
    seen: Mark | None = None,
) -> None:
    """Run the page again when a file of the run changes; call once per page.

    Args:
        reader: The run; None waits for a first run to appear.
        show: Draws what moves every second; called with the verdict at every tick.
        seen: What ``look`` returned before the page read the run; None where it has not read yet.
    """
    control.reap()
    toasts.announce(reader.name if reader is not None and show is not None else None)
    mark = look(reader) if seen is None else seen
    st.session_state[_COMPARED] = time.monotonic()
    st.fragment(_tick, run_every=_interval_s(mark))(reader, mark, show)


def expect_trainer(name: str, pid: int) -> None:
    """Look every second for a while: a trainer was just launched; call it in a callback."""
    st.session_state[_LAUNCHED] = (name, pid, time.time())


def is_launching(reader: RunReader, derived: DerivedState) -> bool:
    """Return whether a trainer was launched here moments ago and has not said a word yet."""
    name, pid, launched_at = st.session_state.get(_LAUNCHED, ("", 0, 0.0))
    if name != reader.name or derived.is_active or time.time() - launched_at > LAUNCH_S:
        return False
    if control.exit_code(pid) is not None:
        return False
    return derived.status is None or derived.status.heartbeat_at < launched_at


def exit_code(reader: RunReader, derived: DerivedState) -> int | None:
    """Return how the run's last trainer ended; None where this server did not start it."""
    name, pid, launched_at = st.session_state.get(_LAUNCHED, ("", 0, 0.0))
    status = derived.status
    if name == reader.name and (status is None or status.heartbeat_at < launched_at):
        return control.exit_code(pid)  # it ended before its first word
    if status is None or (status.host, status.boot_id) != (socket.gethostname(), boot_id()):
        return None
    return control.exit_code(status.pid, is_ending=derived.state == "interrupted")


def _tick(
    reader: RunReader | None, mark: Mark, show: Callable[[DerivedState], None] | None
) -> None:
    """Draw what moves, or run the page again: never the news above what is old below.

    The first call is part of the page's own run: it draws, so that news cannot keep a page from
    ever being drawn to its end; the next one tells of them.
    """
    derived = None if reader is None else derive_state(reader)
    is_first = st.session_state.get(_DRAWN) is not mark
    st.session_state[_DRAWN] = mark
    has_changed = not is_first and _is_live() and _has_changed(reader, derived, mark)
    if show is not None and derived is not None and not has_changed:
        show(derived)
    if has_changed:
        st.rerun()


def _has_changed(reader: RunReader | None, derived: DerivedState | None, mark: Mark) -> bool:
    if reader is not None and watcher().count(reader.root) != mark.count:
        return True
    if _doing(derived) != mark.doing:
        return True
    if time.monotonic() - st.session_state.get(_COMPARED, 0.0) < COMPARE_S:
        return False
    st.session_state[_COMPARED] = time.monotonic()
    return _files(reader) != mark.files or toasts.has_news()


def _interval_s(mark: Mark) -> float | None:
    if not _is_live():
        return None
    return TICK_S if mark.is_busy else IDLE_TICK_S


def _is_live() -> bool:
    return bool(st.session_state.get("is_live", True))


def _doing(derived: DerivedState | None) -> object:
    """Return what a page draws from the status; the step and the times are not part of it."""
    if derived is None or derived.status is None:
        return derived and derived.state
    status = derived.status
    if status.workers:  # which of them moved last changes all the time
        at_work = tuple(sorted((at.model, at.fold) for at in status.workers))
        return derived.state, status.attempt, at_work
    return derived.state, status.attempt, status.stage, status.model, status.fold


def _files(reader: RunReader | None) -> object:
    signature = {} if reader is None else reader.signature()
    signature.pop(STATUS_FILE, None)
    return signature, frame.run_names()


def _is_counted(name: str) -> bool:
    return name.endswith(COUNTED_ENDINGS) and not name.startswith(".") and name != STATUS_FILE
