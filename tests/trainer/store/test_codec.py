"""Codec: plain data is written and read back unchanged; nothing else is read, nothing executed."""

from __future__ import annotations

import contextlib
import copyreg
import io
import os
import pickle
import struct

import joblib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from joblib.numpy_pickle import NumpyArrayWrapper

from trainer.store.codec import CodecError, dumps, loads

VALUE = {
    "schema": 1,
    "features": np.arange(12, dtype=np.float32).reshape(3, 4),
    "names": ["acc.x.mean", "thm_1.std"],
    "subjects": np.array(["SUBJ_1", "SUBJ_22"]),
    "text": "tree\n" * 100,
    "best": None,
    "rounds": -70_000,
    "done": True,
    "large": 10**30,
    "raw": b"\x00\xff",
}

arrays = npst.arrays(
    dtype=st.one_of(
        npst.boolean_dtypes(),
        npst.integer_dtypes(endianness="?"),
        npst.unsigned_integer_dtypes(),
        npst.floating_dtypes(sizes=(32, 64)),
        npst.unicode_string_dtypes(max_len=5),
    ),
    shape=npst.array_shapes(min_dims=0, min_side=0, max_side=4),
)
plain_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), arrays),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(), inner, max_size=4)
    ),
    max_leaves=10,
)


def same(a, b):
    """Return whether two plain values are equal in type, shape and bits."""
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return type(a) is type(b) and (a == b or (a != a and b != b))


@given(plain_values)
@settings(max_examples=150, deadline=None)
def test_plain_values_are_read_back_unchanged_and_give_the_same_bytes_again(value):
    """Round trip, and bytes that depend on content, not on which objects were shared."""
    data = dumps(value)
    back = loads(data)
    assert same(value, back)
    assert dumps(back) == data


def test_joblib_reads_our_files(tmp_path):
    """A notebook can read them without this project."""
    path = tmp_path / "train_features.joblib"
    path.write_bytes(dumps(VALUE))
    assert same(VALUE, joblib.load(path))


def test_equal_values_give_equal_bytes_whatever_objects_hold_them():
    """Shared or not, contiguous or not, numpy's scalars or Python's: content alone counts."""
    shared, word = np.array(["ab", "c"]), "".join(["sha", "pe"])
    assert dumps({"a": shared, "b": shared}) == dumps({"a": shared.copy(), "b": shared.copy()})
    assert dumps([word, "shape"]) == dumps(["shape", "shape"])
    assert dumps([b"xy" * 9, b"".join([b"xy" * 4, b"xy" * 5])]) == dumps([b"xy" * 9] * 2)
    grid_NF = np.arange(6.0).reshape(2, 3)
    assert dumps(np.asfortranarray(grid_NF)) == dumps(grid_NF)
    assert dumps({"score": np.float64(0.5), "step": np.int64(3)}) == dumps(
        {"score": 0.5, "step": 3}
    )


def test_values_that_are_not_plain_are_not_written():
    """A value that could not be read back safely is refused when it is written."""
    for value in (object(), {1, 2}, np.array([None]), np.zeros(2, dtype="f4,i4"), 1j):
        with pytest.raises(CodecError, match="expected"):
            dumps({"value": value})


def test_every_truncation_is_refused():
    """No prefix of a file is read as a file; every error is a CodecError."""
    data = dumps(VALUE)
    for length in range(len(data)):
        with pytest.raises(CodecError):
            loads(data[:length])


