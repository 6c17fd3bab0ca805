"""Hostile runs: a finished run, changed as an attacker would, with every checksum made right again.

In: the folder of a copy of a finished run. Out: the same folder with one attack in it. ``HOSTILE``
names the attacks; each is a function of the folder.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from trainer.store.checksums import CheckedFolder
from trainer.store.codec import dumps, loads, seal

DEEP = b"[" * 200_000
RECORDS = (
    *("config.json", "status.json", "command.json", "notes.json", "scores.json"),
    *("checksums.json", "lgbm_state.json", "torch_state.json", "units/lgbm_fold00.json"),
)
TEXT_CHANGES = {
    "feature beyond the table": ("split_feature=", "split_feature=2000000000 "),
    "child beyond the tree": ("left_child=", "left_child=1000000 "),
    "leaf beyond the tree": ("right_child=", "right_child=-1000000 "),
    "cycle of children": ("left_child=", "left_child=0 "),
    "leaves that do not exist": ("num_leaves=", "num_leaves=2147483647"),
    "trees per round": ("num_tree_per_iteration=", "num_tree_per_iteration=1000000"),
    "infinite leaf": ("leaf_value=", "leaf_value=1e999 "),
}


def write_model_text(root: Path, change: Callable[[str], str]) -> None:
    """Change the text of every LightGBM fold, in the fold files and in the bundle."""
    folder = CheckedFolder(root)
    content, _, _ = (root / "lgbm_bundle.pkl").read_bytes().rpartition(b"sha256:")
    bundle = loads(content)
    for fold in bundle["folds"]:
        fold["packed"]["model_text"] = change(fold["packed"]["model_text"])
    folder.write("lgbm_bundle.pkl", seal(dumps(bundle)))


def replace_start(text: str, field: str, values: str) -> str:
    """Replace the beginning of a field's values in every line of that field.

    As many values as before stay; the first is the hostile one.
    """
    lines = text.split("\n")
    for number, line in enumerate(lines):
        if line.startswith(field):
            rest = line[len(field) :].split(" ")[1:]
            lines[number] = field + values + " ".join(rest)
    return "\n".join(lines)


def write_status(root: Path, **changes: object) -> None:
    """Change fields of ``status.json``; a value of ``...`` removes the field."""
    path = root / "status.json"
    status = json.loads(path.read_bytes()) | changes
    path.write_text(json.dumps({key: value for key, value in status.items() if value is not ...}))


def append_events(root: Path) -> None:
    """Append lines of numbers, types and sizes that no event has."""
    with (root / "metrics.jsonl").open("ab") as file:
        for changes in (
            '"attempt": 1e999',
            '"attempt": Infinity',
            f'"time": {10**400}',
            '"model": ["lgbm"]',
            '"fold": 1e60',
            '"values": {"step": 1e999}',
            '"text": {"a": 1}',
            f'"event": "{"x" * 10_000_000}"',
        ):
            line = '{"event": "epoch", "time": 1.0, "attempt": 1, "model": "torch", "fold": 0, '
            file.write(f"{line}{changes}}}\n".encode())
        file.write(DEEP + b"\n" + b"\xff\xfe\n" + b"null\n" + b"[]\n")


def write_bomb(root: Path, name: str, num_rows: int = 300_000_000) -> None:
    """Write a Parquet file of 2 MB with 3e8 rows, run-length encoded."""
    schema = parquet.read_schema(root / name)
    block = 10_000_000
    empty = {field.type: pa.nulls(block, field.type) for field in schema}
    table = pa.table([empty[field.type] for field in schema], schema=schema)
    with parquet.ParquetWriter(root / name, schema, compression="zstd") as writer:
        for _ in range(num_rows // block):
            writer.write_table(table)
    CheckedFolder(root).write(name, (root / name).read_bytes())


def write_blanks(root: Path, name: str, num_bytes: int = 2 * 2**30) -> None:
    """Make a file 2 GB large, which take no room on the disk."""
    with (root / name).open("r+b") as file:
        file.truncate(num_bytes)


def replace_by_fifo(root: Path) -> None:
    """Replace every file that pages read by a pipe without a writer."""
    for path in [*root.glob("*.json"), *root.glob("*.parquet"), *root.glob("*.pkl")]:
        path.unlink()
        os.mkfifo(path)


def replace_by_device(root: Path) -> None:
    """Replace files by links to devices that never end, by sockets, by folders."""
    for name, source in (("status.json", "/dev/zero"), ("metrics.jsonl", "/dev/urandom")):
        (root / name).unlink()
        (root / name).symlink_to(source)
    (root / "scores.json").unlink()
    with socket.socket(socket.AF_UNIX) as server, _inside(root):
        server.bind("scores.json")
    (root / "oof.parquet").unlink()
    (root / "oof.parquet").mkdir()


class _inside:
    def __init__(self, folder: Path) -> None:
        self.folder, self.before = folder, Path.cwd()

    def __enter__(self) -> None:
        os.chdir(self.folder)

    def __exit__(self, *_: object) -> None:
        os.chdir(self.before)


def write_owner(root: Path) -> None:
    """Leave the lease of another machine, renewed in the far future, and a command from there."""
    owner = {"nonce": "n", "host": "elsewhere", "boot_id": "b", "pid": 1, "started": 0.0}
    (root / "lock.owner").write_text(json.dumps(owner | {"renewed_at": time.time() + 1e9}))
    command = {"id": "x", "command": "pause", "asked_by": "x", "asked_at": time.time() + 1e9}
    (root / "command.json").write_text(json.dumps(command))


def write_weights(root: Path) -> None:
    """Replace the network's weights by ones of another shape and by values that are no numbers."""
    content, _, _ = (root / "torch_bundle.pkl").read_bytes().rpartition(b"sha256:")
    bundle = loads(content)
    for fold in bundle["folds"]:
        for part in _arrays_of(fold["packed"]):
            part[1][part[0]] = np.full((3, 3), np.nan, np.float32)
    CheckedFolder(root).write("torch_bundle.pkl", seal(dumps(bundle)))


