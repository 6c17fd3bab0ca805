"""Run files: the files of a run folder, whether they are intact, and the download of small ones.

In: a run. Out: a table of its files with size, time and state; a download; on request the check of
every file against its recorded checksum, which reads them all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl
import streamlit as st

from pages.ui.shared import frame, panels, readers, words
from trainer.models import registry
from trainer.run.transfer.verification import Check, verify_run
from trainer.store.checksums import CODE_FOLDER
from trainer.store.file_kinds import read_file
from trainer.store.reader import RunReader
from trainer.store.run_state import DerivedState

MAX_DOWNLOAD_MB = 50  # of one file; Export has the whole run
DOWNLOADS = (".json", ".jsonl", ".parquet", ".log")  # CSV: on the page Features, as text only
NOT_CHECKED, NO_RECORD = "Not checked", "No record"
MISSING, DAMAGED, VERIFIED, READABLE = "Missing", "Damaged", "Verified", "Readable"
STATE_HELP = (
    "Verified: has its recorded SHA-256. Readable: a valid record without a checksum of its own. "
    "No record: logs, locks, copies and files that no record names."
)
FOLD = "{fold:02d}"  # in the patterns of the models' file names
CONTENTS = {
    "config.json": "Configuration of the run",
    "config.json.prev": "Copy of the configuration",
    "folds.parquet": "Fold of every sequence",
    "folds.parquet.prev": "Copy of the folds",
    "status.json": "Last status of the trainer",
    "command.json": "Last command to the trainer",
    "notes.json": "Title and note",
    "checksums.json": "Checksums of the other files",
    "resume_record.json": "Resume record",
    "metrics.jsonl": "Curves and events",
    "oof.parquet": "Out-of-fold probabilities",
    "scores.json": "Scores",
    "feature_importance.csv": "Feature importance",
    "train_features.joblib": "Feature cache",
    "trainer.log": "Log of the trainer",
    "lock": "Held while a trainer is active",
}

_VERIFIED = "run_files_verified"  # folder and version of the files that were checked last


@dataclass(frozen=True)
class StoredFile:
    """One file of a run folder, not a link."""

    name: str
    num_bytes: int
    changed_at: float


def show(reader: RunReader, derived: DerivedState) -> None:
    """Show the run's files, the check and the download."""
    files = list_files(reader.root)
    version = readers.version(*(reader.root / file.name for file in files))
    key = (str(reader.root), version)
    if st.button(
        "Verify every file",
        icon=":material/verified:",
        key="verify",
        disabled=derived.is_active,
        help="Reads every file and compares it with its recorded checksum. Not available while the "
        "run is training.",
    ):
        st.session_state[_VERIFIED] = key
    checks = _checks(*key) if st.session_state.get(_VERIFIED) == key else None
    table = file_table(files, checks)
    if checks is not None:
        _show_result(checks)
    num_mb = sum(file.num_bytes for file in files) / 1024**2
    columns = {
        "Size": st.column_config.NumberColumn(format="bytes"),
        "Changed": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm:ss"),
        "State": st.column_config.TextColumn(help=STATE_HELP),
    }
    panels.table(f"{len(files)} files, {num_mb:.1f} MB", table, f"files-{reader.name}", columns)
    _download(reader, files)


def list_files(root: Path) -> list[StoredFile]:
    """Return every plain file below a run folder, by name; links are left out."""
    found = []
    for path in sorted(root.rglob("*")):
        try:
            if path.is_symlink() or not path.is_file():
                continue
            stat = path.stat()
        except OSError:
            continue  # it was deleted meanwhile
        name = path.relative_to(root).as_posix()
        found.append(StoredFile(name, stat.st_size, stat.st_mtime))
    return found


