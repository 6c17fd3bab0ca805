"""Run files: what lies in a run folder, whether it is whole, and the small files to take away.

In: a run. Out: a table of its files with size, time and state; a download; the check of every file
against its recorded checksum, on request: it reads them all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl
import streamlit as st

from pages.ui.shared import frame, panels, readers
from trainer.run.transfer.verification import Check, verify_run
from trainer.store.reader import RunReader
from trainer.store.run_state import DerivedState

MAX_DOWNLOAD_MB = 50  # of one file; the whole run goes by Export
DOWNLOADS = (".json", ".jsonl", ".csv", ".parquet", ".log")
NOT_CHECKED, NO_RECORD = "Not checked", "No record"
MISSING, DAMAGED, VERIFIED, READABLE = "Missing", "Damaged", "Verified", "Readable"
STATE_HELP = (
    "Verified: has its recorded SHA-256. Readable: a record with nothing to check it against. "
    "No record: logs, locks, copies, files that no record names."
)
WHAT = {
    "config.json": "Configuration, frozen",
    "config.json.prev": "Copy of the configuration",
    "folds.parquet": "Fold of every sequence",
    "folds.parquet.prev": "Copy of the folds",
    "status.json": "What the trainer last said",
    "command.json": "What was last asked of the trainer",
    "notes.json": "Title and note",
    "checksums.json": "Checksums of the whole files",
    "resume_record.json": "Resume record",
    "metrics.jsonl": "Curves and events",
    "oof.parquet": "Out-of-fold probabilities",
    "scores.json": "Scores",
    "feature_importance.csv": "Feature importance",
    "train_features.joblib": "Feature cache",
    "trainer.log": "What the trainer printed",
    "lgbm_state.json": "Folds of LightGBM",
    "torch_state.json": "Folds of the network",
    "lgbm_bundle.pkl": "LightGBM, all that prediction needs",
    "torch_bundle.pkl": "Network, all that prediction needs",
    "lock": "Held while a trainer works",
}

_VERIFIED = "run_files_verified"  # folder and version of the files that were checked last


@dataclass(frozen=True)
class StoredFile:
    """One file of a run folder; a link is none."""

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
        help="Reads every file and compares it with its recorded checksum. A run that is being "
        "written cannot be checked.",
    ):
        st.session_state[_VERIFIED] = key
    checks = _checks(*key) if st.session_state.get(_VERIFIED) == key else None
    table = file_table(files, checks)
    if checks is not None:
        _tell(checks)
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
            continue  # it went while we looked
        name = path.relative_to(root).as_posix()
        found.append(StoredFile(name, stat.st_size, stat.st_mtime))
    return found


def file_table(files: Iterable[StoredFile], checks: Iterable[Check] | None) -> pl.DataFrame:
    """Return one row per file, damaged and missing ones first: File, State, What, Size, Changed.

    Args:
        files: What is there.
        checks: What verifying found; None: not asked for.
    """
    states = None if checks is None else check_states(checks)
    rows = [
        {
            "File": file.name,
            "State": NOT_CHECKED if states is None else states.get(file.name, NO_RECORD),
            "What": what(file.name),
            "Size": file.num_bytes,
            "Changed": datetime.fromtimestamp(file.changed_at),
        }
        for file in files
    ]
    there = {row["File"] for row in rows}
    rows += [
        {"File": name, "State": MISSING, "What": what(name), "Size": None, "Changed": None}
        for name in states or ()
        if name not in there
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


def what(name: str) -> str:
    """Say what a file is."""
    if name in WHAT:
        return WHAT[name]
    stem = name.rpartition("/")[2]
    model = "LightGBM" if stem.startswith("lgbm") or name.startswith("units/lgbm") else "Network"
    fold = stem.partition("fold")[2][:2]
    if not fold.isdecimal():
        return ""
    if stem.endswith(".lock"):
        return f"{model}, fold {int(fold)}: held while it is worked on"
    kind = {
        "json": "record",
        "prev": "point to resume from, the one before",
    }.get(stem.rpartition(".")[2], "point to resume from" if "_last" in stem else "finished")
    return f"{model}, fold {int(fold)}: {kind}"


@st.cache_data(max_entries=8, show_spinner="Reading every file")
def _checks(root: str, version: readers.Version) -> list[Check]:
    return verify_run(Path(root))


def _tell(checks: list[Check]) -> None:
    bad = [check for check in checks if not check.is_good]
    if not bad:
        st.success(f"All {len(checks)} checks are good.", icon=":material/verified:")
        return
    st.error(f"{len(bad)} of {len(checks)} checks failed. Resume redoes what these files held.")
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
            "One file to download", names, key=f"file_{reader.name}", format_func=_choice, width=420
        )
        if name not in names:
            return  # a browser may send anything
        path = reader.root / name
        st.download_button(
            "Download",
            data=path.read_bytes,
            file_name=f"{reader.name}-{path.name}",
            key="download_file",
            icon=":material/download:",
            on_click="ignore",
        )


def _choice(name: str) -> str:
    words = what(name)
    return f"{name} ({frame.escape(words)})" if words else name
