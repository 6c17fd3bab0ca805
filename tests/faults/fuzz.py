"""Fuzzing: every parser of a run folder and of uploads, fed with changed files by libFuzzer.

In: the name of a parser, and a folder with ``run``, a finished tiny run. Out: exit code 0, or an
artifact ``found-PARSER-...`` in the folder: an input that ends the process, takes longer than 20 s,
needs more than 1 GB, or raises an error that the parser does not declare.

    python -m pip install atheris
    python -m tests.faults.fuzz PARSER FOLDER SECONDS [SEED]

Atheris instruments ``trainer`` and ``pages``, so that inputs which reach new code are kept and
changed further. A third of the changes are blind, the others are those of ``mutations``.
"""

from __future__ import annotations

import contextlib
import importlib
import random
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import polars as pl
import psutil

from tests.support import mutations

MAX_GROWTH_MB = 1024
HANG_S = 20
INSTRUMENTED = (
    *("pages.ui.predict.uploads", "trainer.predict.predictor"),
    "trainer.run.transfer.verification",
)


@dataclass(frozen=True)
class Parser:
    """One parser.

    Attributes:
        parse: Reads bytes as the project does, and uses what it has read; of the errors that it
            documents none escapes.
        seeds: Patterns of valid files in the run folder.
        mutate: A change inside the structure.
    """

    parse: Callable[[bytes], object]
    seeds: tuple[str, ...]
    mutate: Callable[[bytes, random.Random], bytes]


def make_parsers(root: Path) -> dict[str, Parser]:
    """Return every parser that is fed from a run folder or an upload.

    Args:
        root: A finished run with ``seed.csv``, ``seed.parquet`` and ``people.csv``; the parsers
            replace its files.
    """
    json, lines = mutations.mutate_json, mutations.mutate_lines
    plain, text = mutations.mutate_plain, mutations.mutate_text
    tensors, table = mutations.mutate_tensors, mutations.mutate_table
    own = Files(root)
    return {
        "records": Parser(own.records, ("*.json", "units/*.json"), json),
        "config": Parser(own.config, ("config.json",), json),
        "status": Parser(own.status, ("status.json",), json),
        "events": Parser(own.events, ("metrics.jsonl",), lines),
        "features": Parser(own.features, ("train_features.joblib",), plain),
        "trees": Parser(partial(own.fold, "lgbm"), ("lgbm_fold00.pkl",), plain),
        "trees-text": Parser(own.trees_text, ("seed.txt",), text),
        "network": Parser(partial(own.fold, "torch"), ("torch_models/fold00.pt",), tensors),
        "bundle": Parser(own.bundle, ("torch_bundle.pkl",), plain),
        "folds": Parser(partial(own.table, "folds.parquet"), ("folds.parquet",), table),
        "oof": Parser(partial(own.table, "oof.parquet"), ("oof.parquet",), table),
        "importance": Parser(own.importance, ("feature_importance.csv",), text),
        "archive": Parser(own.archive, ("seed.zip",), mutations.mutate_archive),
        "csv": Parser(partial(own.upload, "seed.csv"), ("seed.csv",), text),
        "parquet": Parser(partial(own.upload, "seed.parquet"), ("seed.parquet",), table),
        "people": Parser(own.people, ("people.csv",), text),
    }


