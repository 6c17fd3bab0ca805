"""Predicting with a finished run: alone or in a batch, with or without sensors, what is missing."""

import os
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.support.builders import GESTURES, GROUPS, make_demographics, make_table, with_value
from trainer.blend import vote
from trainer.data.preprocess import preprocess
from trainer.data.schema import ROT_COLUMNS, THM_COLUMNS, TOF_COLUMNS
from trainer.data.sources import load, read_table, sequences_from_table
from trainer.features.feature_table import align, build_table
from trainer.features.frames import build_frames
from trainer.models import registry
from trainer.models.boosting import booster
from trainer.models.network.inference import predict_fold, predict_many
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
    """Change values of a bundle, checksum included: damage that is none."""
    folder, name = CheckedFolder(root), f"{model}_bundle.pkl"
    folder.write(name, seal(dumps(loads(folder.read(name)) | changes)))


def assert_same_answer(one, other, tolerance=1e-6):
    """Blended and by model, the two predictions agree."""
    assert one.answers == other.answers
    for model in one.by_model:
        assert np.abs(one.by_model[model] - other.by_model[model]).max() <= tolerance
    assert np.abs(one.proba_NK - other.proba_NK).max() <= tolerance


# What an answer holds


def test_an_answer_holds_every_model_and_fold(predictor, table):
    """Probabilities by fold, by model and blended, 0.4 : 0.6; each row sums to 1."""
    answer = predictor.predict(sequences_from_table(table))
    assert answer.gestures == tuple(NAMES)
    assert answer.num_targets == 2
    assert answer.sequence_ids.tolist() == [f"SEQ_{n:06d}" for n in range(12)]
    assert answer.weights == {"lgbm": 0.4, "torch": 0.6}
    for model in ("lgbm", "torch"):
        assert answer.by_fold[model].shape == (2, 12, 4)
        assert answer.by_model[model] == pytest.approx(answer.by_fold[model].mean(axis=0))
    blended_NK = 0.4 * answer.by_model["lgbm"] + 0.6 * answer.by_model["torch"]
    assert answer.proba_NK == pytest.approx(blended_NK)
    assert answer.proba_NK.dtype == np.float64
    assert answer.proba_NK.sum(axis=1) == pytest.approx(1.0)
    assert answer.target_proba_N == pytest.approx(answer.proba_NK[:, :2].sum(axis=1))
    assert answer.answers == [NAMES[k] for k in np.argmax(answer.proba_NK, axis=1)]
    assert answer.notes == ("answered by: LightGBM 0.40, the network 0.60",)


def test_labels_are_not_looked_at(predictor):
    """A labelled file and the same without its labels get the same answer."""
    labelled = make_table(num_subjects=2, sequences_per_subject=2, seed=3)
    plain = labelled.drop("gesture", "sequence_type", "phase", "behavior", "orientation")
    one, other = (predictor.predict(sequences_from_table(t)) for t in (labelled, plain))
    assert_same_answer(one, other, tolerance=0.0)


def test_a_gesture_that_the_run_does_not_know_is_no_obstacle(predictor):
    """A labelled file of other gestures is answered with the run's own."""
    other = make_table(num_subjects=1, sequences_per_subject=1, gestures=(("Juggle", "Target"),))
    assert predictor.predict(sequences_from_table(other)).gestures == tuple(NAMES)


# One sequence, a batch


def test_a_sequence_alone_and_in_a_batch_gets_the_same_answer(predictor, table):
    """Each of twelve sequences of unequal length, to 1e-6."""
    together = predictor.predict(sequences_from_table(table))
    for n, sequence_id in enumerate(together.sequence_ids):
        rows = table.filter(pl.col("sequence_id") == sequence_id)
        alone = predictor.predict(sequences_from_table(rows))
        assert alone.answers == [together.answers[n]]
        for model in ("lgbm", "torch"):
            difference_K = alone.by_model[model][0] - together.by_model[model][n]
            assert np.abs(difference_K).max() <= 1e-6


@pytest.fixture(scope="module")
def many_table():
    """More sequences than it takes to be asked as many; the fourth in milli-g, beyond float32."""
    table = make_table(num_subjects=7, sequences_per_subject=10, seed=8, labelled=False)
    fourth = pl.col("sequence_id") == "SEQ_000003"
    return table.with_columns(
        pl.when(fourth).then(pl.col(name) * 102.0).otherwise(pl.col(name)).alias(name)
        for name in ("acc_x", "acc_y", "acc_z")
    )


