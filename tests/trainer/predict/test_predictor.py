"""Predictions of a finished run: one sequence or a batch, with or without sensors or models."""

import os
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.support.builders import GESTURES, GROUPS, make_demographics, make_table, with_value
from tests.support.network_folds import predict_exactly
from tests.support.tiny_runs import tiny_config, train
from trainer.blend import vote
from trainer.data.preprocess import preprocess
from trainer.data.schema import ROT_COLUMNS, THM_COLUMNS, TOF_COLUMNS
from trainer.data.sources import load, read_table, sequences_from_table
from trainer.features.feature_table import align, build_table
from trainer.features.frames import build_frames
from trainer.models import registry
from trainer.models.boosting import booster
from trainer.models.network.inference import predict_fold
from trainer.models.temperature import scale
from trainer.predict.fitted_models import BATCH_FROM
from trainer.predict.prediction_table import prediction_frame
from trainer.predict.predictor import PredictError, Predictor
from trainer.store.checksums import CheckedFolder
from trainer.store.codec import dumps, loads, seal

KAGGLE = Path(__file__).resolve().parents[4] / "shared" / "data"  # the competition's public rows
HIDEABLE = (*THM_COLUMNS, *TOF_COLUMNS)
NAMES = [name for name, _ in GESTURES]
needs_kaggle_rows = pytest.mark.skipif(
    not (KAGGLE / "test.csv").exists(), reason="the competition's test.csv is not there"
)


@pytest.fixture(scope="module")
def predictor(tiny_run):
    return Predictor.load(tiny_run)


@pytest.fixture
def run_copy(tiny_run, tmp_path):
    """A copy of the run to change."""
    return shutil.copytree(tiny_run, tmp_path / "copy")


@pytest.fixture(scope="module")
def table():
    """Unlabelled recordings that the run has not seen, all sensors, of unequal length."""
    return make_table(num_subjects=3, sequences_per_subject=4, seed=7, labelled=False)


@pytest.fixture(scope="module")
def kaggle_rows():
    return read_table(KAGGLE / "test.csv")


def nulled(table, columns):
    """Return the table with columns there but null, as the competition's test serves them."""
    return table.with_columns(pl.lit(None, dtype=table[c].dtype).alias(c) for c in columns)


def rewrite(root, model, **changes):
    """Change values of a bundle and its checksum with them."""
    folder, name = CheckedFolder(root), f"{model}_bundle.pkl"
    folder.write(name, seal(dumps(loads(folder.read(name)) | changes)))


def assert_same_prediction(one, other, tolerance=1e-6):
    """Blended and by model, the two predictions agree."""
    assert one.predicted == other.predicted
    for model in one.by_model:
        assert np.abs(one.by_model[model] - other.by_model[model]).max() <= tolerance
    assert np.abs(one.proba_NK - other.proba_NK).max() <= tolerance


# The parts of a prediction


def test_a_prediction_contains_every_model_and_fold(predictor, table):
    """Probabilities by fold, by model and blended, 0.4 : 0.6; each row sums to 1."""
    prediction = predictor.predict(sequences_from_table(table))
    assert prediction.gestures == tuple(NAMES)
    assert prediction.num_targets == 2
    assert prediction.sequence_ids.tolist() == [f"SEQ_{n:06d}" for n in range(12)]
    assert prediction.weights == {"lgbm": 0.4, "torch": 0.6}
    for model in ("lgbm", "torch"):
        assert prediction.by_fold[model].shape == (2, 12, 4)
        assert prediction.by_model[model] == pytest.approx(prediction.by_fold[model].mean(axis=0))
    blended_NK = 0.4 * prediction.by_model["lgbm"] + 0.6 * prediction.by_model["torch"]
    assert predictor.temperatures.of_all != 1.0
    assert prediction.proba_NK == pytest.approx(scale(blended_NK, predictor.temperatures.of_all))
    assert prediction.proba_NK.dtype == np.float64
    assert prediction.proba_NK.sum(axis=1) == pytest.approx(1.0)
    assert prediction.target_proba_N == pytest.approx(prediction.proba_NK[:, :2].sum(axis=1))
    assert prediction.predicted == [NAMES[k] for k in np.argmax(prediction.proba_NK, axis=1)]
    assert prediction.notes == ("predicted by: LightGBM 0.40, the network 0.60",)


