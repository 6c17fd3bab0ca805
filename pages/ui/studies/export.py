"""Export: the download of a run or a study as one zip file.

In: its folder, and what writes the zip. Out: a button.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import streamlit as st


def export_button(
    root: Path, what: str, export: Callable[[Path, Path], None], is_enabled: bool
) -> None:
    """Show the download of a run or a study as a zip file, which is made only on a click.

    Args:
        root: Its folder.
        what: "run" or "study".
        export: Writes the zip: from the folder to a path.
        is_enabled: Whether it can be exported now.
    """

    def packed() -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / "export.zip"
            export(root, target)
            return target.read_bytes()

    st.download_button(
        "Export" if what == "run" else f"Export {what}",
        data=packed,
        file_name=f"{root.name}.zip",
        mime="application/zip",
        icon=":material/download:",
        key=f"export_{what}",
        on_click="ignore",
        disabled=not is_enabled,
        help=f"The whole {what} as one zip file. It can be imported elsewhere, viewed and resumed.",
    )