def test_a_sequence_alone_and_among_many_gets_the_same_answer(predictor, many_table):
    """Blended, by model and by fold, to 1e-6, although many are computed in other ways."""
    together = predictor.predict(sequences_from_table(many_table))
    assert len(together.answers) == 70 >= BATCH_FROM
    for n in (0, 3, 33, 69):
        rows = many_table.filter(pl.col("sequence_id") == together.sequence_ids[n])
        alone = predictor.predict(sequences_from_table(rows))
        assert np.abs(alone.proba_NK[0] - together.proba_NK[n]).max() <= 1e-6
        for model in ("lgbm", "torch"):
            difference_MK = alone.by_fold[model][:, 0] - together.by_fold[model][:, n]
            assert np.abs(difference_MK).max() <= 1e-6


def test_many_are_computed_in_float32_but_for_values_beyond_recordings(predictor, many_table):
    """The digits differ from float64's where float32 is used, and only there."""
    frames = build_frames(preprocess(sequences_from_table(many_table), True))
    idx = np.arange(70)
    fold = predictor.models["torch"].folds[0].model
    difference_N = np.abs(predict_many(fold, frames, idx) - predict_fold(fold, frames, idx)).max(1)
    assert difference_N[3] < 1e-12
    assert (np.delete(difference_N, 3) > 1e-12).mean() > 0.9
    assert difference_N.max() < 1e-6


def test_many_go_through_all_trees(predictor, many_table):
    """In slices of some hundred trees, whose sums are the whole model's score."""
    table = build_table(preprocess(sequences_from_table(many_table), True))
    for fold in predictor.models["lgbm"].folds:
        values_NF = align(table, fold.names)
        whole_NK = booster.predict(fold, values_NF)
        for at_once in (1, 9, 450):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(booster, "TREES_AT_ONCE", at_once)
                assert np.abs(booster.predict_many(fold, values_NF) - whole_NK).max() < 1e-12


def test_many_in_another_order_get_the_same_answers(predictor, many_table):
    """They are sorted by length to be computed, and handed back as they came."""
    order = np.random.default_rng(0).permutation(70)
    sequences = sequences_from_table(many_table)
    one, other = (predictor.predict(s) for s in (sequences, sequences.select(order)))
    assert other.sequence_ids.tolist() == one.sequence_ids[order].tolist()
    assert np.abs(one.proba_NK[order] - other.proba_NK).max() <= 1e-6


def test_a_very_short_sequence_is_answered(predictor, table):
    """One single time step is enough for an answer."""
    answer = predictor.predict(sequences_from_table(table.head(1)))
    assert answer.proba_NK.sum() == pytest.approx(1.0)
    assert np.isfinite(answer.proba_NK).all()


# Missing sensors


@pytest.mark.parametrize(
    "columns", [HIDEABLE, THM_COLUMNS, TOF_COLUMNS, ROT_COLUMNS, (*ROT_COLUMNS, *HIDEABLE)]
)
def test_null_columns_and_absent_columns_are_the_same(predictor, table, columns):
    """A sensor that was not worn may be null or absent: the answer is the same."""
    null, absent = nulled(table, columns), table.drop(columns)
    one, other = (predictor.predict(sequences_from_table(t)) for t in (null, absent))
    assert_same_answer(one, other, tolerance=0.0)
    assert one.notes == other.notes
    assert one.notes[-1].startswith("not in this recording: ")


def test_a_sequence_without_sensors_does_not_mind_its_neighbours(predictor, table):
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
    """The notes say in plain words what the recording lacks."""
    answer = predictor.predict(sequences_from_table(table.drop(HIDEABLE)))
    assert answer.notes[-1] == "not in this recording: thermopiles, time of flight"


def test_sensors_that_are_there_move_the_answer(predictor, table):
    """Hiding them changes the probabilities: the models do use them."""
    whole, imu = (predictor.predict(sequences_from_table(t)) for t in (table, table.drop(HIDEABLE)))
    for model in ("lgbm", "torch"):
        assert (whole.by_model[model] != imu.by_model[model]).any()


def test_handedness_moves_the_answer_of_a_left_hander(predictor, table):
    """Demographics are used: a left-hander is mirrored, a right-hander is not."""
    left, right = (
        predictor.predict(sequences_from_table(table, make_demographics(table, left_handers=who)))
        for who in (["SUBJ_000001"], [])
    )
    moved_N = np.abs(left.proba_NK - right.proba_NK).max(axis=1) > 1e-9
    assert moved_N.tolist() == [False] * 4 + [True] * 4 + [False] * 4


