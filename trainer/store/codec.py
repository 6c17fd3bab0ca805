"""Codec: the content of ``.pkl`` and ``.joblib`` files, which is plain data and nothing else.

In: arrays, strings, numbers, lists and dicts of them. Out: bytes that ``joblib.load`` reads too.
The reader of this module accepts nothing else: no class is looked up, no function is called, an
object-dtype array is refused before it is read, and no memory is allocated for a size that the
file does not have.
"""

from __future__ import annotations

import io
import pickle
import struct
import sys
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from trainer.plain_data import DamagedDataError
from trainer.store.durable import sha256

SEAL = b"sha256:"
ALLOWED_KINDS = "biufU"  # bool, int, unsigned, float, unicode
OPCODES = (  # of ``dumps``; none allocates memory for a size that the file does not have
    *(pickle.PROTO, pickle.FRAME, pickle.STOP, pickle.MARK, pickle.NONE),
    *(pickle.NEWTRUE, pickle.NEWFALSE, pickle.BININT, pickle.BININT1, pickle.BININT2),
    *(pickle.LONG1, pickle.LONG4, pickle.BINFLOAT),
    *(pickle.SHORT_BINUNICODE, pickle.BINUNICODE, pickle.BINUNICODE8),
    *(pickle.SHORT_BINBYTES, pickle.BINBYTES, pickle.BINBYTES8),
    *(pickle.EMPTY_LIST, pickle.APPEND, pickle.APPENDS),
    *(pickle.EMPTY_DICT, pickle.SETITEM, pickle.SETITEMS),
    *(pickle.EMPTY_TUPLE, pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3),
    *(pickle.MEMOIZE, pickle.BINGET, pickle.LONG_BINGET),
    *(pickle.STACK_GLOBAL, pickle.NEWOBJ, pickle.REDUCE, pickle.BUILD),
)


class CodecError(DamagedDataError):
    """Bytes that ``dumps`` has not written, or that contain more than plain data."""


def dumps(value: Any) -> bytes:  # noqa: ANN401 - any plain value
    """Serialise a plain value; equal values give equal bytes."""
    import joblib

    buffer = io.BytesIO()
    joblib.dump(_canonical(value, {}), buffer, compress=0, protocol=4)
    return buffer.getvalue()


def loads(data: bytes) -> Any:  # noqa: ANN401 - any plain value
    """Return the value of bytes that ``dumps`` wrote.

    Raises:
        CodecError: The bytes are damaged or contain more than plain data.
    """
    try:
        return _PlainUnpickler(data).load()
    except CodecError:
        raise
    except (
        pickle.UnpicklingError,
        struct.error,
        EOFError,
        ValueError,
        IndexError,
        KeyError,
        TypeError,
        AttributeError,
        OverflowError,
        MemoryError,
        RecursionError,
    ) as error:
        raise CodecError(
            f"not a file of the trainer, or damaged: {type(error).__name__}: {error}"
        ) from error


def seal(data: bytes) -> bytes:
    """Append the SHA-256 of a file's bytes; ``joblib.load`` ignores it."""
    return data + SEAL + sha256(data).encode()


def unseal(data: bytes) -> bytes | None:
    """Return the bytes without their seal; None if the seal does not match."""
    content, mark, digest = data.rpartition(SEAL)
    return content if mark and digest == sha256(content).encode() else None


def _canonical(value: Any, known: dict[Any, Any]) -> Any:  # noqa: ANN401
    """Rebuild a value so that pickle's memo, which compares identities, depends on content only."""
    if isinstance(value, np.ndarray):
        return _canonical_array(value, known)
    if isinstance(value, str):
        return sys.intern(str(value))  # as the words in joblib's array header are
    if isinstance(value, dict):
        return {_canonical(k, known): _canonical(v, known) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(item, known) for item in value]
    if isinstance(value, np.generic):
        return _canonical(value.item(), known)
    if isinstance(value, bytes):
        return known.setdefault(value, value)
    if value is None or isinstance(value, bool | int | float):
        return value
    raise CodecError(f"{type(value).__name__}: expected arrays, text, numbers, lists, dicts")