def test_labels_are_not_used(predictor):
    """A labelled file and the same file without labels have the same probabilities."""
    labelled = make_table(num_subjects=2, sequences_per_subject=2, seed=3)
    plain = labelled.drop("gesture", "sequence_type", "phase", "behavior", "orientation")
    one, other = (predictor.predict(sequences_from_table(t)) for t in (labelled, plain))
    assert_same_prediction(one, other, tolerance=0.0)


def test_a_labelled_file_may_have_gestures_that_the_run_was_not_trained_on(predictor):
    """The prediction has the gestures of the run."""
    other = make_table(num_subjects=1, sequences_per_subject=1, gestures=(("Juggle", "Target"),))
    assert predictor.predict(sequences_from_table(other)).gestures == tuple(NAMES)


# One sequence, a batch


def test_a_sequence_alone_and_in_a_batch_has_the_same_probabilities(predictor, table):
    """Each of twelve sequences of unequal length, to 1e-6."""
    together = predictor.predict(sequences_from_table(table))
    for n, sequence_id in enumerate(together.sequence_ids):
        rows = table.filter(pl.col("sequence_id") == sequence_id)
        alone = predictor.predict(sequences_from_table(rows))
        assert alone.predicted == [together.predicted[n]]
        for model in ("lgbm", "torch"):
            difference_K = alone.by_model[model][0] - together.by_model[model][n]
            assert np.abs(difference_K).max() <= 1e-6


@pytest.fixture(scope="module")
def many_table():
    """Enough sequences for batch prediction; the fourth in milli-g, which needs float64."""
    table = make_table(num_subjects=7, sequences_per_subject=10, seed=8, labelled=False)
    fourth = pl.col("sequence_id") == "SEQ_000003"
    return table.with_columns(
        pl.when(fourth).then(pl.col(name) * 102.0).otherwise(pl.col(name)).alias(name)
        for name in ("acc_x", "acc_y", "acc_z")
    )


def test_a_sequence_alone_and_in_a_large_batch_has_the_same_probabilities(predictor, many_table):
    """Blended, by model and by fold, to 1e-6, although batches are computed in another order."""
    together = predictor.predict(sequences_from_table(many_table))
    assert len(together.predicted) == 70 >= BATCH_FROM
    for n in (0, 3, 33, 69):
        rows = many_table.filter(pl.col("sequence_id") == together.sequence_ids[n])
        alone = predictor.predict(sequences_from_table(rows))
        assert np.abs(alone.proba_NK[0] - together.proba_NK[n]).max() <= 1e-6
        for model in ("lgbm", "torch"):
            difference_MK = alone.by_fold[model][:, 0] - together.by_fold[model][:, n]
            assert np.abs(difference_MK).max() <= 1e-6


def test_parts_are_computed_in_float32_except_for_values_beyond_recordings(predictor, many_table):
    """The digits differ from those of float64 where float32 is used, and only there."""
    frames = build_frames(preprocess(sequences_from_table(many_table), True))
    idx = np.arange(70)
    fold = predictor.models["torch"].folds[0].model
    difference_N = np.abs(predict_fold(fold, frames, idx) - predict_exactly(fold, frames, idx)).max(
        1
    )
    assert difference_N[3] < 1e-12
    assert (np.delete(difference_N, 3) > 1e-12).mean() > 0.9
    assert difference_N.max() < 1e-6


def test_batches_use_all_trees(predictor, many_table):
    """In slices of trees, whose raw scores sum to that of the whole model."""
    table = build_table(preprocess(sequences_from_table(many_table), True))
    for fold in predictor.models["lgbm"].folds:
        values_NF = align(table, fold.model.names)
        whole_NK = booster.predict(fold.model, values_NF)
        for at_once in (1, 9, 450):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(booster, "TREES_AT_ONCE", at_once)
                sliced_NK = booster.predict_many(fold.model, values_NF)
                assert np.abs(sliced_NK - whole_NK).max() < 1e-12


def test_the_order_of_a_batch_does_not_change_its_probabilities(predictor, many_table):
    """Sequences are computed by length and returned in their own order."""
    order = np.random.default_rng(0).permutation(70)
    sequences = sequences_from_table(many_table)
    one, other = (predictor.predict(s) for s in (sequences, sequences.select(order)))
    assert other.sequence_ids.tolist() == one.sequence_ids[order].tolist()
    assert np.abs(one.proba_NK[order] - other.proba_NK).max() <= 1e-6


