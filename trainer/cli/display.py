"""Display: the log, and below it one live line of progress, while the trainer runs.

In: log lines and statuses. Out: text; the live line only on a terminal.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from trainer.store.records import Status


class Display:
    """The log above one line of progress."""

    def __init__(self, console: Console) -> None:
        """Write to a console."""
        self.console = console
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    @contextmanager
    def live(self) -> Iterator[None]:
        """Show the progress line while the body runs, on a terminal only."""
        if not self.console.is_terminal:
            yield
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[where]}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
        )
        with Progress(*columns, console=self.console, transient=True) as progress:
            self._task = progress.add_task("starting", total=1.0, where="", left="")
            self._progress = progress
            yield
        self._progress = None

    def log(self, text: str) -> None:
        """Print a log line."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def show(self, status: Status) -> None:
        """Update the line of progress."""
        if self._progress is None or self._task is None:
            return
        is_in_fold = status.model is not None and status.done_units < status.total_units
        folds = f"{status.done_units} of {status.total_units} folds"
        self._progress.update(
            self._task,
            description=status.message or status.stage,
            completed=(status.done_units + status.units_begun * is_in_fold)
            / max(1, status.total_units),
            where=folds if status.workers else f"{status.step}/{status.total_steps}  {folds}",
            left=format_left(status.eta_s),
        )


def format_left(eta_s: float | None) -> str:
    """Return the time left in words; "at most", since a fold may stop early."""
    if eta_s is None:
        return ""
    minutes, seconds = divmod(round(eta_s), 60)
    return f"at most {minutes} min {seconds:02d} s left" if minutes else f"at most {seconds} s left"
