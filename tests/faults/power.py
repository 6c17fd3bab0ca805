"""Power: every state that a power cut could leave of a run folder.

In: a trainer's changes and flushes, in order. Out: folders. What counts as on the disk: the
content of a file when it was last flushed, the names in a folder when that was last flushed. What
came later is there or not, folder by folder; content that was not flushed is old, torn or new.
"""

from __future__ import annotations

import json
import os
import stat
import threading
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.run_digests import digest
from trainer.store import fold_files

FOLDER = "folder"


class DiskRecorder:
    """Sits inside a trainer: after each change a snapshot of the folder, and what was flushed."""

    def __init__(self, root, target):
        self.root, self.target = root, target
        self.guard = threading.RLock()
        self.known = {}
        target.mkdir(parents=True)
        self.lines = (target / "events.jsonl").open("a", encoding="utf-8")

    def listen(self):
        """Stand behind every call that changes or flushes."""
        fsync, replace, unlink, open_file = os.fsync, os.replace, os.unlink, Path.open
        commit = fold_files.FoldFiles._commit_record

        def tell_fsync(descriptor):
            fsync(descriptor)
            path = Path(f"/proc/self/fd/{descriptor}").readlink()
            if not path.is_relative_to(self.root):
                return
            is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
            self.note("sync_folder" if is_folder else "sync_file", self.relative(path))

        def tell_replace(source, target):
            replace(source, target)
            self.note("change")

        def tell_unlink(path, *arguments, **options):
            unlink(path, *arguments, **options)
            self.note("change")

        def tell_open(path, mode="r", *arguments, **options):
            file = open_file(path, mode, *arguments, **options)
            if mode not in ("r", "rb") and path.is_relative_to(self.root):
                self.note("change")
            return file

        def tell_commit(store, record):
            commit(store, record)
            name = str(store.paths.record.relative_to(self.root))
            self.note("commit", name, store.record.generation)

        if fsync.__name__ != "<lambda>":  # no_fsync came before
            os.fsync = tell_fsync
        os.replace, os.unlink, Path.open = tell_replace, tell_unlink, tell_open
        fold_files.FoldFiles._commit_record = tell_commit

    def relative(self, path):
        return "" if path == self.root else str(path.relative_to(self.root))

    def note(self, kind, name="", number=0):
        with self.guard:
            line = {"kind": kind, "name": name, "number": number, "tree": self.snapshot()}
            self.lines.write(json.dumps(line) + "\n")
            self.lines.flush()

    def snapshot(self):
        """Return every name with its inode and the hash of its content, kept under that hash."""
        tree = {}
        for path in self.root.rglob("*"):
            try:
                status = path.stat()
                key = (status.st_ino, status.st_mtime_ns, status.st_size)
                if path.is_dir():
                    tree[self.relative(path)] = [FOLDER, ""]
                    continue
                if key not in self.known:
                    self.known[key] = self.keep(path.read_bytes())
            except FileNotFoundError:
                continue  # the heartbeat's temporary file
            tree[self.relative(path)] = [status.st_ino, self.known[key]]
        return tree

    def keep(self, data):
        name = digest(data)
        place = self.target / name
        if not place.exists():
            descriptor = os.open(place, os.O_WRONLY | os.O_CREAT)
            os.write(descriptor, data)
            os.close(descriptor)
        return name


@dataclass
class Cut:
    """One state after a power cut.

    Attributes:
        after: How many events came before it.
        kind: The last of them.
        files: Name to (hash, bytes kept of it or None for all).
        floor: Record name to the generation whose commit had returned.
    """

    after: int
    kind: str
    files: dict[str, tuple[str, int | None]]
    floor: dict[str, int]

    def build(self, target, root):
        """Write the state as a folder."""
        for name, (content, num_bytes) in self.files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            data = (target / content).read_bytes() if content else b""
            path.write_bytes(data if num_bytes is None else data[:num_bytes])


@dataclass
class Disk:
    """What is surely on the disk, event by event."""

    names: dict[str, dict[str, list]] = field(default_factory=lambda: {"": {}})
    contents: dict[int, str] = field(default_factory=dict)
    floor: dict[str, int] = field(default_factory=dict)

    def note(self, event):
        if event["kind"] == "sync_folder":
            self.names[event["name"]] = entries(event["tree"], event["name"])
        elif event["kind"] == "sync_file" and event["name"] in event["tree"]:
            inode, content = event["tree"][event["name"]]
            self.contents[inode] = content
        elif event["kind"] == "commit":
            self.floor[event["name"]] = event["number"]


def cuts(target):
    """Return every distinct state that a power cut could leave, in the order of the run."""
    disk, seen, found = Disk(), set(), []
    sizes = {path.name: path.stat().st_size for path in target.iterdir()}
    for number, line in enumerate((target / "events.jsonl").read_text().splitlines()):
        event = json.loads(line)
        disk.note(event)
        for files in possible(event["tree"], disk, sizes):
            floor = tuple(sorted(disk.floor.items()))
            key = (tuple(sorted(files.items())), floor)
            if key not in seen:
                seen.add(key)
                found.append(Cut(number, event["kind"], files, dict(floor)))
    return found


def possible(tree, disk, sizes):
    """Return the states of one instant: which folders are new, what became of unflushed content."""
    folders = ["", *(name for name, (inode, _) in tree.items() if inode == FOLDER)]
    choices = [set(), set(folders)]
    choices += [{name} for name in folders] + [set(folders) - {name} for name in folders]
    for new in choices:
        for variant in ("old", "torn", "new"):
            yield state(tree, disk, new, variant, sizes)


def state(tree, disk, new, variant, sizes):
    """Return one state as name to (hash, bytes kept)."""
    files = {}
    pending = [""]
    while pending:
        folder = pending.pop()
        listing = entries(tree, folder) if folder in new else disk.names.get(folder, {})
        for name, (inode, content) in listing.items():
            if inode == FOLDER:
                pending.append(name)
                continue
            now = next((c for i, c in tree.values() if i == inode), content)
            flushed = disk.contents.get(inode, "")
            if variant == "new" or flushed == now:
                files[name] = (now, None)
            elif variant == "torn":
                files[name] = (now, sizes[now] // 2)
            else:
                files[name] = (flushed, None)
    return files


def entries(tree, folder):
    """Return what lies directly in a folder."""
    return {
        name: entry for name, entry in tree.items() if str(Path(name).parent) in (folder or ".",)
    }