def test_a_very_short_sequence_is_predicted(predictor, table):
    """One time step is enough."""
    prediction = predictor.predict(sequences_from_table(table.head(1)))
    assert prediction.proba_NK.sum() == pytest.approx(1.0)
    assert np.isfinite(prediction.proba_NK).all()


# Missing sensors


@pytest.mark.parametrize(
    "columns", [HIDEABLE, THM_COLUMNS, TOF_COLUMNS, ROT_COLUMNS, (*ROT_COLUMNS, *HIDEABLE)]
)
def test_null_columns_and_absent_columns_are_the_same(predictor, table, columns):
    """Columns of a missing sensor may be null or absent: the probabilities are the same."""
    null, absent = nulled(table, columns), table.drop(columns)
    one, other = (predictor.predict(sequences_from_table(t)) for t in (null, absent))
    assert_same_prediction(one, other, tolerance=0.0)
    assert one.notes == other.notes
    assert one.notes[-1].startswith("not in this recording: ")


def test_a_sequence_without_sensors_does_not_depend_on_the_others(predictor, table):
    """Without thermopiles and time of flight, alone or beside sequences that have them."""
    first = pl.col("sequence_id") == "SEQ_000000"
    alone = table.filter(first).drop(HIDEABLE)
    mixed = table.with_columns(
        pl.when(first).then(None).otherwise(pl.col(name)).alias(name) for name in HIDEABLE
    )
    one = predictor.predict(sequences_from_table(alone))
    many = predictor.predict(sequences_from_table(mixed))
    for model in ("lgbm", "torch"):
        assert np.abs(one.by_model[model][0] - many.by_model[model][0]).max() <= 1e-6


def test_missing_sensors_are_named(predictor, table):
    """The notes name the sensors that the recording lacks."""
    prediction = predictor.predict(sequences_from_table(table.drop(HIDEABLE)))
    assert prediction.notes[-1] == "not in this recording: thermopiles, time of flight"


def test_optional_sensors_change_the_probabilities(predictor, table):
    """Without them the probabilities differ: both models use them."""
    whole, imu = (predictor.predict(sequences_from_table(t)) for t in (table, table.drop(HIDEABLE)))
    for model in ("lgbm", "torch"):
        assert (whole.by_model[model] != imu.by_model[model]).any()


def test_handedness_changes_the_probabilities_of_a_left_hander(predictor, table):
    """Demographics are used: a left-hander is mirrored, a right-hander is not."""
    left, right = (
        predictor.predict(sequences_from_table(table, make_demographics(table, left_handers=names)))
        for names in (["SUBJ_000001"], [])
    )
    moved_N = np.abs(left.proba_NK - right.proba_NK).max(axis=1) > 1e-9
    assert moved_N.tolist() == [False] * 4 + [True] * 4 + [False] * 4


def test_a_sensor_that_only_some_sequences_have_is_named(predictor, table):
    """The notes count the sequences that have it."""
    first = pl.col("sequence_id") == "SEQ_000000"
    mixed = table.with_columns(
        pl.when(first).then(None).otherwise(pl.col(name)).alias(name) for name in THM_COLUMNS
    )
    prediction = predictor.predict(sequences_from_table(mixed))
    assert prediction.notes[1:] == ("thermopiles: only in 11 of 12 sequences",)


def test_a_sensor_that_the_models_were_trained_without_is_named(predictor, table):
    """The notes name the sensors that are not used."""
    assert predictor.groups == ("acc", "rot", "thm", "tof")
    models = {
        name: replace(fitted, groups=("acc", "rot")) for name, fitted in predictor.models.items()
    }
    imu = replace(predictor, models=models)
    assert imu.groups == ("acc", "rot")
    prediction = imu.predict(sequences_from_table(table))
    assert prediction.notes[1:] == (
        "not used, because the run was trained without: thermopiles, time of flight",
    )


def test_models_are_parsed_once(tiny_run, table):
    """The second prediction uses the parsed models of the first and is the same to the bit."""
    fresh = Predictor.load(tiny_run)
    sequences = sequences_from_table(table)
    first = fresh.predict(sequences)
    boosters = [each.model.booster for each in fresh.models["lgbm"].folds]
    networks = [each.model.network for each in fresh.models["torch"].folds]
    second = fresh.predict(sequences)
    assert all(
        each.model.booster is booster
        for each, booster in zip(fresh.models["lgbm"].folds, boosters, strict=True)
    )
    assert all(
        each.model.network is network
        for each, network in zip(fresh.models["torch"].folds, networks, strict=True)
    )
    assert_same_prediction(first, second, tolerance=0.0)


