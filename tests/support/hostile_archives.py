"""Hostile archives: a good export of a run, changed in one way each.

In: the path of an export, a folder. Out: archives, each with what an import must do: a phrase of
the refusal, or "" where the run is imported without what does not belong to it.
"""

from __future__ import annotations

import json
import os
import stat
import struct
import zipfile

FAR_FUTURE = 4e12
LIVE_FILES = {
    "lock": b"",
    "lock.owner": json.dumps(
        {
            "nonce": "n",
            "host": "elsewhere",
            "boot_id": "b",
            "pid": 7,
            "started": 1.0,
            "renewed_at": FAR_FUTURE,
        }
    ).encode(),
    "units/lgbm_fold00.lock.owner": b"{}",
    "command.json": json.dumps(
        {
            "schema": 1,
            "id": "x",
            "command": "pause",
            "after": "now",
            "asked_by": "x",
            "asked_at": FAR_FUTURE,
        }
    ).encode(),
    "units/at_work/stop": b"999999\n",
    "units/at_work/lgbm_fold00.beat": b"{}",
    "units/at_work/lgbm_fold00.9.lines": b'{"event": "finish", "time": 0, "attempt": 9}\n',
    "units/at_work/features_NF.npy": b"x",
    ".x.99999999999999999999999.tmp": b"",
    "units/frames_0.npy": b"x",
}
FOREIGN_FILES = {
    ".DS_Store": b"x",
    "units/.DS_Store": b"x",
    "._config.json": b"x",
    "Thumbs.db": b"x",
    "desktop.ini": b"x",
    "notes.txt": b"mine",
    "inner.zip": b"PK\x03\x04",
    "dump.exe": b"MZ",
    "line\nbreak.json": b"{}",
    "<b>[x](www.x.org) $y$.txt": b"x",
    "a" * 300 + ".json": b"{}",
    "/".join("a" * 150) + "/x.json": b"{}",
}


def write(path, exported, more=(), changed=None, method=zipfile.ZIP_DEFLATED):
    """Write the members of an export with some changed and others added."""
    changed = changed or {}
    with zipfile.ZipFile(exported) as source, zipfile.ZipFile(path, "w", method) as target:
        for item in source.infolist():
            name = item.filename.partition("/")[2]
            target.writestr(item.filename, changed.get(name, source.read(item)))
        for name, data in more:
            target.writestr(name, data)
    return path


def directory_entry(data, name):
    """Return where the entry of a member begins in the archive's table of contents."""
    at = data.rindex(name.encode()) - 46
    assert data[at : at + 4] == b"PK\x01\x02"
    return at


def patched(path, exported, name, offset, value):
    """Copy an export with bytes of a member's entry in the table of contents replaced."""
    data = bytearray(exported.read_bytes())
    at = directory_entry(data, name) + offset
    data[at : at + len(value)] = value
    path.write_bytes(bytes(data))
    return path


def special_file(path, exported, mode):
    """Copy an export with a member that is a link, a device or a named pipe."""
    entry = zipfile.ZipInfo("tiny/more.json")
    entry.external_attr = (mode | 0o666) << 16
    return write(path, exported, [(entry, b"/etc/passwd")])


def overlapping(path, exported):
    """Copy an export with two entries for one member's data."""
    data = exported.read_bytes()
    end = data.rindex(b"PK\x05\x06")
    num, _, size, start = struct.unpack("<HHLL", data[end + 8 : end + 20])
    at = directory_entry(data, "tiny/oof.parquet")
    name_length = struct.unpack("<H", data[at + 28 : at + 30])[0]
    entry = data[at : at + 46 + name_length].replace(b"oof.parquet", b"oog.parquet")
    table = data[start : start + size] + entry
    tail = data[end : end + 8] + struct.pack("<HHLL", num + 1, num + 1, len(table), start)
    path.write_bytes(data[:start] + table + tail + data[end + 20 :])
    return path


def zip64_size(path, exported, num_bytes):
    """Copy an export with a ZIP64 entry that states such a size."""
    with zipfile.ZipFile(exported) as source, zipfile.ZipFile(path, "w") as target:
        for item in source.infolist():
            target.writestr(item.filename, source.read(item))
        target.writestr("tiny/lgbm_fold09.pkl", b"x")
        target.infolist()[-1].file_size = num_bytes
    return path


def forced_zip64(path, exported):
    """Copy an export in which every member has a ZIP64 header."""
    with zipfile.ZipFile(exported) as source, zipfile.ZipFile(path, "w") as target:
        for item in source.infolist():
            with target.open(item.filename, "w", force_zip64=True) as file:
                file.write(source.read(item))
    return path


def inside(files, folder="tiny"):
    return [(f"{folder}/{name}", data) for name, data in files.items()]