def test_a_sensor_that_only_some_sequences_have_is_named(predictor, table):
    """The notes count the sequences that have it."""
    first = pl.col("sequence_id") == "SEQ_000000"
    mixed = table.with_columns(
        pl.when(first).then(None).otherwise(pl.col(name)).alias(name) for name in THM_COLUMNS
    )
    answer = predictor.predict(sequences_from_table(mixed))
    assert answer.notes[1:] == ("thermopiles: only in 11 of 12 sequences",)


def test_a_sensor_that_the_models_do_not_know_is_named(predictor, table):
    """A run trained without thermopiles and time of flight does not use them, and says so."""
    assert predictor.groups == ("acc", "rot", "thm", "tof")
    models = {
        name: replace(fitted, groups=("acc", "rot")) for name, fitted in predictor.models.items()
    }
    imu = replace(predictor, models=models)
    assert imu.groups == ("acc", "rot")
    answer = imu.predict(sequences_from_table(table))
    assert answer.notes[1:] == (
        "not used, for the run was trained without: thermopiles, time of flight",
    )


def test_models_are_parsed_once(tiny_run, table):
    """The second answer uses the trees and networks of the first, and is the same to the bit."""
    fresh = Predictor.load(tiny_run)
    sequences = sequences_from_table(table)
    first = fresh.predict(sequences)
    boosters = [each.booster for each in fresh.models["lgbm"].folds]
    networks = [each.network for each in fresh.models["torch"].folds]
    second = fresh.predict(sequences)
    assert all(
        each.booster is booster
        for each, booster in zip(fresh.models["lgbm"].folds, boosters, strict=True)
    )
    assert all(
        each.network is network
        for each, network in zip(fresh.models["torch"].folds, networks, strict=True)
    )
    assert_same_answer(first, second, tolerance=0.0)


def test_how_many_folds_are_asked_at_once_changes_no_number(predictor, table, monkeypatch):
    """One after the other, or four side by side: the same bits."""
    sequences = sequences_from_table(table)
    monkeypatch.setattr("trainer.predict.fitted_models.NUM_WORKERS", 1)
    one = predictor.predict(sequences)
    monkeypatch.setattr("trainer.predict.fitted_models.NUM_WORKERS", 4)
    assert_same_answer(one, predictor.predict(sequences), tolerance=0.0)


# The competition's real rows


@needs_kaggle_rows
def test_the_competitions_real_rows_are_answered_whatever_sensors_they_have(predictor, kaggle_rows):
    """Its two sequences: all sensors, thermopiles and time of flight nulled, and absent."""
    people = read_table(KAGGLE / "test_demographics.csv")
    whole, null, absent = (
        predictor.predict(sequences_from_table(rows, people))
        for rows in (kaggle_rows, nulled(kaggle_rows, HIDEABLE), kaggle_rows.drop(HIDEABLE))
    )
    for answer in (whole, null, absent):
        assert answer.sequence_ids.tolist() == ["SEQ_000001", "SEQ_000011"]
        assert np.isfinite(answer.proba_NK).all()
        assert answer.proba_NK.sum(axis=1) == pytest.approx(1.0)
        assert set(answer.answers) <= set(NAMES)
    assert_same_answer(null, absent, tolerance=0.0)
    assert (whole.proba_NK != null.proba_NK).any()


@needs_kaggle_rows
def test_the_competitions_rows_one_sequence_at_a_time_as_its_server_sends_them(
    predictor, kaggle_rows
):
    """Served alone, each of them gets the answer it gets in the file, to 1e-6."""
    together = predictor.predict(sequences_from_table(kaggle_rows))
    for n, sequence_id in enumerate(together.sequence_ids):
        alone = predictor.predict(
            sequences_from_table(kaggle_rows.filter(pl.col("sequence_id") == sequence_id))
        )
        assert np.abs(alone.proba_NK[0] - together.proba_NK[n]).max() <= 1e-6


# One fold


def test_one_fold_answers_as_it_did_out_of_fold(predictor, tiny_run, tiny_source):
    """Asked for the fold that validated a sequence, the run says what oof.parquet holds."""
    oof = pl.read_parquet(tiny_run / "oof.parquet")
    sequences = load(str(tiny_source))
    for fold in (0, 1):
        answer = predictor.predict(sequences, fold=fold)
        mask_N = (oof["fold"] == fold).to_numpy()
        for model in ("lgbm", "torch"):
            assert answer.by_fold[model].shape[0] == 1
            table_NK = oof.select(f"{model}:{name}" for name in NAMES).to_numpy()[mask_N]
            assert np.abs(answer.by_model[model][mask_N] - table_NK).max() <= 1e-6