def test_the_number_of_threads_changes_no_number(predictor, table, monkeypatch):
    """One or four folds at once: the same bits."""
    sequences = sequences_from_table(table)
    monkeypatch.setattr("trainer.predict.fitted_models.NUM_WORKERS", 1)
    one = predictor.predict(sequences)
    monkeypatch.setattr("trainer.predict.fitted_models.NUM_WORKERS", 4)
    assert_same_prediction(one, predictor.predict(sequences), tolerance=0.0)


# The competition's real rows


@needs_kaggle_rows
def test_the_competitions_real_rows_are_predicted_with_any_sensors(predictor, kaggle_rows):
    """Its two sequences, with thermopiles and time of flight present, null or absent."""
    people = read_table(KAGGLE / "test_demographics.csv")
    whole, null, absent = (
        predictor.predict(sequences_from_table(rows, people))
        for rows in (kaggle_rows, nulled(kaggle_rows, HIDEABLE), kaggle_rows.drop(HIDEABLE))
    )
    for prediction in (whole, null, absent):
        assert prediction.sequence_ids.tolist() == ["SEQ_000001", "SEQ_000011"]
        assert np.isfinite(prediction.proba_NK).all()
        assert prediction.proba_NK.sum(axis=1) == pytest.approx(1.0)
        assert set(prediction.predicted) <= set(NAMES)
    assert_same_prediction(null, absent, tolerance=0.0)
    assert (whole.proba_NK != null.proba_NK).any()


@needs_kaggle_rows
def test_the_competitions_rows_one_sequence_at_a_time_as_its_server_sends_them(
    predictor, kaggle_rows
):
    """One at a time, each has the probabilities it has in the file, to 1e-6."""
    together = predictor.predict(sequences_from_table(kaggle_rows))
    for n, sequence_id in enumerate(together.sequence_ids):
        alone = predictor.predict(
            sequences_from_table(kaggle_rows.filter(pl.col("sequence_id") == sequence_id))
        )
        assert np.abs(alone.proba_NK[0] - together.proba_NK[n]).max() <= 1e-6


# One fold


def test_one_fold_predicts_its_out_of_fold_probabilities(predictor, tiny_run, tiny_source):
    """The models of the fold that validated a sequence predict what oof.parquet contains."""
    oof = pl.read_parquet(tiny_run / "oof.parquet")
    sequences = load(str(tiny_source))
    for fold in (0, 1):
        prediction = predictor.predict(sequences, fold=fold)
        mask_N = (oof["fold"] == fold).to_numpy()
        for model in ("lgbm", "torch"):
            assert prediction.by_fold[model].shape[0] == 1
            table_NK = oof.select(f"{model}:{name}" for name in NAMES).to_numpy()[mask_N]
            assert np.abs(prediction.by_model[model][mask_N] - table_NK).max() <= 1e-6
        mean_NK = 0.4 * prediction.by_model["lgbm"] + 0.6 * prediction.by_model["torch"]
        calibrated_NK = scale(mean_NK, predictor.temperatures.by_fold[fold])
        np.testing.assert_array_equal(prediction.proba_NK, calibrated_NK)


def test_branches_predict_with_the_channels_they_were_trained_on(tiny_source, tmp_path):
    """Turns per duration and the path, which other networks do not have."""
    settings = ("models=torch", "network.architecture=branches", "network.epochs=1")
    assert train(tmp_path / "run", tiny_config(tiny_source, *settings)) == "finished"
    predictor = Predictor.load(tmp_path / "run")
    channels = predictor.models["torch"].folds[0].model.channels
    assert {"heading", "turn_x"} <= set(channels) and "omega_x" not in channels
    oof = pl.read_parquet(tmp_path / "run" / "oof.parquet")
    found = predictor.predict(load(str(tiny_source)), fold=1)
    mask_N = (oof["fold"] == 1).to_numpy()
    table_NK = oof.select(f"torch:{name}" for name in NAMES).to_numpy()[mask_N]
    assert np.abs(found.by_model["torch"][mask_N] - table_NK).max() <= 1e-6