def _canonical_array(array: np.ndarray[Any, Any], known: dict[Any, Any]) -> np.ndarray[Any, Any]:
    if array.dtype.kind not in ALLOWED_KINDS:
        raise CodecError(f"array of dtype {array.dtype}: expected numbers or text")
    dtype = known.setdefault(array.dtype.str, np.dtype(array.dtype.str))
    copied = np.empty(array.shape, dtype=dtype)
    copied[...] = array
    return copied


class _Array:
    """Replaces joblib's array wrapper; filled by BUILD, then replaced by the array."""

    shape: tuple[int, ...]
    order: str
    dtype: _DType
    numpy_array_alignment_bytes: int | None = None

    def __setstate__(self, state: dict[str, Any]) -> None:
        shape, order, dtype = state["shape"], state["order"], state["dtype"]
        if not isinstance(dtype, _DType) or order not in ("C", "F"):
            raise CodecError("array header: expected a plain dtype and an order")
        if not all(isinstance(size, int) and size >= 0 for size in shape):
            raise CodecError(f"array header: shape {shape!r} is not a shape")
        self.shape, self.order, self.dtype = tuple(shape), order, dtype
        self.numpy_array_alignment_bytes = state.get("numpy_array_alignment_bytes")

    def read(self, file: io.BytesIO) -> np.ndarray[Any, Any]:
        """Read the raw bytes that follow the header."""
        if self.numpy_array_alignment_bytes is not None:
            file.read(file.read(1)[0])
        dtype = self.dtype.resolve()
        num_bytes = dtype.itemsize
        for size in self.shape:
            num_bytes *= size
        place = file.tell()
        remaining = file.seek(0, io.SEEK_END) - place  # ``getbuffer`` would copy the whole file
        file.seek(place)
        if num_bytes > remaining:
            raise CodecError(
                f"array of {num_bytes:,} bytes, but the file has only {remaining:,} left"
            )
        flat = np.frombuffer(file.read(num_bytes), dtype=dtype).copy()
        return flat.reshape(self.shape, order="F" if self.order == "F" else "C")


class _DType:
    """Replaces numpy's dtype: a code and a byte order, nothing that can hold objects."""

    def __init__(self, code: str, align: bool = False, copy: bool = True) -> None:
        if not isinstance(code, str) or code[:1] not in ALLOWED_KINDS:
            raise CodecError(f"array of dtype {code!r}: expected numbers or text")
        self.code = code
        self.byte_order = "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        fields = state[2:5]  # subdtype, names, fields: all None in a plain dtype
        if any(field is not None for field in fields) or state[1] not in ("<", ">", "|", "="):
            raise CodecError("array of a compound dtype: expected numbers or text")
        self.byte_order = state[1]

    def resolve(self) -> np.dtype[Any]:
        """Return the dtype."""
        dtype = np.dtype(self.code)
        if dtype.kind not in ALLOWED_KINDS:
            raise CodecError(f"array of dtype {self.code!r}: expected numbers or text")
        return dtype.newbyteorder(self.byte_order)  # type: ignore[arg-type]


class _NdArray:
    """Replaces the array class that joblib names; never created, never called."""

    def __init__(self, *_: object) -> None:
        raise CodecError("a pickled array: expected a raw one")


_ALLOWED: dict[tuple[str, str], type] = {
    ("joblib.numpy_pickle", "NumpyArrayWrapper"): _Array,
    ("numpy", "ndarray"): _NdArray,
    ("numpy", "dtype"): _DType,
}


class _PlainUnpickler(pickle._Unpickler):
    """A pickle reader that knows three names, each with a harmless replacement."""

    dispatch: ClassVar[dict[int, Callable[..., None]]] = {
        code[0]: pickle._Unpickler.dispatch[code[0]] for code in OPCODES
    }
    stack: list[Any]

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)
        super().__init__(self._file)

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401
        if (module, name) not in _ALLOWED:
            raise CodecError(f"{module}.{name}: not a name that the trainer writes; not loaded")
        return _ALLOWED[(module, name)]

    def load_build(self) -> None:
        state = self.stack.pop()
        instance = self.stack[-1]
        if not isinstance(instance, _Array | _DType):
            raise CodecError("object state: the trainer writes none")
        instance.__setstate__(state)
        if isinstance(instance, _Array):
            self.stack[-1] = instance.read(self._file)

    dispatch[pickle.BUILD[0]] = load_build
