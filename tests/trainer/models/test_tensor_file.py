"""Files of tensors: read without torch, and nothing in them is trusted."""

from __future__ import annotations

import io
import pickle
import zipfile

import numpy as np
import pytest
import torch

from trainer.models.tensor_file import dump_tensors, load_arrays, load_tensors
from trainer.plain_data import DamagedDataError

VALUE = {
    "a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "b": [np.array(3), {"c": np.zeros((0, 4)), "d": np.array([True, False])}, None, True],
    "e": {"f": 1.5, "g": "text", "h": -(2**40), 3: np.float64([[1.0]]).T},
}


def saved(value):
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def rewritten(data, name, change, compression=zipfile.ZIP_STORED):
    """Return the file with the content of one member changed; None removes it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w", compression) as new:
        for item in old.infolist():
            content = old.read(item)
            if item.filename.endswith(name):
                content = change(content)
            if content is not None:
                new.writestr(item.filename, content)
    return buffer.getvalue()


def test_the_values_are_those_that_torch_reads():
    data = dump_tensors(VALUE)
    expected = torch.load(io.BytesIO(data), weights_only=True)
    found = load_tensors(data)
    assert repr(found) == repr(expected)
    assert found["a"].dtype == torch.float32
    assert load_arrays(data)["b"][1]["d"].tolist() == [True, False]
    found["a"] += 1  # writable, as an optimizer needs it


def test_parts_of_one_storage_are_read():
    whole = torch.arange(12.0)
    found = load_arrays(saved({"whole": whole, "part": whole[4:8].reshape(2, 2)}))
    assert found["part"].tolist() == [[4.0, 5.0], [6.0, 7.0]]


@pytest.mark.parametrize(
    "value",
    [
        {"a": torch.zeros(1).expand(2**40)},
        {"a": torch.zeros(1).expand(2**16, 2**16)},
        {"a": torch.arange(6.0).reshape(2, 3).T},
        {"a": torch.eye(3).to_sparse()},
        {"a": torch.zeros(3, device="meta")},
        {"a": torch.zeros(2, dtype=torch.complex64)},
        {"a": torch.nn.Parameter(torch.zeros(2))},
        torch.nn.Linear(2, 2),
        {"a": torch.float32},
        {"a": {1, 2}},
    ],
)  # fmt: skip
def test_tensors_that_the_trainer_does_not_write_are_refused(value):
    """Views of another shape, sparse, without memory, classes."""
    with pytest.raises(DamagedDataError, match="not a file of tensors"):
        load_tensors(saved(value))


def test_sizes_that_do_not_agree_are_refused():
    """A storage, or a part of it, beyond what the file contains."""
    data = dump_tensors({"a": np.zeros(4, dtype=np.float32)})

    def refuse(old, new):
        changed = rewritten(data, "data.pkl", lambda content: content.replace(old, new))
        with pytest.raises(DamagedDataError):
            load_arrays(changed)

    refuse(b"K\x04tq", b"J\x00\x00\x00\x40tq")  # the size of the storage
    refuse(b"K\x04\x85q", b"K\x05\x85q")  # the shape
    refuse(b"QK\x00", b"QK\x01")  # the offset
    refuse(b"QK\x00", b"QJ\xff\xff\xff\xff")
    refuse(b"K\x04\x85q", b"J\xfc\xff\xff\xff\x85q")
    refuse(b"FloatStorage", b"DoubleStorage")
    with pytest.raises(DamagedDataError):
        load_arrays(rewritten(data, "data/0", lambda _: b"\0" * 12))
    with pytest.raises(DamagedDataError):
        load_arrays(rewritten(data, "data/0", lambda _: None))


def test_containers_that_torch_does_not_write_are_refused():
    """Compressed bombs, members twice, no zip, other pickles, deep nesting."""
    data = dump_tensors(VALUE)
    bomb = rewritten(data, "data/0", lambda _: b"\0" * 10**7, zipfile.ZIP_DEFLATED)
    assert len(bomb) < 10**5
    deep = b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b"."
    code = b"cos\nsystem\n(X\x02\x00\x00\x00idtR."
    buffer = io.BytesIO(data)
    with zipfile.ZipFile(buffer, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("archive/data.pkl", b"")
    for hostile in (
        *(b"", b"PK", data[:100], data[: len(data) // 2], pickle.dumps(VALUE), b"PK\x03\x04" * 99),
        *(bomb, buffer.getvalue(), saved({})[:-1]),
        rewritten(data, "data.pkl", lambda _: deep),
        rewritten(data, "data.pkl", lambda _: code),
        rewritten(data, "data.pkl", lambda _: b"\x80\x04\x95" + b"\xff" * 8 + b"."),
        rewritten(data, "data.pkl", lambda _: None),
        rewritten(data, "byteorder", lambda _: b"big"),
    ):
        with pytest.raises(DamagedDataError, match="not a file of tensors"):
            load_tensors(hostile)


def test_every_cut_and_changed_byte_is_an_error_or_a_value():
    data = dump_tensors({"a": np.arange(3.0), "b": ["text", 1]})
    for length in range(0, len(data), 7):
        with pytest.raises(DamagedDataError):
            load_tensors(data[:length])
    rng = np.random.default_rng(0)
    for place in rng.integers(len(data), size=400):
        changed = bytearray(data)
        changed[place] ^= 1 << rng.integers(8)
        try:
            load_tensors(bytes(changed))
        except DamagedDataError:
            continue