@pytest.mark.parametrize("fold", [-1, 2])
def test_a_fold_that_is_not_there_is_refused(predictor, table, fold):
    """The message says which there are."""
    with pytest.raises(PredictError, match=f"fold: expected one of 0 to 1, got {fold}"):
        predictor.predict(sequences_from_table(table), fold=fold)


def test_folds_may_weigh_by_their_score(run_copy, table):
    """With fold_weights=score the vote goes by the scores in the bundle."""
    rewrite(run_copy, "lgbm", fold_weights="score")
    scores_M = np.array(
        [fold["score"] for fold in loads((run_copy / "lgbm_bundle.pkl").read_bytes())["folds"]]
    )
    answer = Predictor.load(run_copy).predict(sequences_from_table(table))
    assert answer.by_model["lgbm"] == pytest.approx(vote(answer.by_fold["lgbm"], scores_M))


# What is missing


def test_without_the_networks_bundle_lightgbm_answers_and_says_so(run_copy, table):
    """Its weight becomes 1 and the notes name who is missing."""
    (run_copy / "torch_bundle.pkl").unlink()
    answer = Predictor.load(run_copy).predict(sequences_from_table(table))
    assert answer.weights == {"lgbm": 1.0}
    assert answer.proba_NK.tolist() == answer.by_model["lgbm"].tolist()
    assert answer.notes == (
        "the network has no bundle in this run: not used",
        "answered by: LightGBM 1.00",
    )


def test_without_lightgbms_bundle_the_network_answers(run_copy, table):
    """The other way round as well."""
    (run_copy / "lgbm_bundle.pkl").unlink()
    answer = Predictor.load(run_copy).predict(sequences_from_table(table))
    assert answer.weights == {"torch": 1.0}
    assert answer.notes[0] == "LightGBM has no bundle in this run: not used"


def test_without_the_network_it_fails_where_that_was_asked(run_copy, monkeypatch):
    """FAIL_IF_TORCH_MISSING=1 refuses, and says how to go on."""
    monkeypatch.setenv("FAIL_IF_TORCH_MISSING", "1")
    Predictor.load(run_copy)
    (run_copy / "torch_bundle.pkl").unlink()
    with pytest.raises(PredictError, match=r"network's bundle is missing.*FAIL_IF_TORCH_MISSING=0"):
        Predictor.load(run_copy)


def test_the_configuration_asks_for_the_network_too(run_copy, monkeypatch):
    """blend.fail_if_torch_missing goes with the bundle; the environment name has the last word."""
    (run_copy / "torch_bundle.pkl").unlink()
    rewrite(run_copy, "lgbm", fail_if_torch_missing=True)
    with pytest.raises(PredictError, match=r"blend\.fail_if_torch_missing"):
        Predictor.load(run_copy)
    monkeypatch.setenv("FAIL_IF_TORCH_MISSING", "0")
    assert Predictor.load(run_copy).notes


@pytest.mark.parametrize("model", ["lgbm", "torch"])
def test_a_model_that_learnt_from_other_inputs_is_refused(run_copy, model):
    """Features of the same name with other values would be a wrong answer that nobody sees."""
    rewrite(run_copy, model, input_version=registry.get(model).input_version - 1)
    with pytest.raises(
        PredictError, match=r"learnt from version \d+, so its answers would be wrong\. Train a new"
    ):
        Predictor.load(run_copy)


def test_a_run_without_a_bundle_is_refused(run_copy):
    """Nothing is finished: the message says to train or resume."""
    (run_copy / "torch_bundle.pkl").unlink()
    (run_copy / "lgbm_bundle.pkl").unlink()
    with pytest.raises(PredictError, match=r"no model is finished\. Train or resume the run"):
        Predictor.load(run_copy)