class Files:
    """The files of one run folder, each replaced by an input and read as the project reads it."""

    def __init__(self, root: Path) -> None:
        """Read what the parsers need; ``root`` is the run folder."""
        from trainer.store.checksums import CheckedFolder
        from trainer.store.reader import RunReader

        self.root = root
        self.reader, self.checked = RunReader(root), CheckedFolder(root)
        self.recordings = (root / "seed.parquet").read_bytes()

    def records(self, data: bytes) -> None:
        """Read every kind of JSON file."""
        from trainer.store import records
        from trainer.store.checksums import Checksums
        from trainer.store.durable import StoreError
        from trainer.store.resume_record import ResumeRecord

        for kind in (
            *(records.RunFile, records.Status, records.Command, records.Notes, Checksums),
            *(records.FoldRecord, records.ModelState, records.Scores, records.WorkerStatus),
            ResumeRecord,
        ):
            with contextlib.suppress(StoreError):
                records.parse_record(data, self.root / "record.json", kind)

    def config(self, data: bytes) -> None:
        """Read the configuration, and what depends on it."""
        from trainer.run.transfer.verification import verify_run
        from trainer.store.durable import StoreError
        from trainer.store.run_state import derive_state

        self.checked.write("config.json", data)
        derive_state(self.reader)
        verify_run(self.root)
        with contextlib.suppress(StoreError):
            self.reader.fold_records()

    def status(self, data: bytes) -> None:
        """Derive the state of the run."""
        from trainer.store.reader import list_runs
        from trainer.store.run_state import derive_state

        (self.root / "status.json").write_bytes(data)
        for reader in list_runs(self.root.parent):
            derive_state(reader)

    def events(self, data: bytes) -> None:
        """Read the event log."""
        from trainer.store.event_log import EventLog

        path = self.root / "metrics.jsonl"
        path.write_bytes(data)
        log = EventLog(path)
        log.events()
        log.curves()

    def features(self, data: bytes) -> None:
        """Read the feature cache, whose checksum is right."""
        from trainer.store.tables.feature_cache import load_features

        self.checked.write("train_features.joblib", data)
        load_features(self.checked)

    def fold(self, name: str, data: bytes) -> None:
        """Open a fold file and predict with it."""
        from trainer.models import registry
        from trainer.plain_data import DamagedDataError
        from trainer.run.fold_result_file import load_block

        model = registry.get(name)
        with contextlib.suppress(DamagedDataError):
            self._predict(name, load_block(model, data).result.packed)

    def trees_text(self, data: bytes) -> None:
        """Predict with a changed model text in an otherwise whole fold."""
        from trainer.store.codec import loads

        packed = loads((self.root / "lgbm_fold00.pkl").read_bytes())["packed"]
        self._predict("lgbm", packed | {"model_text": data.decode("latin-1")})

    def bundle(self, data: bytes) -> None:
        """Load a predictor whose bundle has a right seal and checksum."""
        from trainer.predict.fitted_models import PredictError
        from trainer.predict.predictor import Predictor
        from trainer.store.codec import seal
        from trainer.store.durable import StoreError

        self.checked.write("torch_bundle.pkl", seal(data.rpartition(b"sha256:")[0]))
        with contextlib.suppress(PredictError, StoreError):
            Predictor.load(self.root).predict(self._sequences())

    def table(self, name: str, data: bytes) -> None:
        """Read a Parquet file whose checksum is right."""
        from trainer.store.durable import StoreError

        self.checked.write(name, data)
        with contextlib.suppress(StoreError):
            self.reader.folds() if name == "folds.parquet" else self.reader.oof()

    def importance(self, data: bytes) -> None:
        """Read the importance table."""
        from trainer.store.durable import StoreError

        self.checked.write("feature_importance.csv", data)
        with contextlib.suppress(StoreError):
            self.reader.importance()

    def archive(self, data: bytes) -> None:
        """Import and verify a run."""
        from trainer.run.transfer.archive import TransferError, import_run
        from trainer.run.transfer.verification import verify_run

        with tempfile.TemporaryDirectory(dir=self.root.parent) as name:
            path = Path(name) / "run.zip"
            path.write_bytes(data)
            with contextlib.suppress(TransferError):
                verify_run(import_run(path, Path(name) / "state"))

    def upload(self, name: str, data: bytes) -> None:
        """Read uploaded recordings and preprocess them."""
        from pages.ui.predict.uploads import read_sequences
        from trainer.data.preprocess import preprocess
        from trainer.data.schema import DataError

        with contextlib.suppress(DataError):
            preprocess(read_sequences(name, data))

    def people(self, data: bytes) -> None:
        """Read uploaded demographics."""
        from pages.ui.predict.uploads import read_sequences
        from trainer.data.schema import DataError

        with contextlib.suppress(DataError):
            read_sequences("seed.parquet", self.recordings, ("people.csv", data))

    def _predict(self, name: str, packed: dict[str, object]) -> None:
        from trainer.data.preprocess import preprocess
        from trainer.models import registry
        from trainer.plain_data import DamagedDataError

        model = registry.get(name)
        with contextlib.suppress(DamagedDataError):
            registry.open_packed(model, packed).predict(
                model.prepare(preprocess(self._sequences()))
            )

    def _sequences(self) -> object:
        from pages.ui.predict.uploads import read_sequences

        return read_sequences("seed.parquet", self.recordings)


def main() -> None:
    """Fuzz one parser."""
    name, folder, seconds, *seed = sys.argv[1:]
    import atheris

    with atheris.instrument_imports(include=["trainer", "pages"]):
        for module in INSTRUMENTED:
            importlib.import_module(module)
    parser = make_parsers(Path(folder) / "run")[name]
    corpus = Path(folder) / f"corpus-{name}"
    corpus.mkdir(exist_ok=True)
    for pattern in parser.seeds:
        for path in sorted((Path(folder) / "run").glob(pattern)):
            shutil.copyfile(path, corpus / path.name)
    seeds = sorted(corpus.iterdir())
    for path in seeds:  # imports what it needs, so that the memory limit does not count it
        parser.parse(path.read_bytes())

    def mutate(data: bytes, max_size: int, number: int) -> bytes:
        rng = random.Random(number)
        if rng.random() < 1 / 3:
            return atheris.Mutate(data, max_size)[:max_size]
        # the mutators read what they made before, and the libraries for that may fail on it
        try:
            return parser.mutate(data, rng)[:max_size]
        except (Exception, pl.exceptions.PanicException):
            return data

    used_mb = psutil.Process().memory_info().rss >> 20
    largest = max(path.stat().st_size for path in seeds)
    options = [
        *(sys.argv[0], f"-max_total_time={seconds}", f"-timeout={HANG_S}"),
        *(f"-rss_limit_mb={used_mb + MAX_GROWTH_MB}", f"-max_len={4 * largest + 4096}"),
        *(f"-artifact_prefix={folder}/found-{name}-", f"-seed={seed[0] if seed else 1}"),
        *("-print_final_stats=1", str(corpus)),
    ]
    atheris.Setup(options, parser.parse, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