@pytest.mark.parametrize("fold", [-1, 2])
def test_a_fold_that_does_not_exist_is_refused(predictor, table, fold):
    """The message names the existing folds."""
    with pytest.raises(PredictError, match=f"fold: expected one of 0 to 1, got {fold}"):
        predictor.predict(sequences_from_table(table), fold=fold)


def test_folds_can_be_weighted_by_their_score(run_copy, table):
    """With fold_weights=score the weights are the scores in the bundle."""
    rewrite(run_copy, "lgbm", fold_weights="score")
    scores_M = np.array(
        [fold["score"] for fold in loads((run_copy / "lgbm_bundle.pkl").read_bytes())["folds"]]
    )
    prediction = Predictor.load(run_copy).predict(sequences_from_table(table))
    assert prediction.by_model["lgbm"] == pytest.approx(vote(prediction.by_fold["lgbm"], scores_M))


# What is missing


def test_without_the_networks_bundle_lightgbm_predicts_alone(run_copy, table):
    """Its weight becomes 1 and the notes name the missing model."""
    (run_copy / "torch_bundle.pkl").unlink()
    prediction = Predictor.load(run_copy).predict(sequences_from_table(table))
    assert prediction.weights == {"lgbm": 1.0}
    assert prediction.proba_NK.tolist() == prediction.by_model["lgbm"].tolist()
    assert prediction.notes == (
        "the network has no bundle in this run: not used",
        "probabilities are not calibrated, since a model of the blend is missing",
        "predicted by: LightGBM 1.00",
    )


def test_without_lightgbms_bundle_the_network_predicts_alone(run_copy, table):
    """With a weight of 1 and a note on LightGBM."""
    (run_copy / "lgbm_bundle.pkl").unlink()
    prediction = Predictor.load(run_copy).predict(sequences_from_table(table))
    assert prediction.weights == {"torch": 1.0}
    assert prediction.notes[0] == "LightGBM has no bundle in this run: not used"


def test_a_missing_network_is_an_error_where_the_environment_requires_it(run_copy, monkeypatch):
    """FAIL_IF_TORCH_MISSING=1; the error says how to predict without."""
    monkeypatch.setenv("FAIL_IF_TORCH_MISSING", "1")
    Predictor.load(run_copy)
    (run_copy / "torch_bundle.pkl").unlink()
    expected = r"the bundle of the network is missing.*FAIL_IF_TORCH_MISSING=0"
    with pytest.raises(PredictError, match=expected):
        Predictor.load(run_copy)


def test_the_configuration_can_require_the_network_too(run_copy, monkeypatch):
    """blend.fail_if_torch_missing goes with the bundle; the environment takes precedence."""
    (run_copy / "torch_bundle.pkl").unlink()
    rewrite(run_copy, "lgbm", fail_if_torch_missing=True)
    with pytest.raises(PredictError, match=r"blend\.fail_if_torch_missing"):
        Predictor.load(run_copy)
    monkeypatch.setenv("FAIL_IF_TORCH_MISSING", "0")
    assert Predictor.load(run_copy).notes


@pytest.mark.parametrize("model", ["lgbm", "torch"])
def test_a_model_trained_on_other_inputs_is_refused(run_copy, model):
    """Features of the same name with other values would give wrong predictions silently."""
    rewrite(run_copy, model, input_version=registry.get(model).input_version - 1)
    expected = r"trained on version \d+, so its predictions would be wrong\. Train a new"
    with pytest.raises(PredictError, match=expected):
        Predictor.load(run_copy)


def test_a_run_without_a_bundle_is_refused(run_copy):
    """The message recommends to train or resume."""
    (run_copy / "torch_bundle.pkl").unlink()
    (run_copy / "lgbm_bundle.pkl").unlink()
    with pytest.raises(PredictError, match=r"no model is finished\. Train or resume the run"):
        Predictor.load(run_copy)


