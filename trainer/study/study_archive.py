"""Archive of a study: its records and its runs in one zip, and back.

In: a study's folder; a zip, or the folder of a study. Out: ``NAME/study.json``,
``NAME/trials/0000.json``, ``NAME/code/FILE.py`` and ``NAME/runs/RUN.zip``, each run as
``export_run`` writes it. Of a zip only the records, checked, and the code and the runs that the
definition names are read.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from trainer.config import used_file
from trainer.own_code.code_files import CodeFile, read_of_run
from trainer.run import RefusedError
from trainer.run.control import is_in_use
from trainer.run.transfer.archive import export_run, import_run, open_archive
from trainer.run.transfer.moving import TransferError
from trainer.store.checksums import CODE_FOLDER
from trainer.store.durable import PRIVATE_FILE, StoreError, make_folder, replace
from trainer.store.file_kinds import kind_of, read_file
from trainer.store.names import RunPaths, check_run_name
from trainer.store.reader import RunReader
from trainer.store.records import parse_record
from trainer.study.definition import StudyFile
from trainer.study.study_adoption import (
    demand_absent,
    import_study_folder,
    place_study,
    read_whole,
)
from trainer.study.trials import StudyPaths, TrialRecord, check_numbers, is_study, run_names

STUDY = StudyPaths(Path()).study.name
BLOCK_BYTES = 1 << 16


def export_study(root: Path, target: Path) -> None:
    """Write a study with all its runs as one zip, which only this user may read.

    Raises:
        RefusedError: A process works on it.
        TransferError: The zip cannot be written.
    """
    study, trials = read_whole(root)
    if is_in_use(RunReader(root)):
        raise RefusedError(f"study {root.name}: in use. Pause it, then export it")
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    names = [name for trial in trials for name in run_names(study, trial.number)]
    records = [StudyPaths(root).study, *(StudyPaths(root).trial(one.number) for one in trials)]
    try:
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC, PRIVATE_FILE)
        with os.fdopen(descriptor, "r+b") as file, zipfile.ZipFile(file, "w") as archive:
            for path in records:
                archive.writestr(
                    f"{root.name}/{path.relative_to(root).as_posix()}", read_file(path)
                )
            for copy in read_of_run(root, study.code):
                archive.writestr(f"{root.name}/{CODE_FOLDER}/{copy.name}", copy.data)
            for name in names:
                run = StudyPaths(root).state_dir / name
                if not RunPaths(run).has_config:
                    continue  # not begun, or renamed since
                part = temporary.with_name(f"{temporary.name}.run")
                try:
                    export_run(run, part)
                    archive.write(part, f"{root.name}/runs/{name}.zip")
                finally:
                    part.unlink(missing_ok=True)
        replace(temporary, target)
    except OSError as error:
        raise TransferError(
            f"{target}: could not be written ({error.strerror or error}). Make room or choose "
            f"another place"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def is_study_copy(source: Path) -> bool:
    """Return whether a zip holds a study, or a folder is one."""
    if source.is_dir():
        return is_study(source.resolve())
    try:
        with open_archive(source) as archive:
            names = _names(archive)
    except (TransferError, StoreError, OSError):
        return False  # ``import_run`` says what is wrong with it
    return any(name.count("/") == 1 and name.endswith(f"/{STUDY}") for name in names)


def import_study(source: Path, state_dir: Path, report: Callable[[str], None]) -> Path:
    """Copy a study with its runs into the state folder; return its folder.

    Raises:
        RefusedError: A study or a run of this name exists.
        TransferError: It is damaged, or is no study.
        StoreError: A record is damaged.
    """
    if source.is_dir():
        return import_study_folder(source.resolve(), state_dir, report)
    with open_archive(source) as archive:
        study, trials = _read_records(archive, source)
        code = [_read_code(archive, study.name, entry) for entry in study.code]
    demand_absent(study.name, state_dir)
    for trial in trials:
        for name in run_names(study, trial.number):
            if (state_dir / name).exists():
                raise RefusedError(f"run {name}: it already exists. Rename it, then import again")
    make_folder(state_dir)
    with tempfile.TemporaryDirectory(prefix=".study-", dir=state_dir) as folder:

        def copy(name: str) -> None:
            part = _unpack_run(source, f"{study.name}/runs/{name}.zip", Path(folder))
            if part is not None:
                import_run(part, state_dir, name, report)
                part.unlink()

        return place_study(study, trials, state_dir, copy, code)


def _names(archive: zipfile.ZipFile) -> list[str]:
    return [item.filename for item in archive.infolist()]


def _read_records(archive: zipfile.ZipFile, source: Path) -> tuple[StudyFile, list[TrialRecord]]:
    """Return the definition and the trials of a zip."""
    (place, *others) = [name for name in _names(archive) if name.endswith(f"/{STUDY}")]
    prefix = place.removesuffix(f"/{STUDY}")
    study = parse_record(_read(archive, place), source / place, StudyFile)
    if others or study.name != check_run_name(prefix):
        raise TransferError(f"{source.name}: expected one study in a folder of its name")
    names = sorted(name for name in _names(archive) if name.startswith(f"{prefix}/trials/"))
    trials = [parse_record(_read(archive, name), source / name, TrialRecord) for name in names]
    check_numbers(trials, source, study)
    return study, trials


def _read_code(archive: zipfile.ZipFile, study: str, entry: str) -> CodeFile:
    """Return a file of own code; nothing of it is executed before this user approves it."""
    name, digest = used_file(entry)
    place = f"{study}/{CODE_FOLDER}/{name}"
    file = CodeFile(name, _read(archive, place) if place in _names(archive) else b"")
    if file.sha256 != digest:
        raise TransferError(f"{place}: expected the own code with the SHA-256 {digest[:12]}")
    return file


def _read(archive: zipfile.ZipFile, name: str) -> bytes:
    """Return a record of a zip, whose size is bounded before it is read."""
    limit = kind_of(name).max_bytes
    if archive.getinfo(name).file_size > limit:
        raise TransferError(f"{name[:200]!r}: expected a record of at most {limit:,} bytes")
    with archive.open(name) as file:  # zipfile returns no more than that size
        return b"".join(iter(lambda: file.read(BLOCK_BYTES), b""))


def _unpack_run(source: Path, name: str, folder: Path) -> Path | None:
    """Copy a run's zip out of the study's; None where it is not there."""
    with open_archive(source) as archive:
        if name not in _names(archive):
            return None
        item = archive.getinfo(name)
        is_special = stat.S_IFMT(item.external_attr >> 16) not in (0, stat.S_IFREG)
        if is_special or item.compress_type != zipfile.ZIP_STORED:
            raise TransferError(f"{name[:200]!r}: expected a plain file that is stored")
        target = folder / "run.zip"
        with archive.open(item) as packed, target.open("wb") as file:
            shutil.copyfileobj(packed, file)
    return target
