"""Files of tensors: what ``torch.save`` writes of plain data and tensors, read without torch.

In: plain data with arrays or tensors. Out: bytes, and back. ``torch.load`` reads the files too. The
reader here does not use it: a file may come from anywhere, and in compiled code a wrong size ends
the process. It admits an uncompressed zip of the members that ``torch.save`` writes, no class and
no function but those below, and tensors that lie whole and in order in their storage.
"""

from __future__ import annotations

import io
import math
import pickle
import struct
import zipfile
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from trainer.plain_data import DamagedDataError, reading

MAX_DIMENSIONS = 8
OPCODES = (  # of ``torch.save``; none allocates memory for a size that the file does not have
    *(pickle.PROTO, pickle.STOP, pickle.MARK, pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE),
    *(pickle.BININT, pickle.BININT1, pickle.BININT2, pickle.LONG1, pickle.BINFLOAT),
    *(pickle.BINUNICODE, pickle.BINPUT, pickle.LONG_BINPUT, pickle.BINGET, pickle.LONG_BINGET),
    *(pickle.EMPTY_LIST, pickle.APPEND, pickle.APPENDS),
    *(pickle.EMPTY_DICT, pickle.SETITEM, pickle.SETITEMS),
    *(pickle.EMPTY_TUPLE, pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3),
    *(pickle.GLOBAL, pickle.REDUCE, pickle.BINPERSID),
)
STORAGES = {
    "torch.DoubleStorage": "<f8",
    "torch.FloatStorage": "<f4",
    "torch.HalfStorage": "<f2",
    "torch.LongStorage": "<i8",
    "torch.IntStorage": "<i4",
    "torch.ShortStorage": "<i2",
    "torch.CharStorage": "|i1",
    "torch.ByteStorage": "|u1",
    "torch.BoolStorage": "|b1",
}


def dump_tensors(value: Any) -> bytes:  # noqa: ANN401 - plain data
    """Return ``torch.save`` bytes; arrays become tensors."""
    import torch

    buffer = io.BytesIO()
    torch.save(_to_tensors(value), buffer)
    return buffer.getvalue()


def load_tensors(data: bytes) -> Any:  # noqa: ANN401 - plain data
    """Return the plain data of bytes that ``dump_tensors`` wrote, with tensors on the CPU.

    Raises:
        DamagedDataError: The bytes are not such a file.
    """
    with reading("not a file of tensors"):
        return _to_tensors(_read(data))


def load_arrays(data: bytes) -> Any:  # noqa: ANN401 - plain data
    """Return the plain data of bytes that ``dump_tensors`` wrote, with arrays for tensors.

    Raises:
        DamagedDataError: The bytes are not such a file.
    """
    with reading("not a file of tensors"):
        return _read(data)


def _read(data: bytes) -> Any:  # noqa: ANN401
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return _TensorUnpickler(_members(archive, len(data))).load()
    except (zipfile.BadZipFile, pickle.UnpicklingError, struct.error, EOFError) as error:
        raise DamagedDataError(str(error) or type(error).__name__) from error
    except (NotImplementedError, RuntimeError, OSError) as error:  # encrypted, nested too deep
        raise DamagedDataError(f"{type(error).__name__}: {error}") from error


def _members(archive: zipfile.ZipFile, num_bytes: int) -> dict[str, bytes]:
    """Return the members below the archive's only folder, without its name."""
    items = archive.infolist()
    if any(item.compress_type != zipfile.ZIP_STORED for item in items):
        raise DamagedDataError("expected members that are not compressed")
    if sum(item.file_size for item in items) > num_bytes:
        raise DamagedDataError("the members are larger than the file")
    members = {item.filename.partition("/")[2]: item for item in items}
    if len(members) < len(items):
        raise DamagedDataError("two members have one name")
    contents = {name: archive.read(item) for name, item in members.items()}
    if contents.get("byteorder", b"little") != b"little":
        raise DamagedDataError("expected little-endian numbers")
    return contents


class _Storage:
    """The numbers that tensors are parts of."""

    def __init__(self, values: NDArray[Any]) -> None:
        self.values = values


class _TensorUnpickler(pickle._Unpickler):
    """A pickle reader that builds arrays from the members of a file, and nothing else."""

    dispatch: ClassVar[dict[int, Callable[..., None]]] = {
        code[0]: pickle._Unpickler.dispatch[code[0]] for code in OPCODES
    }

    def __init__(self, members: dict[str, bytes]) -> None:
        if "data.pkl" not in members:
            raise DamagedDataError("data.pkl is missing")
        self._members = members
        self._storages: dict[tuple[str, str], _Storage] = {}
        super().__init__(io.BytesIO(members["data.pkl"]))

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401
        known = {
            **STORAGES,
            "torch._utils._rebuild_tensor_v2": _make_array,
            "collections.OrderedDict": _make_hooks,
        }
        if f"{module}.{name}" not in known:
            raise DamagedDataError(f"{module}.{name}: not a name that the trainer writes")
        return known[f"{module}.{name}"]

    def persistent_load(self, pid: Any) -> _Storage:  # noqa: ANN401
        """Return a storage: ("storage", type, number of its member, device, size)."""
        kind, dtype, key, _, size = pid
        if kind != "storage" or dtype not in STORAGES.values() or not isinstance(key, str):
            raise DamagedDataError("expected a storage of numbers")
        content = self._members[f"data/{key}"]
        if type(size) is not int or size * np.dtype(dtype).itemsize != len(content):
            raise DamagedDataError(f"storage {key[:20]}: its size is not that of its content")
        if (key, dtype) not in self._storages:
            values = np.frombuffer(bytearray(content), dtype=dtype)  # writable
            self._storages[key, dtype] = _Storage(values)
        return self._storages[key, dtype]


def _make_array(
    storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object
) -> NDArray[Any]:
    """Return a part of a storage, as ``torch._utils._rebuild_tensor_v2`` returns a tensor."""
    if not isinstance(storage, _Storage):
        raise DamagedDataError("tensor: expected a storage")
    if len(shape) > MAX_DIMENSIONS or not all(type(size) is int and size >= 0 for size in shape):
        raise DamagedDataError("tensor: expected a shape")
    in_order = [math.prod(shape[place + 1 :]) for place in range(len(shape))]
    size = math.prod(shape)
    if size and any(
        one > 1 and stride != wanted
        for one, stride, wanted in zip(shape, strides, in_order, strict=True)
    ):
        raise DamagedDataError("tensor: expected its numbers in order")
    if type(offset) is not int or not 0 <= offset <= len(storage.values) - size:
        raise DamagedDataError("tensor: expected a part of its storage")
    return storage.values[offset : offset + size].reshape(shape)


def _make_hooks() -> dict[str, Any]:
    """Return the hooks of a tensor, of which there are none."""
    return {}


def _to_tensors(value: Any) -> Any:  # noqa: ANN401
    import torch

    if isinstance(value, dict):
        return {key: _to_tensors(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_to_tensors(item) for item in value]
    if isinstance(value, np.ndarray):
        return torch.from_numpy(np.asarray(value, order="C"))  # keeps shape (), as batch norm has
    return value
