"""Run actions: name, title, note; export, import, delete. All writing goes through trainer.run.

In: a run. Out: its files changed, moved or exported, and a message with the result.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from pages.ui.runs.run_table import RunSummary
from pages.ui.shared import controls, frame, live, words
from pages.ui.studies import export
from trainer.run import control
from trainer.run.transfer import archive, moving
from trainer.store.reader import RunReader
from trainer.store.records import Notes
from trainer.store.run_state import DerivedState
from trainer.study.study_archive import import_study, is_study_copy

if TYPE_CHECKING:
    from streamlit.runtime.uploaded_file_manager import UploadedFile


def buttons(summary: RunSummary, derived: DerivedState) -> None:
    """Show the actions on the run; those that change nothing come first."""
    run = summary.run
    with st.container(horizontal=True):
        _open_button(run)
        is_whole = run.paths.has_config and not derived.is_active
        export.export_button(run.root, "run", archive.export_run, is_whole)
        if frame.is_read_only():
            return
        if controls.duplicate_button(summary.run_file):
            st.switch_page("pages/train.py", query_params={})
        is_busy = derived.is_active or live.is_launching(run, derived)
        rename_button(run, is_busy)
        if not is_busy:
            controls.start_over_button(run)
        delete_button(run, is_busy)
    if is_busy:
        st.caption("A run that is training can be renamed, exported and deleted once it is paused.")


def notes_form(summary: RunSummary) -> None:
    """Show title and note of the run, to read or to change."""
    notes, name = summary.notes, summary.name
    st.markdown("**Title and note**")
    if frame.is_read_only():
        st.markdown(frame.escape(notes.title) or "No title.")
        st.text(notes.note)
        return
    title_key, note_key = f"title_{name}", f"note_{name}"
    st.text_input("Title", notes.title, key=title_key, max_chars=120)
    st.text_area("Note", notes.note, key=note_key, max_chars=5_000)
    st.button(
        "Save title and note",
        key="save_notes",
        icon=":material/save:",
        on_click=lambda: controls.attempt(
            _save_notes, summary.run, st.session_state[title_key], st.session_state[note_key]
        ),
    )


def rename_button(reader: RunReader, is_busy: bool) -> None:
    """Show the form to rename the run, which checks the new name at once."""
    with st.popover("Rename", icon=":material/edit:", disabled=is_busy, key="rename_popover"):
        key = f"rename_{reader.name}"
        name = st.text_input("New name", reader.name, key=key, max_chars=64).strip()
        problem = "" if name == reader.name else _name_problem(name)
        if problem:
            st.caption(frame.escape(problem))
        else:
            st.caption("The folder is renamed; links to the old name open the newest run.")
        st.button(
            "Rename the run",
            type="primary",
            key="rename_sure",
            disabled=bool(problem) or name == reader.name,
            on_click=lambda: controls.attempt(_rename, reader, st.session_state[key].strip()),
        )


def delete_button(reader: RunReader, is_busy: bool) -> None:
    """Show the form to delete the run, which requires its name; not while it is training."""
    with st.popover("Delete", icon=":material/delete:", disabled=is_busy, key="delete_popover"):
        st.markdown(
            f"Deletes **{frame.escape(reader.name)}** with its models and scores. "
            f"This cannot be undone. Export the run first if you may need it."
        )
        typed = st.text_input("Type the run's name to confirm", key=f"delete_{reader.name}")
        st.button(
            "Delete permanently",
            type="primary",
            key="delete_sure",
            disabled=typed != reader.name,
            on_click=controls.attempt,
            args=(_delete, reader),
        )


def import_form() -> None:
    """Show the form to import a run: an exported zip, or the path of a zip or run folder."""
    upload = st.file_uploader("Exported run", type=["zip"], key="import_file")
    path = st.text_input(
        "Or the path of a zip file or run folder on this machine", key="import_path"
    ).strip()
    name = st.text_input(
        "Other name",
        key="import_name",
        max_chars=64,
        placeholder="unchanged",
        help="Required if a run with the same name exists here.",
    ).strip()
    problem = _name_problem(name) if name else ""
    if problem:
        st.caption(frame.escape(problem))
    st.button(
        "Import",
        key="import",
        icon=":material/upload:",
        disabled=bool(problem) or (upload is None and not path),
        on_click=controls.attempt,
        args=(_import_upload, upload, name) if upload else (_import_path, path, name),
    )


def _open_button(run: RunReader) -> None:
    if st.button(
        "Open",
        type="primary",
        icon=":material/open_in_new:",
        key="open",
        on_click=frame.open_run,
        args=(run.name,),
        help="Selects this run for all pages and opens the Train page.",
    ):
        st.switch_page("pages/train.py", query_params={})


def _name_problem(name: str) -> str:
    problem = words.run_name_problem(name)
    if problem is not None:
        return f"Expected {problem}."
    return f"A run {name} exists already." if (frame.state_dir() / name).exists() else ""


def _save_notes(reader: RunReader, title: str, note: str) -> str:
    control.write_notes(reader.root, Notes(title=title.strip(), note=note.strip()))
    return "Saved."


def _rename(reader: RunReader, name: str) -> str:
    root = moving.rename(reader.root, name)
    frame.open_run(root.name)
    return f"Renamed {reader.name} to {root.name}."


def _delete(reader: RunReader) -> str:
    moving.delete_run(reader.root)
    frame.follow_newest()
    return f"Deleted {reader.name}."


def _import_upload(upload: UploadedFile, name: str) -> str:
    """Import from a file with a fixed name: the uploaded name is not trusted."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "upload.zip"
        source.write_bytes(upload.getbuffer())
        return _import_path(str(source), name)


def _import_path(path: str, name: str) -> str:
    left_out: list[str] = []
    source = Path(path).expanduser()
    if is_study_copy(source):
        root = import_study(source, frame.state_dir(), left_out.append)
        return f"Imported study {root.name}."
    root = archive.import_run(source, frame.state_dir(), name or None, left_out.append)
    frame.open_run(root.name)
    return " ".join([f"Imported {root.name}.", *(f"{words.capital(line)}." for line in left_out)])