def test_a_flipped_byte_gives_a_value_or_a_codec_error_and_nothing_else():
    """The checksum finds damage before; without it, the only error is CodecError."""
    data = dumps(VALUE)
    for position in range(len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 1 << (position % 8)
        with contextlib.suppress(CodecError):
            loads(bytes(damaged))


class Hostile:
    """Pickles as a call that would create a file."""

    def __init__(self, canary):
        self.canary = canary

    def __reduce__(self):
        return os.system, (f"touch {self.canary}",)


class TwoDtypes:
    """Pickles as a dtype whose code begins like a number's and brings objects."""

    def __reduce__(self):
        return np.dtype, ("f8,O", False, True)


def _joblib_bytes(value, **options):
    buffer = io.BytesIO()
    joblib.dump(value, buffer, **options)
    return buffer.getvalue()


def _header(shape, dtype, **changes):
    """Pickle joblib's array header with the given shape and dtype."""
    wrapper = NumpyArrayWrapper(np.ndarray, shape, "C", dtype, allow_mmap=False)
    wrapper.__dict__.update(changes)
    return pickle.dumps(wrapper, protocol=4)[:-1]


def _hostile_files(canary):
    bomb = pickle.dumps(Hostile(canary), protocol=4)
    objects = np.array([Hostile(canary)], dtype=object)
    object_header = _header((1,), np.dtype(object))
    mark = b"cposix\nsystem\n(V" + f"touch {canary}".encode() + b"\nt"
    yield "a call", bomb
    yield "a call inside our dict", _joblib_bytes({"schema": 1, "features": Hostile(canary)})
    yield "a call, protocol 0", pickle.dumps(Hostile(canary), protocol=0)
    yield "a call by INST", b"(V" + f"touch {canary}".encode() + b"\niposix\nsystem\n."
    yield "a call by OBJ", b"(cposix\nsystem\nV" + f"touch {canary}".encode() + b"\no."
    yield "a call by GLOBAL", mark + b"R."
    yield "an object array", _joblib_bytes({"features": objects})
    yield "an object array's header before a pickle", object_header + bomb
    yield "a compressed file", _joblib_bytes({"a": Hostile(canary)}, compress=3)
    yield "a pickle in bytes", pickle.dumps([bomb, Hostile(canary)], protocol=4)
    yield "a nested pickle", _joblib_bytes([{"a": [Hostile(canary)]}])
    yield "a numpy scalar of objects", pickle.dumps(np.array(Hostile(canary), dtype=object))
    yield "a builtin", pickle.dumps(eval, protocol=4)
    yield "an extension", pickle.PROTO + b"\x04" + pickle.EXT1 + b"\x01."
    yield "a persistent reference", pickle.PROTO + b"\x04" + b"K\x01" + pickle.BINPERSID + b"."
    yield "a loop of state", pickle.PROTO + b"\x04" + b"}\x94h\x00b."


def test_hostile_files_are_refused_and_nothing_in_them_is_executed(tmp_path):
    """Every known way to a function call is refused before the call."""
    canary = tmp_path / "canary"
    copyreg.add_extension("os", "system", 1)
    try:
        for what, data in _hostile_files(canary):
            with pytest.raises(CodecError):
                loads(data)
            assert not canary.exists(), what
    finally:
        copyreg.remove_extension("os", "system", 1)
    os.system(f"touch {canary}")  # the canary itself works
    assert canary.exists()


@pytest.mark.parametrize(
    ("what", "data"),
    [
        ("huge shape", _header((2**40,), np.dtype("f8")) + b"."),
        ("overflowing shape", _header((2**40, 2**40, 2**40), np.dtype("f8")) + b"."),
        ("negative shape", _header((-1, 8), np.dtype("f8")) + bytes(80)),
        ("shape of text", _header(("8",), np.dtype("f8")) + bytes(80)),
        ("wide text", _header((2,), np.dtype("U500000000")) + b"."),
        ("compound", _header((1,), np.dtype("f8,i4")) + bytes(80)),
        ("two dtypes in one code", _header((1,), TwoDtypes()) + bytes(80)),
        ("no dtype", _header((1,), None) + bytes(80)),
        ("unknown order", _header((1,), np.dtype("f8"), order="A") + bytes(80)),
        ("text of 4 GB", pickle.BINUNICODE + struct.pack("<I", 2**32 - 1) + b"x."),
        ("bytes of 1 TB", pickle.BINBYTES8 + struct.pack("<Q", 2**40) + b"x."),
        ("bytearray of 1 TB", pickle.BYTEARRAY8 + struct.pack("<Q", 2**40) + b"x."),
        ("integer of 2 GB", pickle.LONG4 + struct.pack("<i", 2**31 - 1) + b"x."),
        ("frame of 1 TB", pickle.PROTO + b"\x04" + pickle.FRAME + struct.pack("<Q", 2**40) + b"."),
    ],
)
def test_a_size_larger_than_the_file_is_refused(what, data):
    """No memory is allocated for it."""
    with pytest.raises(CodecError):
        loads(data)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"\x80", b"hello", b"\x80\x05.", b"."])
def test_files_that_are_something_else_are_refused(data):
    """Not a pickle at all, or an empty one."""
    with pytest.raises(CodecError):
        loads(data)