@pytest.mark.parametrize("name", ["lgbm_bundle.pkl", "torch_bundle.pkl"])
def test_a_damaged_bundle_is_named_and_not_read(run_copy, name):
    """One flipped bit: refused by its checksum before it is parsed; resume makes it again."""
    data = bytearray((run_copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (run_copy / name).write_bytes(data)
    with pytest.raises(PredictError, match=rf"{name}: its SHA-256 is not .* trainer resume copy"):
        Predictor.load(run_copy)


def test_a_bundle_that_holds_code_is_not_loaded(run_copy):
    """Even with a right checksum, nothing but plain data is read."""
    CheckedFolder(run_copy).write("lgbm_bundle.pkl", seal(pickle.dumps(os.system)))
    with pytest.raises(PredictError, match=r"lgbm_bundle.pkl: \w+\.system: a file of ours never"):
        Predictor.load(run_copy)


def test_a_bundle_of_a_newer_version_is_refused(run_copy):
    """The message says to update, not that the file is damaged."""
    rewrite(run_copy, "lgbm", schema=2)
    with pytest.raises(PredictError, match=r"schema 2 is newer than this version's 1\. Update"):
        Predictor.load(run_copy)


def test_bundles_of_two_runs_are_not_mixed(run_copy):
    """A network's bundle that knows other gestures is refused, not blended."""
    rewrite(run_copy, "torch", gestures=[*NAMES[:3], "Juggle"])
    with pytest.raises(PredictError, match="the two bundles know different gestures"):
        Predictor.load(run_copy)


def test_the_path_of_a_bundle_is_as_good_as_its_run(tiny_run, table, predictor):
    """Given an lgbm_bundle.pkl, the network's bundle beside it is used too."""
    by_bundle = Predictor.load(tiny_run / "lgbm_bundle.pkl").predict(sequences_from_table(table))
    assert_same_answer(by_bundle, predictor.predict(sequences_from_table(table)), tolerance=0.0)


def test_a_moved_run_answers_the_same(run_copy, table, predictor):
    """Nothing in a run folder depends on where it is."""
    moved = Predictor.load(run_copy).predict(sequences_from_table(table))
    assert_same_answer(moved, predictor.predict(sequences_from_table(table)), tolerance=0.0)


# The table


def test_the_table_has_the_columns_that_the_design_names(predictor, table):
    """sequence_id, gesture, p_target, one float64 column per gesture."""
    frame = prediction_frame(predictor.predict(sequences_from_table(table)))
    assert frame.columns == ["sequence_id", "gesture", "p_target", *NAMES]
    assert frame.dtypes == [pl.String, pl.String, *[pl.Float64] * 5]
    assert frame.select(NAMES).sum_horizontal().to_list() == pytest.approx([1.0] * 12)


def test_the_table_by_model_has_the_models_columns_too(predictor, table):
    """lgbm:<gesture> and torch:<gesture> follow."""
    frame = prediction_frame(predictor.predict(sequences_from_table(table)), by_model=True)
    assert frame.columns[7:] == [
        *(f"lgbm:{name}" for name in NAMES),
        *(f"torch:{name}" for name in NAMES),
    ]


def test_groups_and_a_broken_value_reach_the_refusals_of_the_data_room(predictor, table):
    """Nothing is caught on the way: a text among numbers is refused by column and row."""
    assert {name.partition("_")[0] for name in table.columns} >= set(GROUPS)
    with pytest.raises(ValueError, match="acc_x"):
        sequences_from_table(with_value(table.cast({"acc_x": pl.String}), "acc_x", 3, "fast"))


def test_a_bundle_away_from_its_run_is_checked_by_its_own_seal(run_copy, tmp_path):
    """MODEL_PATH may be a lone bundle; one flipped bit of it is found all the same."""
    lone = tmp_path / "lone"
    lone.mkdir()
    data = bytearray((run_copy / "lgbm_bundle.pkl").read_bytes())
    (lone / "lgbm_bundle.pkl").write_bytes(data)
    assert list(Predictor.load(lone / "lgbm_bundle.pkl").models) == ["lgbm"]
    data[len(data) // 2] ^= 1
    (lone / "lgbm_bundle.pkl").write_bytes(data)
    with pytest.raises(PredictError, match="damaged"):
        Predictor.load(lone / "lgbm_bundle.pkl")


def test_the_environment_weighs_the_models_when_they_are_asked(run_copy, monkeypatch, table):
    """ENSEMBLE_W_* set the blend of an answer, whatever the run was made with."""
    monkeypatch.setenv("ENSEMBLE_W_LGBM", "1")
    monkeypatch.setenv("ENSEMBLE_W_TORCH", "3")
    prediction = Predictor.load(run_copy).predict(sequences_from_table(table))
    assert prediction.weights == {"lgbm": 0.25, "torch": 0.75}
