"""Importance of features, and its sums by the parts of their names.

In: ``feature_importance.csv`` as a frame; names are ``sensor.signal.statistic``. Out: frames and
8 x 8 grids to show.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pages.ui.shared import words
from trainer.features.meanings import meaning_of

Grid = NDArray[np.float64]

COLUMNS = ("feature", "sensor", "gain_mean", "gain_std", "split_mean", "split_std")
SIDE = 8


def check_columns(table: pl.DataFrame) -> str:
    """Return what is wrong with the table, or ""."""
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing:
        return f"feature_importance.csv: column {missing[0]!r} is missing"
    texts = [name for name in COLUMNS[2:] if not table[name].dtype.is_numeric()]
    return f"feature_importance.csv: column {texts[0]!r} is not numeric" if texts else ""


def named_parts(table: pl.DataFrame) -> pl.DataFrame:
    """Return the table with columns ``signal`` (with its sensor) and ``statistic`` added."""
    parts = pl.col("feature").str.splitn(".", 3).struct.rename_fields(["a", "b", "c"])
    return (
        table.with_columns(parts.alias("parts"))
        .with_columns(
            signal=pl.concat_str(
                [pl.col("parts").struct.field(name) for name in ("a", "b")],
                separator=".",
                ignore_nulls=True,
            ),
            statistic=pl.col("parts").struct.field("c").fill_null("none"),
        )
        .drop("parts")
    )


def top_features(table: pl.DataFrame, measure: str, search: str, limit: int) -> pl.DataFrame:
    """Return the most important features whose name contains the text: feature, mean, std."""
    return (
        search_features(table, search)
        .select(
            "feature",
            pl.col(f"{measure}_mean").cast(pl.Float64).fill_nan(0.0).fill_null(0.0).alias("mean"),
            pl.col(f"{measure}_std").cast(pl.Float64).fill_nan(0.0).fill_null(0.0).alias("std"),
        )
        .sort("mean", descending=True, maintain_order=True)
        .head(limit)
    )


def with_meanings(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with the meaning of each feature, in words, in the column ``meaning``."""
    return rows.with_columns(
        pl.Series("meaning", [meaning_of(name) for name in rows["feature"]], dtype=pl.String)
    )


def sentence(feature: str) -> str:
    """Return the meaning of a feature as a sentence; "" where it is not known."""
    meaning = meaning_of(feature)
    return f"{words.capital(meaning)}." if meaning else ""


def search_features(table: pl.DataFrame, search: str) -> pl.DataFrame:
    """Return the rows whose feature's name contains the text; case is ignored."""
    name = pl.col("feature").str.to_lowercase()
    return table.filter(name.str.contains(search.lower(), literal=True))


def summed_by(parts: pl.DataFrame, column: str, measure: str) -> pl.DataFrame:
    """Return the share of all importance by sensor, signal or statistic, in percent.

    Returns:
        Columns ``column``, ``count`` of features, ``share``, and ``std``: its spread over the
        folds, null where the table has no columns of single folds; the largest first.
    """
    folds = [name for name in parts.columns if name.startswith(f"{measure}_fold")]
    columns = [f"{measure}_mean", *folds]
    shares = parts.group_by(column, maintain_order=True).agg(
        pl.len().alias("count"),
        *(pl.col(name).sum() * (100.0 / float(parts[name].sum() or 1.0)) for name in columns),
    )
    spread = pl.concat_list(folds).list.std(ddof=0) if folds else pl.lit(None, dtype=pl.Float64)
    return shares.select(
        column, "count", pl.col(f"{measure}_mean").alias("share"), spread.alias("std")
    ).sort("share", descending=True, maintain_order=True)


def grids(
    table: pl.DataFrame, places: Mapping[str, tuple[str, int, int, int, int]], measure: str
) -> dict[str, Grid]:
    """Return the importance by time-of-flight pixel.

    The importance of a feature is divided evenly among the pixels of its region.

    Args:
        table: The importance.
        places: Feature to (sensor, first row, last row, first column, last column).
        measure: "gain" or "split".

    Returns:
        Sensor to (8, 8) float64; sensors without such a feature are left out.
    """
    found: dict[str, Grid] = {}
    for feature, mean in table.select("feature", f"{measure}_mean").iter_rows():
        if feature not in places or mean is None:
            continue
        sensor, top, bottom, left, right = places[feature]
        region = found.setdefault(sensor, np.zeros((SIDE, SIDE)))[
            top : bottom + 1, left : right + 1
        ]
        region += mean / max(region.size, 1)
    return dict(sorted(found.items()))