def gallery(exported, folder):
    """Yield name, path and the expected phrase of the refusal ("": imported)."""
    blanks = b" " * (5 << 20)
    makers = {
        "a configuration of 5 MB of blanks": (
            lambda path: write(path, exported, changed={"config.json": blanks}),
            "config.json: expected a record of at most 4,194,304 bytes, got 5,242,880",
        ),
        "checksums of 20 MB": (
            lambda path: write(path, exported, changed={"checksums.json": b" " * (20 << 20)}),
            "checksums.json: expected a record of at most",
        ),
        "a size of 3 GB in the table of contents": (
            lambda path: patched(path, exported, "tiny/oof.parquet", 24, b"\0\0\0\xc0"),
            "oof.parquet: expected a table of at most",
        ),
        "a size of 2^62 bytes in ZIP64": (
            lambda path: zip64_size(path, exported, 1 << 62),
            "lgbm_fold09.pkl: expected a model of at most",
        ),
        "every member in ZIP64": (lambda path: forced_zip64(path, exported), ""),
        "files of a live process": (
            lambda path: write(path, exported, inside(LIVE_FILES)),
            "",
        ),
        "files that no run contains": (
            lambda path: write(path, exported, inside(FOREIGN_FILES)),
            "",
        ),
        "what macOS adds": (
            lambda path: write(
                path, exported, [("__MACOSX/tiny/._config.json", b"x"), (".DS_Store", b"x")]
            ),
            "",
        ),
        "a file twice": (
            lambda path: write(path, exported, [("tiny//oof.parquet", b"x")]),
            "expected one file of this name",
        ),
        "a file twice in other letters": (
            lambda path: write(path, exported, [("tiny/OOF.parquet", b"x")]),
            "expected one file of this name",
        ),
        "a file as a folder": (
            lambda path: write(path, exported, [("tiny/config.json/x.json", b"{}")]),
            "could not write",
        ),
        "LZMA": (
            lambda path: write(path, exported, method=zipfile.ZIP_LZMA),
            "got compression method 14",
        ),
        "BZIP2": (
            lambda path: write(path, exported, method=zipfile.ZIP_BZIP2),
            "got compression method 12",
        ),
        "an unknown method": (
            lambda path: patched(path, exported, "tiny/oof.parquet", 10, b"\x63\0"),
            "got compression method 99",
        ),
        "a named pipe": (
            lambda path: special_file(path, exported, stat.S_IFIFO),
            "expected plain files",
        ),
        "a device": (
            lambda path: special_file(path, exported, stat.S_IFCHR),
            "expected plain files",
        ),
        "a link": (
            lambda path: special_file(path, exported, stat.S_IFLNK),
            "expected plain files",
        ),
        "a way out": (
            lambda path: write(path, exported, [("tiny/../../x.json", b"x")]),
            "expected plain files in one folder",
        ),
        "a second folder": (
            lambda path: write(path, exported, [("other/config.json", b"x")]),
            "expected plain files in one folder",
        ),
        "a name of 60,000 letters": (
            lambda path: write(path, exported, [("tiny/" + "a" * 60_000, b"x")]),
            "",
        ),
        "20,000 files": (
            lambda path: write(path, exported, [(f"tiny/{n}.json", b"") for n in range(20_000)]),
            "expected at most 10,000 files, got 20",
        ),
        "a table of contents of 6 MB": (
            lambda path: write(
                path, exported, [(f"tiny/{n}{'a' * 60_000}.json", b"") for n in range(100)]
            ),
            "a table of contents of 6",
        ),
        "two entries for the same data": (
            lambda path: overlapping(path, exported),
            "expected a zip written by export",
        ),
        "cut off": (
            lambda path: path.write_bytes(exported.read_bytes()[:-900]) and path,
            "expected a zip written by export",
        ),
        "something before the archive": (
            lambda path: path.write_bytes(os.urandom(999) + exported.read_bytes()) and path,
            "",
        ),
        "an offset before the file": (
            lambda path: patched(path, exported, "tiny/oof.parquet", 42, b"\xff\xff\xff\x7f"),
            "expected a zip written by export",
        ),
        "a file without a name": (
            lambda path: nameless(path, exported),
            "expected plain files in one folder",
        ),
        "only foreign files": (
            lambda path: only_foreign(path),
            "no config.json in it",
        ),
    }
    for number, (name, (make, phrase)) in enumerate(makers.items()):
        yield name, make(folder / f"hostile-{number}.zip"), phrase


def nameless(path, exported):
    """Copy an export with a member whose name begins with its end."""
    data = write(path, exported, [("Q-no-name", b"x")]).read_bytes()
    path.write_bytes(data.replace(b"Q-no-name", b"\0-no-name"))
    return path


def only_foreign(path):
    with zipfile.ZipFile(path, "w") as target:
        target.writestr("__MACOSX/tiny/._config.json", b"x")
    return path
