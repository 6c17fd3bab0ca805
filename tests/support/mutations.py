"""Changes inside the structure of a file, for fuzzing: blind ones rarely survive a parser.

In: bytes of a file and a seeded random generator. Out: bytes in which one value, line or member is
replaced by a hostile one, removed, doubled or moved; or any error of a library where the bytes
cannot be parsed.
"""

from __future__ import annotations

import io
import json
import random
import re
import zipfile

NUMBERS = (
    *("0", "-1", "1e999", "-1e308", "nan", "NaN", "Infinity", "2147483648", "-2147483649"),
    *("9223372036854775808", "1" + "0" * 400, "0.5", "00", "1e-320", "", "true", "null", "[]"),
)
VALUES = (
    *(None, True, -1, 0, 1, 2**31, 2**63, -(2**63), 10**400, 1e308, -0.0, float("nan")),
    *(float("inf"), "", "\0", "\ud800", "../x", "a" * 70_000, "=cmd", [], {}, [[]], {"": {}}),
)


def mutate_json(data: bytes, rng: random.Random) -> bytes:
    """Replace one value of a JSON document, or nest it."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return data
    if rng.random() < 0.02:
        return b"[" * rng.randrange(1, 200_000)
    return json.dumps(_replaced(value, rng), ensure_ascii=rng.random() < 0.9).encode(
        errors="surrogatepass"
    )


def mutate_lines(data: bytes, rng: random.Random) -> bytes:
    """Change one line of JSON, or double, drop or swap lines."""
    lines = data.split(b"\n")
    place = rng.randrange(len(lines))
    lines[place] = mutate_json(lines[place], rng)
    rng.random() < 0.2 and lines.insert(rng.randrange(len(lines)), lines[place])
    return b"\n".join(lines)


def mutate_text(data: bytes, rng: random.Random) -> bytes:
    """Replace one number or word of a text, or double, drop or move a line."""
    if rng.random() < 0.25:
        lines = data.split(b"\n")
        line = lines.pop(rng.randrange(len(lines)))
        for _ in range(rng.randrange(3)):
            lines.insert(rng.randrange(len(lines) + 1), line)
        return b"\n".join(lines)
    words = list(re.finditer(rb"[^\s=,]+", data))
    if not words:
        return data
    word = words[rng.randrange(len(words))]
    new = rng.choice((*NUMBERS, words[rng.randrange(len(words))].group().decode("latin-1")))
    return data[: word.start()] + new.encode("latin-1") + data[word.end() :]


def mutate_plain(data: bytes, rng: random.Random) -> bytes:
    """Replace one value inside the codec's plain data."""
    from trainer.store.codec import dumps, loads

    return dumps(_replaced(loads(data), rng))


def mutate_tensors(data: bytes, rng: random.Random) -> bytes:
    """Replace one value inside a file of tensors."""
    import torch

    value = torch.load(io.BytesIO(data), weights_only=True)
    buffer = io.BytesIO()
    torch.save(_replaced(value, rng), buffer)
    return buffer.getvalue()


def mutate_archive(data: bytes, rng: random.Random) -> bytes:
    """Rename, double or change one member of a zip."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [[item.filename, archive.read(item)] for item in archive.infolist()]
    chosen = rng.choice(members)
    if rng.random() < 0.5:
        folder, _, name = chosen[0].partition("/")
        other = rng.choice(members)[0].partition("/")[2]
        chosen[0] = rng.choice(
            (f"../{name}", f"/{name}", f"{folder}/../{name}", f"{folder}/{other}", f"{folder}/lock")
        )
    else:
        chosen[1] = mutate_json(chosen[1], rng) if rng.random() < 0.5 else chosen[1][:10]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", rng.choice((0, 8))) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content)
    return buffer.getvalue()


def _replaced(value: object, rng: random.Random) -> object:
    """Return plain data with one value replaced, removed, doubled or swapped."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(list(value))
        if rng.random() < 0.1:
            return {other: item for other, item in value.items() if other != key}
        return value | {key: _replaced(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.9:
        place = rng.randrange(len(value))
        if rng.random() < 0.1:
            return value[:place] + value[place + 1 :]
        return [*value[:place], _replaced(value[place], rng), *value[place + 1 :]]
    if isinstance(value, str) and rng.random() < 0.7:
        return mutate_text(value.encode(errors="surrogatepass"), rng).decode("latin-1")
    if hasattr(value, "shape") and rng.random() < 0.8:
        return _replaced_array(value, rng)
    return rng.choice(VALUES)


def _replaced_array(value: object, rng: random.Random) -> object:
    if rng.random() < 0.5 and value.size if isinstance(value.size, int) else value.numel():
        return value[: rng.randrange(len(value) + 1)] if value.shape else value
    if hasattr(value, "numel"):
        return value.double() if rng.random() < 0.5 else value * float("nan")
    return value.astype(rng.choice(("float64", "int64", "float32", "bool", "U3")))


def mutate_table(data: bytes, rng: random.Random) -> bytes:
    """Change a Parquet file's rows, columns or types, or blow one column up."""
    import polars as pl
    from pyarrow import parquet  # polars ends the process at some damaged pages

    if parquet.read_metadata(io.BytesIO(data)).num_rows > 1_000:
        return data  # a bomb already
    arrow = parquet.read_table(io.BytesIO(data))
    arrow.validate(full=True)
    table = pl.DataFrame(pl.from_arrow(arrow))
    name = rng.choice(table.columns)
    change = rng.randrange(5)
    if change == 0:
        table = table.drop(name)
    elif change == 1:
        table = table.with_columns(pl.lit(rng.choice((None, 0, "x", 1e300))).alias(name))
    elif change == 2:
        table = table.select(pl.all().repeat_by(rng.choice((0, 2, 1000))).explode())
    elif change == 3:
        table = table.rename({name: rng.choice(("", "\0", "lgbm:x", "x" * 10_000))})
    else:
        table = table.cast({name: rng.choice((pl.String, pl.Float32, pl.List(pl.String)))})
    buffer = io.BytesIO()
    table.write_parquet(buffer, compression=rng.choice(("uncompressed", "zstd")))
    return buffer.getvalue()
