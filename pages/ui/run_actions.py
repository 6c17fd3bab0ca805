"""Run actions: title and note, export, import, delete. All that they write goes through run.

In: a run. Out: its files changed, moved or handed over, and what came of it in words.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from pages.ui import controls, frame, readers
from trainer.run import control, transfer
from trainer.store.reader import RunReader
from trainer.store.records import Notes
from trainer.store.verdict import Verdict

if TYPE_CHECKING:
    from streamlit.runtime.uploaded_file_manager import UploadedFile


def notes_form(reader: RunReader) -> None:
    """Show title and note of the run, to read or to change."""
    notes = readers.notes(reader)
    title_key, note_key = f"title_{reader.name}", f"note_{reader.name}"
    is_fixed = frame.is_read_only()
    st.text_input("Title", notes.title, key=title_key, max_chars=120, disabled=is_fixed)
    st.text_area("Note", notes.note, key=note_key, max_chars=5_000, disabled=is_fixed)
    st.button(
        "Save title and note",
        key="save_notes",
        icon=":material/save:",
        disabled=is_fixed,
        on_click=lambda: controls.attempt(
            _save_notes, reader, st.session_state[title_key], st.session_state[note_key]
        ),
    )


def export_button(reader: RunReader, verdict: Verdict) -> None:
    """Offer the whole run as one zip file; it is packed only when it is clicked."""
    st.download_button(
        "Export",
        data=lambda: _packed(reader),
        file_name=f"{reader.name}.zip",
        mime="application/zip",
        icon=":material/download:",
        key="export",
        on_click="ignore",
        disabled=verdict.is_active or not reader.paths.config.exists(),
        help="One zip file with everything; it opens read-only anywhere and can be resumed.",
    )


def delete_button(reader: RunReader, verdict: Verdict) -> None:
    """Offer to delete the run; asks for its name, and refuses one that is training."""
    with st.popover("Delete", icon=":material/delete:", disabled=verdict.is_active):
        st.markdown(
            f"Deletes **{frame.escape(reader.name)}** with its models and scores. "
            f"This cannot be undone: export it first if it may be needed."
        )
        typed = st.text_input("Type the run's name to confirm", key=f"delete_{reader.name}")
        st.button(
            "Delete for good",
            type="primary",
            key="delete_sure",
            disabled=typed != reader.name,
            on_click=controls.attempt,
            args=(_delete, reader),
        )


def import_form() -> None:
    """Offer to bring in a run: an exported zip, or the path of a zip or run folder."""
    upload = st.file_uploader("An exported run", type=["zip"], key="import_file")
    path = st.text_input(
        "Or the path of a zip file or run folder on this machine", key="import_path"
    )
    st.button(
        "Import",
        key="import",
        icon=":material/upload:",
        disabled=upload is None and not path.strip(),
        on_click=controls.attempt,
        args=(_import_upload, upload) if upload is not None else (_import_path, path.strip()),
    )


def _save_notes(reader: RunReader, title: str, note: str) -> str:
    control.write_notes(reader.root, Notes(title=title.strip(), note=note.strip()))
    return "Saved."


def _packed(reader: RunReader) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "run.zip"
        transfer.export_run(reader.root, target)
        return target.read_bytes()


def _delete(reader: RunReader) -> str:
    transfer.delete_run(reader.root)
    frame.follow_newest()
    return f"Deleted {reader.name}."


def _import_upload(upload: UploadedFile) -> str:
    """Import from a file of our own naming: the uploaded name is the sender's choice."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "upload.zip"
        source.write_bytes(upload.getbuffer())
        return _import_path(str(source))


def _import_path(path: str) -> str:
    root = transfer.import_run(Path(path).expanduser(), frame.state_dir())
    frame.open_run(root.name)
    return f"Imported {root.name}."
