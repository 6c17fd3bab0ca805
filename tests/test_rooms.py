"""The shape of the code: model names, sizes of files and folders, imports between tests."""

from __future__ import annotations

import ast
from collections import Counter

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

from tests.support.tiny_runs import PROJECT

ROOMS = ("trainer", "pages")
MODEL_NAMES = ("lgbm", "torch")
OWN_PLACES = ("trainer/models/boosting/", "trainer/models/network/", "trainer/config/")
PACKAGE_LISTS = ("PACKAGES",)  # libraries whose versions a run records
MAX_FILES = 15
MAX_LINES = 320
LONGER_FILES = {  # one noun each, that would be harder to read in two files
    "trainer/store/records.py",
}
OPEN_FILES = {  # modules that open files, and which: none reads a file of a run
    "trainer/store/durable.py": "opens a regular file for all others, and writes",
    "trainer/store/locks.py": "the system's list of mounts",
    "trainer/store/process.py": "the system's boot id",
    "trainer/data/files.py": "the user's recordings",
    "trainer/data/partitions.py": "the user's recordings",
    "trainer/kaggle/gateway.py": "the competition's files",
    "trainer/run/machine.py": "the system's list of processors",
    "trainer/run/workers/pool.py": "the system's memory limit",
    "trainer/run/workers/shared_arrays.py": "maps an array after its checksum was verified",
    "trainer/run/inputs/partitioned_dataset.py": "the same; writes such an array",
    "trainer/run/transfer/archive.py": "an archive, read and written",
    "trainer/study/study_archive.py": "the same, of a study",
    "trainer/simulation/simulate.py": "writes recordings",
    "pages/ui/studies/export.py": "an archive that was just written",
}
READS = ("read_bytes", "read_text", "memmap", "fromfile")
LIBRARY_READS = ("load", "read_parquet", "scan_parquet", "read_csv", "scan_csv", "read_ipc")
LIBRARIES = ("np", "pl", "joblib", "torch", "json", "pickle")
OWN_OPEN = ("model", "self", "FoldFiles", "shared")  # their method ``open`` opens no file
GIVEN_BYTES = ("io.BytesIO(", "read_file(", "header.encode(", "data")  # what such a call may get


def modules(*folders):
    """Return the Python files below some folders, by their paths in the project."""
    return {
        path.relative_to(PROJECT).as_posix(): path
        for folder in folders
        for path in sorted((PROJECT / folder).rglob("*.py"))
    }


def model_names_in(code):
    """Return ``line: name`` of each model name that some code holds as a string."""
    tree = ast.parse(code)
    allowed = {id(constant) for node in ast.walk(tree) for constant in _library_names(node)}
    return [
        f"{node.lineno}: {node.value}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and node.value in MODEL_NAMES and id(node) not in allowed
    ]


def _library_names(node):
    """Yield the strings of a node that name the library torch: in sys.modules, in PACKAGES."""
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "sys.modules.get":
        yield from node.args
    if isinstance(node, ast.Compare) and ast.unparse(node.comparators[0]) == "sys.modules":
        yield node.left
    if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in PACKAGE_LISTS:
        yield from ast.walk(node.value)


def imported_by(code):
    """Yield the full name of each module, or of each name in one, that some code imports."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def file_reads_in(code):
    """Return ``line: name`` of each function that opens a file, called or passed on."""
    tree = ast.parse(code)
    calls = {id(call.func): call for call in ast.walk(tree) if isinstance(call, ast.Call)}
    return [
        f"{node.lineno}: {ast.unparse(node).rpartition('.')[2]}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Name | ast.Attribute) and _reads_file(node, calls.get(id(node)))
    ]


def _reads_file(function, call):
    """Return whether a name is that of a function that opens a file; ``call`` is its call."""
    owner, _, name = ast.unparse(function).rpartition(".")
    argument = ast.unparse(call.args[0]) if call and call.args else ""
    if owner in LIBRARIES:
        return name in LIBRARY_READS and not argument.startswith(GIVEN_BYTES)
    if name == "open":  # a box on a page has an attribute of this name, some classes a method
        return call is not None and owner.rpartition(".")[2] not in OWN_OPEN
    return bool(owner) and name in READS


# Model names


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ('if model == "lgbm": pass', ["1: lgbm"]),
        ('weights["torch"]', ["1: torch"]),
        ('TITLES = {"lgbm": "LightGBM"}', ["1: lgbm"]),
        ('for model in ("lgbm", "torch"): pass', ["1: lgbm", "1: torch"]),
        ('paths.bundle("lgbm")', ["1: lgbm"]),
        ('"""Trains lgbm and torch."""\nimport torch', []),
        ('torch = sys.modules.get("torch")', []),
        ('is_loaded = "torch" in sys.modules', []),
        ('PACKAGES = ("numpy", "torch")', []),
    ],
)
def test_a_model_name_in_code_is_found(code, found):
    """Comparisons, keys, subscripts and arguments; not docstrings, not the library torch."""
    assert model_names_in(code) == found


def test_only_a_models_own_folder_knows_its_name():
    """Everything else loops over a run's models: the registry has their titles, files and steps."""
    found = [
        f"{name}:{place}"
        for name, path in modules(*ROOMS, "dashboard.py").items()
        if not name.startswith(OWN_PLACES)
        for place in model_names_in(path.read_text())
    ]
    assert found == []


