"""Any table gives a prediction or a clear error; the same data give the same probabilities.

Tables are drawn by hypothesis: any sensors missing, holes, infinities, 1 to 3,000 rows, rows and
columns in any order, other types, unknown columns.
"""

import io

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.builders import make_table
from trainer.data.quality.checks import check_input
from trainer.data.schema import (
    ACC_COLUMNS,
    ROT_COLUMNS,
    SENSOR_COLUMNS,
    THM_COLUMNS,
    TOF_COLUMNS,
    DataError,
)
from trainer.data.sources import read_upload, sequences_from_table
from trainer.predict.predictor import PredictError, Predictor

few = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
OPTIONAL = {"rot": ROT_COLUMNS, "thm": THM_COLUMNS, "tof": TOF_COLUMNS}
BASE = make_table(num_subjects=1, sequences_per_subject=3, length=8, seed=11, labelled=False)


@pytest.fixture(scope="module")
def predictor(tiny_run):
    return Predictor.load(tiny_run)


def predict(predictor, table):
    """Return the prediction, or the message of the error."""
    try:
        sequences = sequences_from_table(table)
        check_input(sequences)
        prediction = predictor.predict(sequences)
    except (DataError, PredictError) as error:
        assert str(error).strip()
        return str(error)
    assert prediction.proba_NK.dtype == np.float64 and np.isfinite(prediction.proba_NK).all()
    assert np.abs(prediction.proba_NK.sum(axis=1) - 1).max() < 1e-9
    assert set(prediction.predicted) <= set(prediction.gestures)
    return prediction


def assert_same(one, other, tolerance=0.0):
    """Two predictions, by sequence id, or two error messages."""
    if isinstance(one, str) or isinstance(other, str):
        assert one == other
        return
    order = [one.sequence_ids.tolist().index(name) for name in other.sequence_ids.tolist()]
    assert np.abs(one.proba_NK[order] - other.proba_NK).max() <= tolerance


def as_file(table, suffix):
    """Write the table and read it back as an upload is read."""
    buffer = io.BytesIO()
    table.write_csv(buffer) if suffix == "csv" else table.write_parquet(buffer)
    return read_upload(f"table.{suffix}", buffer.getvalue())


@st.composite
def holes(draw):
    """Draw a table with sensors partly missing and some values that are not finite."""
    table = BASE
    for columns in OPTIONAL.values():
        change = draw(
            st.sampled_from(["whole", "absent", "null", "null as text", "one column null"])
        )
        table = with_change(table, columns, change)
    odd = draw(
        st.lists(
            st.tuples(
                st.sampled_from([*ACC_COLUMNS, "rot_w", "thm_2", "tof_4_v9"]),
                st.integers(0, len(BASE) - 1),
                st.sampled_from([None, np.nan, np.inf, -np.inf, 0.0, -1e6, 1e6, 1e30, -1.0]),
            ),
            max_size=6,
        )
    )
    for column, row, value in odd:
        if column in table.columns and table[column].dtype == pl.Float64:
            values = table[column].to_list()
            values[row] = value
            table = table.with_columns(pl.Series(column, values, dtype=pl.Float64))
    return table


def with_change(table, columns, change):
    if change == "absent":
        return table.drop(columns)
    if change == "one column null":
        return table.with_columns(pl.lit(None, pl.Float64).alias(columns[1]))
    if change.startswith("null"):
        dtype = pl.String if change.endswith("text") else pl.Float64
        return table.with_columns(pl.lit(None, dtype).alias(name) for name in columns)
    return table


@few
@given(table=holes())
def test_any_sensors_and_values_give_a_prediction_or_a_clear_error(predictor, table):
    """Never another exception; CSV and Parquet files of the same table give the same result."""
    result = predict(predictor, table)
    for suffix in ("csv", "parquet"):
        assert_same(result, predict(predictor, as_file(table, suffix)))


@few
@given(length=st.one_of(st.sampled_from([1, 2, 3, 5, 3000]), st.integers(1, 300)))
def test_any_length_is_predicted(predictor, length):
    """From one row."""
    one = make_table(num_subjects=1, sequences_per_subject=1, length=length, labelled=False)
    result = predict(predictor, one.head(length))
    assert not isinstance(result, str)


@few
@given(data=st.data())
def test_the_order_of_sequences_and_columns_does_not_matter(predictor, data):
    """Columns in another order: the same bits; sequences in another order: to 1e-6."""
    result = predict(predictor, BASE)
    columns = data.draw(st.permutations(BASE.columns))
    assert_same(result, predict(predictor, BASE.select(columns)))
    parts = {str(key[0]): part for key, part in BASE.group_by("sequence_id", maintain_order=True)}
    order = data.draw(st.permutations(sorted(parts)))
    assert_same(result, predict(predictor, pl.concat(parts[name] for name in order)), 1e-6)


@few
@given(seed=st.integers(0, 10**6))
def test_shuffled_rows_are_refused_or_predicted_the_same(predictor, seed):
    """The error recommends to sort the table; sorted, it has the same probabilities."""
    shuffled = BASE.sample(fraction=1.0, shuffle=True, seed=seed)
    result = predict(predictor, shuffled)
    if isinstance(result, str):
        assert "Sort the table by sequence_id and sequence_counter" in result
    else:
        assert_same(result, predict(predictor, BASE), 1e-6)
    sorted_again = predict(predictor, shuffled.sort("sequence_id", "sequence_counter"))
    assert_same(sorted_again, predict(predictor, BASE))


@few
@given(
    dtypes=st.lists(  # of acceleration, rot_w, thermopiles, tof_1; values up to 199
        st.sampled_from([pl.Int16, pl.Int64, pl.UInt8, pl.Float32, pl.Float64, pl.String]),
        min_size=4,
        max_size=4,
    )
)
def test_the_type_of_a_column_does_not_matter(predictor, dtypes):
    """Whole numbers as integers of any size, floats or text: the same bits."""
    wholes = (*ACC_COLUMNS, "rot_w", *THM_COLUMNS, *TOF_COLUMNS[:64])
    rounded = BASE.with_columns(pl.col(wholes).round(0).abs().cast(pl.Float64))
    names = [ACC_COLUMNS, ("rot_w",), THM_COLUMNS, TOF_COLUMNS[:64]]
    casts = {name: dtype for group, dtype in zip(names, dtypes, strict=True) for name in group}
    typed = rounded.with_columns(
        (pl.col(name).cast(pl.Int64) if dtype == pl.String else pl.col(name)).cast(dtype)
        for name, dtype in casts.items()
    )
    reference = predict(predictor, typed.with_columns(pl.col(SENSOR_COLUMNS).cast(pl.Float64)))
    assert not isinstance(reference, str)
    result = predict(predictor, typed)
    assert_same(reference, result)
    assert_same(result, predict(predictor, as_file(typed, "csv")))
    assert_same(result, predict(predictor, as_file(typed, "parquet")))


@few
@given(
    name=st.text(st.characters(codec="utf-8", exclude_characters='"\r\n,'), min_size=1, max_size=9),
    value=st.one_of(st.none(), st.integers(-5, 5), st.text(max_size=5), st.floats()),
)
def test_unknown_columns_change_nothing(predictor, name, value):
    """With any name and any content."""
    more = BASE.with_columns(pl.lit(value).alias(f"my {name}"))
    assert_same(predict(predictor, BASE), predict(predictor, more))
