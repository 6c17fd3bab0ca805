"""Dataset metadata: the file with which Kaggle's command line makes a dataset of an archive.

In: a run, an OWNER/SLUG. Out: ``dataset-metadata.json``. Source: the wiki of Kaggle's command line,
"Dataset metadata" (id, title and slug of 6 to 50 characters).
"""

from __future__ import annotations

import re
from pathlib import Path

from trainer.run.transfer.moving import TransferError
from trainer.store.durable import StoreError, dump_json, write_atomic
from trainer.store.reader import RunReader

FILE_NAME = "dataset-metadata.json"
LICENCE = "other"  # the owner of the recordings and models chooses the licence
MIN_LENGTH, MAX_LENGTH = 6, 50  # of a title and of a slug


def check_dataset_id(dataset_id: str) -> str:
    """Return the id if it has the form that Kaggle expects; raise otherwise.

    Raises:
        TransferError: It is not OWNER/SLUG.
    """
    pattern = rf"[A-Za-z0-9-]+/[a-z0-9](?:[a-z0-9-]{{{MIN_LENGTH - 2},{MAX_LENGTH - 2}}})[a-z0-9]"
    if not re.fullmatch(pattern, dataset_id):
        raise TransferError(
            f"dataset: expected OWNER/SLUG, the slug {MIN_LENGTH} to {MAX_LENGTH} of a-z 0-9 -; "
            f"got {dataset_id!r}"
        )
    return dataset_id


def write_metadata(root: Path, folder: Path, dataset_id: str) -> Path:
    """Write the metadata of a run's archive into the folder to upload.

    Args:
        root: The run.
        folder: The folder of the archive.
        dataset_id: OWNER/SLUG, checked by ``check_dataset_id``.

    Returns:
        The file's path.

    Raises:
        TransferError: It cannot be written.
    """
    title = RunReader(root).notes().title or f"Gesture run {root.resolve().name}"
    metadata = {
        "title": title[:MAX_LENGTH].ljust(MIN_LENGTH, "."),
        "id": dataset_id,
        "licenses": [{"name": LICENCE}],
    }
    path = folder / FILE_NAME
    try:
        write_atomic(path, dump_json(metadata))
    except StoreError as error:
        raise TransferError(str(error)) from error
    return path