def file_table(files: Iterable[StoredFile], checks: Iterable[Check] | None) -> pl.DataFrame:
    """Return one row per file, damaged and missing first: File, State, Content, Size, Changed.

    Args:
        files: The existing files.
        checks: The result of the check; None where they were not checked.
    """
    states = None if checks is None else check_states(checks)
    rows = [
        {
            "File": file.name,
            "State": NOT_CHECKED if states is None else states.get(file.name, NO_RECORD),
            "Content": describe(file.name),
            "Size": file.num_bytes,
            "Changed": datetime.fromtimestamp(file.changed_at),
        }
        for file in files
    ]
    existing = {row["File"] for row in rows}
    rows += [
        {"File": name, "State": MISSING, "Content": describe(name), "Size": None, "Changed": None}
        for name in states or ()
        if name not in existing
    ]
    return pl.DataFrame(rows, infer_schema_length=None).sort(
        ~pl.col("State").is_in([DAMAGED, MISSING]), maintain_order=True
    )


def check_states(checks: Iterable[Check]) -> Mapping[str, str]:
    """Return each file's state; of several checks of one file the worst counts."""
    states: dict[str, str] = {}
    for check in checks:
        if not check.is_good:
            states[check.name] = DAMAGED
        elif states.get(check.name) != DAMAGED:
            is_record = check.detail.endswith("record") and check.name not in states
            states[check.name] = READABLE if is_record else VERIFIED
    return states


def describe(name: str) -> str:
    """Describe the content of a file; "" where it is not known."""
    if name in CONTENTS:
        return CONTENTS[name]
    if name.startswith(f"{CODE_FOLDER}/"):
        return "Own code"
    for model in registry.all_models():
        known = {
            f"{model.name}_state.json": f"Folds of {model.phrase}",
            f"{model.name}_bundle.pkl": f"{model.title}, all folds for prediction",
        }
        if name in known:
            return known[name]
        for pattern, content in (
            (f"units/{model.name}_fold{FOLD}.json", "record"),
            (f"units/{model.name}_fold{FOLD}.lock", "held while it is trained"),
            (model.fold_file, "fitted model"),
            (model.checkpoint_file, "checkpoint"),
            (f"{model.checkpoint_file}.prev", "previous checkpoint"),
        ):
            fold = _fold_of(name, pattern)
            if fold is not None:
                return f"{words.fold_name(model.name, fold)}: {content}"
    return ""


def _fold_of(name: str, pattern: str) -> int | None:
    """Return the fold in a file's name, where it matches a pattern: ``fold{fold:02d}.pt``."""
    before, after = pattern.split(FOLD)
    number = name.removeprefix(before).removesuffix(after)
    return int(number) if number.isdecimal() and pattern.format(fold=int(number)) == name else None


@st.cache_data(max_entries=8, show_spinner="Reading every file")
def _checks(root: str, version: readers.Version) -> list[Check]:
    return verify_run(Path(root))


def _show_result(checks: list[Check]) -> None:
    bad = [check for check in checks if not check.is_good]
    if not bad:
        st.success(f"All {len(checks)} checks passed.", icon=":material/verified:")
        return
    st.error(f"{len(bad)} of {len(checks)} checks failed. Resume computes the lost parts again.")
    text = "\n".join(f"{check.name}: {check.detail}" for check in bad)
    st.code(text, language=None, wrap_lines=True)


def _download(reader: RunReader, files: list[StoredFile]) -> None:
    names = [
        file.name
        for file in files
        if file.name.endswith(DOWNLOADS) and file.num_bytes <= MAX_DOWNLOAD_MB * 1024**2
    ]
    if not names:
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.selectbox(
            "File to download", names, key=f"file_{reader.name}", format_func=_choice, width=420
        )
        if name not in names:
            return  # the browser's value is not trusted
        path = reader.root / name
        st.download_button(
            "Download",
            data=lambda: read_file(path),
            file_name=f"{reader.name}-{path.name}",
            key="download_file",
            icon=":material/download:",
            on_click="ignore",
        )


def _choice(name: str) -> str:
    content = describe(name)
    return f"{name} ({frame.escape(content)})" if content else name
