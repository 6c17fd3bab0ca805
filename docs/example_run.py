"""The example run that ships with the project, for people who want to look before they train.

In: nothing. Out: ``examples/watch_quick.zip``: a finished quick run on the embedded recordings,
with a smaller TimeSeriesNet than the preset's, and without what is made again when
it is opened: its feature table and bundles.

    python -m docs.example_run      4 minutes; after a change of a code version
"""

from __future__ import annotations

import os
import socket
import tempfile
import zipfile
from pathlib import Path

from trainer.config import make_config
from trainer.run.control import write_notes
from trainer.run.execution import execute
from trainer.run.pipeline import Limits
from trainer.run.transfer.archive import export_run
from trainer.run.transfer.example import ARCHIVE, EXAMPLE, made_again
from trainer.store.checksums import CheckedFolder
from trainer.store.records import Notes

SETTINGS = (  # 6 MB hold no more weights
    "network.conv_channels=24,48",
    "network.recurrent_units=24",
)
NOTES = Notes(
    title="Example run that ships with the project",
    note="A quick training on the embedded recordings, with a smaller network than the preset's.",
)


def make(target: Path) -> None:
    """Train the run and write it to a zip."""
    config = make_config("quick", {}, SETTINGS, environment={})
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # so that its log names no folder of this machine
        socket.gethostname = lambda: EXAMPLE
        root = Path("state") / EXAMPLE
        execute(root, config, Limits(), print)
        for path in made_again(root):
            CheckedFolder(root).remove(path.name)
        write_notes(root, NOTES)
        export_run(root, Path("fast.zip"))
        _pack_small(Path("fast.zip"), target)


def _pack_small(source: Path, target: Path) -> None:
    """Compress an archive as far as it can be; export prefers speed."""
    with (
        zipfile.ZipFile(source) as found,
        zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed,
    ):
        for name in found.namelist():
            packed.writestr(name, found.read(name))


if __name__ == "__main__":
    make(ARCHIVE)
    print(f"{ARCHIVE}: {ARCHIVE.stat().st_size:,} bytes")