def _arrays_of(value: object) -> list[tuple[object, object]]:
    if not isinstance(value, dict | list):
        return []
    found = []
    for key, item in list(value.items() if isinstance(value, dict) else enumerate(value)):
        found += [(key, value)] if isinstance(item, np.ndarray) else _arrays_of(item)
    return found


def write_titles(root: Path) -> None:
    """Put markup, links and formulas where people read them."""
    text = (
        "=cmd|' /C calc'!A0 http://evil.example www.evil.example <script>alert(1)</script> :red[x]"
    )
    (root / "notes.json").write_text(json.dumps({"schema": 1, "title": text, "note": text * 50}))


def _text_attack(field: str, values: str) -> Callable[[Path], None]:
    return lambda root: write_model_text(root, lambda text: replace_start(text, field, values))


HOSTILE: dict[str, Callable[[Path], object]] = {
    **{f"text-{name}": _text_attack(*change) for name, change in TEXT_CHANGES.items()},
    "text-cut-off": lambda root: write_model_text(root, lambda text: text[: len(text) // 2]),
    "weights": write_weights,
    "blanks-config": lambda root: write_blanks(root, "config.json"),
    "blanks-status": lambda root: write_blanks(root, "status.json"),
    "blanks-events": lambda root: write_blanks(root, "metrics.jsonl"),
    "blanks-log": lambda root: write_blanks(root, "trainer.log"),
    "rows-oof": lambda root: write_bomb(root, "oof.parquet"),
    "rows-folds": lambda root: write_bomb(root, "folds.parquet"),
    **{
        f"deep-{name.replace('/', '-')}": lambda root, name=name: (root / name).write_bytes(DEEP)
        for name in RECORDS
    },
    "status-pid": lambda root: write_status(root, pid=-1),
    "status-large-pid": lambda root: write_status(root, pid=2**70),
    "status-nameless": lambda root: write_status(root, run=...),
    "status-times": lambda root: write_status(
        root, state="running", heartbeat_at=1e300, next_heartbeat_at=-1e300, progress_at=1e18
    ),
    "status-steps": lambda root: write_status(
        root, model="torch", fold=10**9, step=10**18, total_steps=1, done_units=10**18
    ),
    "events": append_events,
    "owner": write_owner,
    "temporary-name": lambda root: (root / f".x.{'9' * 40}.tmp").touch(),
    "fifos": replace_by_fifo,
    "devices": replace_by_device,
    "titles": write_titles,
}
