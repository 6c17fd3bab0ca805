"""The command ``study``: choose the study and its definition, then do its trials.

In: checked options. Out: a study that is new or continued; an exit code.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from trainer.cli.commands import PAUSED, UsageError, known_errors
from trainer.config import is_switched_on
from trainer.store.names import RunPaths

if TYPE_CHECKING:
    from trainer.run.inputs.folds_file import FoldsFile
    from trainer.run.pipeline import Limits
    from trainer.run.workers.pool import WorkerPool
    from trainer.study.definition import StudyFile


@dataclass(frozen=True)
class StudyOptions:
    """What the command line gives of a definition.

    Attributes:
        seeds: Of ``--seeds``, or None.
        grid: Of ``--grid``.
        search: Of ``--search``, or None.
        num_trials: Of ``--trials``, or None.
        preset: Of ``--preset``, or None.
        options: Dotted name to value, of the options of ``train``.
        assignments: Of ``--set``.
        use: Of ``--use``: files of own code that all trials have.
        folds: Of ``--folds-file``, or None.
    """

    seeds: str | None
    grid: Sequence[str]
    search: Path | None
    num_trials: int | None
    preset: str | None
    options: Mapping[str, Any]
    assignments: Sequence[str]
    use: Sequence[Path] = ()
    folds: FoldsFile | None = None

    @property
    def has_trials(self) -> bool:
        """Return whether they describe more than one run."""
        return bool(self.seeds or self.grid or self.search)


def study(
    state_dir: Path,
    name: str,
    wanted: StudyOptions,
    limits: Limits,
    paused_is_success: bool,
    pool: WorkerPool,
    notify: Sequence[str] = (),
) -> None:
    """Begin a study, or continue the study of that name; exit with code 3 if it paused."""
    from rich.console import Console

    from trainer.cli import own_code
    from trainer.cli.display import Display
    from trainer.notify import messages
    from trainer.notify.notifier import read_notifier
    from trainer.notify.one_start import notified
    from trainer.own_code.code_files import write_to_run
    from trainer.run import LibraryError, RefusedError
    from trainer.run.control import DETACHED
    from trainer.study.conduct import conduct
    from trainer.study.parsing import use_values
    from trainer.study.starting_over import start_over
    from trainer.study.study_adoption import adopt_study, find_input_study
    from trainer.study.study_folds import write_folds
    from trainer.study.trials import is_study, read_study, study_root, write_study

    notifier = read_notifier(notify, os.environ)
    root = study_root(state_dir, name)
    is_detached = os.environ.get(DETACHED) == "1"
    may_continue = is_switched_on(os.environ, "RESUME", default=True)
    if may_continue and not (is_detached or is_study(root)):  # the dashboard begins new studies
        source = find_input_study(name)
        if source is not None:
            adopt_study(source, state_dir, print)
    files = own_code.open_for_study(wanted.use, use_values(wanted.grid), wanted.assignments)
    entries = {file.name: file.entry for file in files}  # of the bytes that are copied below
    known, definition = _definition(
        read_study(root) if may_continue else None, root, wanted, entries
    )
    if is_study(root) and not may_continue:
        print(f"RESUME=0: the old study is now {start_over(root)}")
    if known != definition:
        write_to_run(root, files)  # before the definition that names them
        if wanted.folds is not None:
            write_folds(root, wanted.folds)
        write_study(root, definition)
    display = Display(Console(quiet=is_detached))
    try:
        with notified(root, notifier), display.live():
            outcome = conduct(
                *(root, definition, limits, display.log, display.show, pool),
                on_best=lambda trial: notifier.send(messages.new_best(definition, trial)),
            )
    except known_errors() as error:
        is_other = isinstance(error, RefusedError) and not isinstance(error, LibraryError)
        if known is None and not (is_detached or is_other):  # other: another process may hold it
            _remove_unbegun(root, definition)
        raise
    if not is_detached:
        print("\n".join(result_lines(root, definition, outcome)))
    notifier.close()
    if outcome == "paused" and not paused_is_success:
        raise typer.Exit(PAUSED)


def _remove_unbegun(root: Path, definition: StudyFile) -> None:
    """Remove a new study whose first run could not even begin, such as without its recordings."""
    from trainer.study.trials import StudyPaths, run_name

    first = StudyPaths(root).state_dir / run_name(definition, 0, definition.seeds[0])
    if StudyPaths(root).trial(0).exists() and not RunPaths(first).has_config:
        shutil.rmtree(root, ignore_errors=True)
        shutil.rmtree(first, ignore_errors=True)


def _definition(
    known: StudyFile | None, root: Path, wanted: StudyOptions, entries: Mapping[str, str]
) -> tuple[StudyFile | None, StudyFile]:
    """Return the stored definition and the one to work with.

    Args:
        known: The stored definition; None for a new study.
        root: The study's folder.
        wanted: What the command line gives.
        entries: Entry of ``use`` of each file of own code that it names, by the file's name.

    Raises:
        RefusedError: They differ; the message lists the differences.
        UsageError: There is no study and no definition.
    """
    from trainer.run import RefusedError
    from trainer.study import search
    from trainer.study.definition import difference_lines, make_study
    from trainer.study.parsing import parse_grid, parse_seeds, read_search

    if known is None and not wanted.has_trials:
        raise UsageError(
            f"study {root.name}: there is none to continue. Begin one with --seeds 42,43, "
            f"--grid KEY=V1,V2 or --search FILE.toml --trials N"
        )
    base = _base(known, wanted, [entries[path.name] for path in wanted.use])
    ranges = read_search(wanted.search, base) if wanted.search else known.search if known else {}
    number = wanted.num_trials
    if number is None and known is not None and known.search:
        number = known.num_trials
    if ranges:
        search.demand_optuna()
    made = make_study(
        root.name,
        base,
        parse_seeds(wanted.seeds) or (known.seeds if known else ()),
        parse_grid(wanted.grid, base, entries) or (known.grid if known else ()),
        ranges,
        number,
        search.versions() if ranges else {},
    )
    if known is None:
        return None, made
    changed = difference_lines(known, made)
    if changed:
        raise RefusedError(
            f"study {root.name} was defined otherwise:\n  " + "\n  ".join(changed) + "\n"
            f"Continue it as it is: python -m trainer study {root.name}; or begin another under "
            f"another name"
        )
    kept = {"created_at": known.created_at, "versions": known.versions}
    return known, made.model_copy(update=kept)


def _base(known: StudyFile | None, wanted: StudyOptions, use: Sequence[str]) -> Any:  # noqa: ANN401 - Config
    from trainer.config import environment_settings, make_config, overlay

    options = dict(wanted.options)
    if wanted.folds is not None:
        options |= wanted.folds.settings()
    if use:
        options["use"] = use
    if known is None:
        return make_config(wanted.preset, options, wanted.assignments)
    base = known.base
    if wanted.preset is not None:  # its settings count; it has none for recordings and models
        kept = {"data.source": base.data.source, "models": base.models, "use": base.use}
        base = make_config(wanted.preset, kept, environment={})
    return overlay(base, environment_settings(os.environ), wanted.assignments, options)


def result_lines(root: Path, definition: StudyFile, outcome: str) -> list[str]:
    """Return the trials, the best first, and the next command."""
    from trainer.study.trials import best_trial, read_trials, run_names

    trials = read_trials(root)
    ranked = sorted(trials, key=lambda trial: (-(trial.value or -1.0), trial.number))
    lines = [f"{'trial':>5}  {'score':<8}settings"]
    for trial in ranked:
        score = trial.state if trial.value is None else f"{trial.value:.4f}"
        settings = " ".join(f"{name}={value}" for name, value in trial.settings.items())
        lines.append(f"{trial.number:>5}  {score:<8} {settings}".rstrip())
    lines.append(
        f"score: the blend's mean over {len(definition.seeds)} seeds and the folds of each"
    )
    best = best_trial(trials)
    if best is not None:
        lines.append(
            f"Best: trial {best.number}, runs {', '.join(run_names(definition, best.number))}"
        )
    if outcome == "paused":
        lines.append(f"Paused. Continue with: python -m trainer study {root.name}")
    return lines