@pytest.mark.parametrize("name", ["lgbm_bundle.pkl", "torch_bundle.pkl"])
def test_a_damaged_bundle_is_named_and_not_read(run_copy, name):
    """One flipped bit is found by the checksum before the bundle is parsed."""
    data = bytearray((run_copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (run_copy / name).write_bytes(data)
    with pytest.raises(PredictError, match=rf"{name}: its SHA-256 is not .* trainer resume copy"):
        Predictor.load(run_copy)


def test_a_bundle_that_contains_code_is_not_loaded(run_copy):
    """Even with a correct checksum, only plain data is read."""
    CheckedFolder(run_copy).write("lgbm_bundle.pkl", seal(pickle.dumps(os.system)))
    with pytest.raises(PredictError, match=r"lgbm_bundle.pkl: \w+\.system: not a name"):
        Predictor.load(run_copy)


def test_a_bundle_of_a_newer_version_is_refused(run_copy):
    """The message recommends an update; the file is not damaged."""
    rewrite(run_copy, "lgbm", schema=3)
    with pytest.raises(PredictError, match=r"schema 3 is newer than this version's 2\. Update"):
        Predictor.load(run_copy)


def test_bundles_of_two_runs_are_not_mixed(run_copy):
    """A bundle with other gestures is refused, not blended."""
    rewrite(run_copy, "torch", gestures=[*NAMES[:3], "Juggle"])
    with pytest.raises(PredictError, match="the bundles have different gestures"):
        Predictor.load(run_copy)


def test_the_path_of_a_bundle_stands_for_its_folder(tiny_run, table, predictor):
    """With an lgbm_bundle.pkl, the network's bundle beside it is used too."""
    by_bundle = Predictor.load(tiny_run / "lgbm_bundle.pkl").predict(sequences_from_table(table))
    assert_same_prediction(by_bundle, predictor.predict(sequences_from_table(table)), tolerance=0.0)


def test_a_moved_run_predicts_the_same(run_copy, table, predictor):
    """Nothing in a run folder depends on its path."""
    moved = Predictor.load(run_copy).predict(sequences_from_table(table))
    assert_same_prediction(moved, predictor.predict(sequences_from_table(table)), tolerance=0.0)


# The table


def test_the_table_has_the_columns_that_the_design_names(predictor, table):
    """sequence_id, gesture, p_target, one float64 column per gesture."""
    frame = prediction_frame(predictor.predict(sequences_from_table(table)))
    assert frame.columns == ["sequence_id", "gesture", "p_target", *NAMES]
    assert frame.dtypes == [pl.String, pl.String, *[pl.Float64] * 5]
    assert frame.select(NAMES).sum_horizontal().to_list() == pytest.approx([1.0] * 12)


def test_the_table_by_model_has_the_models_columns_too(predictor, table):
    """lgbm:<gesture> and torch:<gesture> come after the blended columns."""
    frame = prediction_frame(predictor.predict(sequences_from_table(table)), by_model=True)
    assert frame.columns[7:] == [
        *(f"lgbm:{name}" for name in NAMES),
        *(f"torch:{name}" for name in NAMES),
    ]


def test_a_broken_value_is_refused_with_its_column(predictor, table):
    """A text among numbers."""
    assert {name.partition("_")[0] for name in table.columns} >= set(GROUPS)
    with pytest.raises(ValueError, match="acc_x"):
        sequences_from_table(with_value(table.cast({"acc_x": pl.String}), "acc_x", 3, "fast"))


def test_a_bundle_away_from_its_run_is_checked_by_its_own_checksum(run_copy, tmp_path):
    """MODEL_PATH may be a single bundle; one flipped bit of it is found as well."""
    lone = tmp_path / "lone"
    lone.mkdir()
    data = bytearray((run_copy / "lgbm_bundle.pkl").read_bytes())
    (lone / "lgbm_bundle.pkl").write_bytes(data)
    assert list(Predictor.load(lone / "lgbm_bundle.pkl").models) == ["lgbm"]
    data[len(data) // 2] ^= 1
    (lone / "lgbm_bundle.pkl").write_bytes(data)
    with pytest.raises(PredictError, match="damaged"):
        Predictor.load(lone / "lgbm_bundle.pkl")


def test_the_environment_sets_the_weights_of_a_prediction(run_copy, monkeypatch, table):
    """ENSEMBLE_W_* replace the blend weights of the run."""
    monkeypatch.setenv("ENSEMBLE_W_LGBM", "1")
    monkeypatch.setenv("ENSEMBLE_W_TORCH", "3")
    prediction = Predictor.load(run_copy).predict(sequences_from_table(table))
    assert prediction.weights == {"lgbm": 0.25, "torch": 0.75}