# Sizes


def test_no_folder_holds_more_than_fifteen_files():
    """A folder is read as one list of names."""
    files = (path for path in modules(*ROOMS).values() if path.name != "__init__.py")
    sizes = Counter(path.parent.relative_to(PROJECT).as_posix() for path in files)
    assert {folder: size for folder, size in sizes.items() if size > MAX_FILES} == {}


def test_no_file_is_longer_than_320_lines():
    """A file is one noun; the exceptions are listed, and each of them is still needed."""
    sizes = {name: len(path.read_text().splitlines()) for name, path in modules(*ROOMS).items()}
    assert {name for name, size in sizes.items() if size > MAX_LINES} == LONGER_FILES


# Imports


def test_no_test_file_imports_from_another_one():
    """What tests share is in tests/support, in a conftest, or in a module beside them."""
    found = [
        f"{name}: {imported}"
        for name, path in modules("tests").items()
        for imported in imported_by(path.read_text())
        if imported.startswith("tests.")
        and any(part.startswith(("test_", "conftest")) for part in imported.split(".")[:-1])
    ]
    assert found == []


def test_a_circle_of_imports_inside_functions_is_found(tmp_path, monkeypatch, capsys):
    """The contract against circles looks at every import, at the top of a file or in a function."""
    package = tmp_path / "circle"
    package.mkdir()
    for name, imported in (("__init__", "os"), ("one", "circle.two"), ("two", "circle.one")):
        (package / f"{name}.py").write_text(f"def load():\n    import {imported}\n")
    contract = (
        "[importlinter:contract:1]\nname = circles\ntype = acyclic_siblings\nancestors = circle\n"
    )
    settings = tmp_path / "contracts.ini"
    settings.write_text(f"[importlinter]\nroot_package = circle\n{contract}")
    monkeypatch.syspath_prepend(tmp_path)
    status = lint_imports(config_filename=str(settings), no_cache=True)
    assert status != EXIT_STATUS_SUCCESS
    assert ".two -> .one" in capsys.readouterr().out


# Files


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("path.read_bytes()", ["1: read_bytes"]),
        ("download(data=path.read_bytes)", ["1: read_bytes"]),
        ("path.read_text(errors='replace')", ["1: read_text"]),
        ("open(path)", ["1: open"]),
        ("io.open(path)", ["1: open"]),
        ('path.open("rb")', ["1: open"]),
        ("os.open(path, os.O_RDONLY)", ["1: open"]),
        ("np.load(path)", ["1: load"]),
        ("pl.read_parquet(path)", ["1: read_parquet"]),
        ("pl.read_csv(read_file(path))", []),
        ("pl.read_csv(data)", []),
        ("pl.read_parquet(io.BytesIO(data))", []),
        ("torch.load(io.BytesIO(data))", []),
        ("read_record(path, Status)", []),
        ("model.open(packed)", []),
    ],
)
def test_code_that_opens_a_file_itself_is_found(code, found):
    """Methods of paths and the readers of libraries; not what gets bytes that were read before."""
    assert file_reads_in(code) == found


def test_only_the_bounded_reader_opens_the_files_of_a_run():
    """A file of a run may be a pipe, a device, or larger than memory: file_kinds checks that."""
    found = {
        name
        for name, path in modules(*ROOMS, "dashboard.py").items()
        if file_reads_in(path.read_text())
    }
    assert found == set(OPEN_FILES)
