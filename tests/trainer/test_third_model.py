"""A model that only the test knows works everywhere: fit, kill, resume, blend, pages, transfer.

It is one class and one registration (tests/support/extra_trees.py), and no module of ``trainer`` or
``pages`` knows its name.
"""

from __future__ import annotations

import shutil

import numpy as np
import polars as pl
import pytest

from tests.support.builders import GESTURES, make_table
from tests.support.extra_trees import NAME, ExtraTrees, ExtraTreesSettings, fit_fold, register
from tests.support.fold_tasks import make_table_task
from tests.support.forked_trainers import fork_server
from tests.support.pages import texts, visit
from tests.support.tiny_runs import TINY, tiny_config, train
from trainer.cli.reports import outcome_lines
from trainer.config import ConfigError, run_config
from trainer.models import registry
from trainer.models.monitor import Paused, SilentMonitor
from trainer.models.temperature import scale
from trainer.plain_data import DamagedDataError
from trainer.predict import model_process
from trainer.predict.predictor import Predictor
from trainer.run.transfer.archive import export_run, import_run
from trainer.run.transfer.verification import verify_run
from trainer.store.codec import dumps, loads
from trainer.store.reader import RunReader
from trainer.store.run_state import derive_state

SETTINGS = ExtraTreesSettings(trees=12, block_trees=3)
THREE_MODELS = (
    "models=lgbm,torch,extra_trees",
    "blend.weights.extra_trees=0.2",
    "parameters.extra_trees.trees=10",
    "parameters.extra_trees.block_trees=3",
)
NAMES = [name for name, _ in GESTURES]
COMMAND_LINE = """
from tests.support import extra_trees
from trainer.__main__ import main

extra_trees.register()
main()
"""
KILLED_AT_TREE_9_OF_FOLD_1 = """
import os, signal
from tests.support import extra_trees
from trainer.__main__ import main
from trainer.models import registry

class KillingMonitor:
    def __init__(self, monitor):
        self.monitor = monitor

    def __getattr__(self, name):
        return getattr(self.monitor, name)

    def advance(self, step, total):
        self.monitor.advance(step, total)
        if step == 9:  # the third block is fitted and not yet saved
            os.kill(os.getpid(), signal.SIGKILL)

class KilledTrees(extra_trees.ExtraTrees):
    def fit(self, task, config, seed, fold, monitor, checkpoint=None):
        monitor = KillingMonitor(monitor) if fold == 1 else monitor
        return super().fit(task, config, seed, fold, monitor, checkpoint)

registry.register(KilledTrees(), extra_trees.ExtraTreesSettings)
main()
"""


class Checkpoints(SilentMonitor):
    """Keeps the checkpoints of a fold; pauses it before its n-th block."""

    def __init__(self, stop_before=None):
        self.stop_before = stop_before
        self.num_blocks, self.saved, self.steps = 0, [], []

    def should_stop(self):
        self.num_blocks += 1
        return self.num_blocks == self.stop_before

    def advance(self, step, total):
        self.steps.append((step, total))

    def save(self, checkpoint):
        self.saved.append(loads(dumps(checkpoint)))  # as a file of arrays gives it back


@pytest.fixture(scope="module", autouse=True)
def registered():
    """Register the model for this module only."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "_MODELS", dict(registry._MODELS))
        patch.setattr(run_config, "_KNOWN_MODELS", dict(run_config._KNOWN_MODELS))
        register()
        yield


@pytest.fixture(scope="module")
def whole(tiny_source, tmp_path_factory):
    """A finished run of three models that was never interrupted."""
    root = tmp_path_factory.mktemp("whole") / "state" / "three"
    assert train(root, tiny_config(tiny_source, *THREE_MODELS)) == "finished"
    return root


@pytest.fixture(scope="module")
def killed(tiny_source, tmp_path_factory):
    """The same run, killed with SIGKILL inside fold 1 of extra trees."""
    root = tmp_path_factory.mktemp("killed") / "state" / "three"
    words = ["train", "--run", "three", "--preset", "quick", "--data", str(tiny_source)]
    words += [word for setting in (*TINY, *THREE_MODELS) for word in ("--set", setting)]
    done = command_line(*words, state=root.parent, code=KILLED_AT_TREE_9_OF_FOLD_1)
    assert done.was_killed, done.words
    return root


@pytest.fixture(scope="module")
def resumed(killed, tmp_path_factory):
    """A copy of the killed run, brought to its end by ``resume``."""
    root = shutil.copytree(killed, tmp_path_factory.mktemp("resumed") / "state" / "three")
    done = command_line("resume", "three", state=root.parent)
    assert done.code == 0, done.words
    return root


@pytest.fixture(scope="module")
def imported(resumed, tmp_path_factory):
    """The resumed run, exported and imported into another state folder."""
    folder = tmp_path_factory.mktemp("elsewhere")
    export_run(resumed, folder / "three.zip")
    return import_run(folder / "three.zip", folder / "state")


def command_line(*words, state, code=COMMAND_LINE):
    """Run the command line in a process that registers the model."""
    return fork_server().run(*words, "--state", state, code=code)


def fit(monitor=None, checkpoint=None, task=None):
    task = task or make_table_task()
    return fit_fold(task, SETTINGS, 42, 1, monitor or SilentMonitor(), checkpoint)


# One fold


@pytest.mark.parametrize("stop_before", [1, 2, 3, 4])
def test_a_fold_that_is_paused_between_blocks_resumes_to_the_same_bits(stop_before):
    """The seed of a block does not depend on the blocks that this process fitted."""
    paused = Checkpoints(stop_before)
    with pytest.raises(Paused):
        fit(paused)
    assert len(paused.steps) == stop_before - 1
    checkpoint = paused.saved[-1] if paused.saved else None
    assert checkpoint is None or ExtraTrees().steps_done(checkpoint) == 3 * (stop_before - 1)
    rest = Checkpoints()
    fold = fit(rest, checkpoint)
    assert rest.steps == [(step, 12) for step in range(3 * stop_before, 13, 3)]
    assert dumps(fold.packed) == dumps(fit().packed)
    assert fold.proba_NK.tobytes() == fit().proba_NK.tobytes()


def test_the_arrays_predict_what_scikit_learn_predicts():
    """With one block, the fold is one forest of scikit-learn: the same probabilities."""
    from sklearn.ensemble import ExtraTreesClassifier

    from trainer.models.seeds import derive_seed

    task = make_table_task()
    values_NF = np.nan_to_num(task.inputs.values_NF, nan=-1e4)
    forest = ExtraTreesClassifier(5, min_samples_leaf=2, random_state=derive_seed(7, NAME, 0, 0))
    forest.fit(values_NF[task.train_idx], task.label_idx[task.train_idx])
    one_block = ExtraTreesSettings(trees=5, block_trees=5)
    fold = fit_fold(task, one_block, 7, 0, SilentMonitor())
    expected_NK = forest.predict_proba(values_NF[task.valid_idx])
    assert np.abs(fold.proba_NK - expected_NK).max() < 1e-12


def test_a_packed_fold_predicts_the_same_when_it_is_opened():
    """Through the bytes of its file; columns in another order, and one that it does not know."""
    task = make_table_task()
    fold = fit(task=task)
    opened = ExtraTrees().open(loads(dumps(fold.packed)))
    table = task.inputs
    other = type(table)(
        np.hstack([table.values_NF[:, ::-1], table.values_NF[:, :1]])[task.valid_idx],
        (*table.names[::-1], "acc.x.unknown"),
    )
    assert opened.predict(other).tobytes() == fold.proba_NK.tobytes()
    assert opened.groups == ("acc", "rot", "thm", "tof")


@pytest.mark.parametrize("part", ["children_left", "feature", "offsets", "class_idx"])
def test_a_changed_fold_is_refused(part):
    """The same hook as for the other models: nodes, features and classes that do not exist."""
    packed = fit(task=make_table_task()).packed
    for value in (packed[part] + 10**6, packed[part][:-1], packed[part].astype(str), None):
        with pytest.raises(DamagedDataError, match="Extra trees"):
            registry.open_packed(ExtraTrees(), packed | {part: value})


def test_a_class_that_the_training_part_lacks_has_no_probability():
    """Class 1 of 4 is in the validation part only."""
    task = make_table_task(num_classes=4)
    train_idx = task.train_idx[task.label_idx[task.train_idx] != 1]
    fold = fit(task=type(task)(**{**vars(task), "train_idx": train_idx}))
    assert fold.known_K.tolist() == [True, False, True, True]
    assert (fold.proba_NK[:, 1] == 0.0).all()
    assert fold.proba_NK.sum(axis=1) == pytest.approx(1.0)


# Its part of the configuration


def test_its_settings_have_names_defaults_and_bounds(tiny_source):
    """``parameters.extra_trees.*`` and ``blend.weights.extra_trees`` are ordinary settings."""
    config = tiny_config(tiny_source, *THREE_MODELS)
    assert config.parameters == {NAME: {"trees": 10, "block_trees": 3, "min_samples_leaf": 2}}
    assert config.blend.by_model == {"lgbm": 0.4, "torch": 0.6, NAME: 0.2}
    with pytest.raises(ConfigError, match=r"parameters\.extra_trees\.trees: .*; got '?0'?"):
        tiny_config(tiny_source, *THREE_MODELS, "parameters.extra_trees.trees=0")
    with pytest.raises(ConfigError, match=r"the nearest are parameters\.extra_trees\.trees"):
        tiny_config(tiny_source, "parameters.extra_trees.tres=3")


# A run


def test_a_kill_inside_a_fold_leaves_an_interrupted_run(killed):
    """Its status and history show how far the fold was: two blocks are saved, a third is not."""
    reader = RunReader(killed)
    assert derive_state(reader).state == "interrupted"
    record = next(fold for fold in fold_records(killed) if fold.fold == 1)
    assert (record.done, record.step, record.total_steps) == (False, 6, 10)
    points = [event for event in reader.events() if (event.model, event.fold) == (NAME, 1)]
    assert [point.values["step"] for point in points if point.event == "segment"] == [3, 6]


def test_the_killed_run_resumes_to_the_same_bits(whole, killed, resumed):
    """The fold goes on at tree 6; all models, out-of-fold rows and scores are the same."""
    record = next(fold for fold in fold_records(resumed) if fold.fold == 1)
    assert record.resumed_at == (6,)
    for fold in range(2):
        name = f"extra_trees_fold{fold:02d}.pkl"
        assert (resumed / name).read_bytes() == (whole / name).read_bytes()
        assert loads((resumed / name).read_bytes())["packed"]["offsets"].shape == (11,)
    names = ("folds.parquet", "oof.parquet", "scores.json", "feature_importance.csv")
    for name in (*names, "lgbm_bundle.pkl", "extra_trees_bundle.pkl"):
        assert (resumed / name).read_bytes() == (whole / name).read_bytes(), name
    assert [check.name for check in verify_run(resumed) if not check.is_good] == []


def test_its_out_of_fold_probabilities_and_scores_stand_beside_the_others(resumed):
    """Columns of its own, also without optional sensors; the weights 0.4, 0.6, 0.2 are scaled."""
    oof = pl.read_parquet(resumed / "oof.parquet")
    for prefix in (f"{NAME}:", f"{NAME}_imu:"):
        proba_NK = oof.select(f"{prefix}{name}" for name in NAMES).to_numpy()
        assert proba_NK.shape == (48, 4)
        assert proba_NK.sum(axis=1) == pytest.approx(1.0)
    scores = RunReader(resumed).scores()
    assert list(scores.models) == ["lgbm", "torch", NAME, "blend"]
    assert scores.models[NAME].all_sensors.oof.num_sequences == 48
    assert scores.models[NAME].imu_only.oof.num_sequences == 48
    assert used_weights(scores) == pytest.approx({"lgbm": 1 / 3, "torch": 1 / 2, NAME: 1 / 6})


def test_its_weight_is_normalised_and_shown(resumed):
    """0.2 beside 0.4 and 0.6: in scores.json, in the plan and in the result."""
    weights = RunReader(resumed).scores().weights
    assert weights == pytest.approx({"lgbm": 1 / 3, "torch": 1 / 2, NAME: 1 / 6})
    assert "blend       LightGBM 0.333, Network 0.5, Extra trees 0.167" in (
        (resumed / "trainer.log").read_text()
    )
    assert "weights of the blend: lgbm 0.333, torch 0.5, extra_trees 0.167" in (
        outcome_lines(resumed, "finished")
    )


def test_its_vote_counts_in_the_blend(resumed, tmp_path):
    """Predicted by the command line, the blend is the calibrated mean of three models."""
    table = make_table(num_subjects=1, sequences_per_subject=4, seed=7, labelled=False)
    table.write_parquet(tmp_path / "new.parquet")
    words = ["predict", "three", tmp_path / "new.parquet", "--by-model"]
    done = command_line(*words, "--out", tmp_path / "out.csv", state=resumed.parent)
    assert done.code == 0, done.words
    predicted = pl.read_csv(tmp_path / "out.csv")

    def proba(prefix):
        return predicted.select(f"{prefix}{name}" for name in NAMES).to_numpy()

    mean_NK = (0.4 * proba("lgbm:") + 0.6 * proba("torch:") + 0.2 * proba(f"{NAME}:")) / 1.2
    expected_NK = scale(mean_NK, Predictor.load(resumed).temperatures.of_all)
    assert np.abs(proba("") - expected_NK).max() < 1e-12
    assert (proba(f"{NAME}:") != proba("lgbm:")).any()


def test_it_is_exported_and_imported(resumed, imported):
    """Its fold files and its bundle come along, every checksum right."""
    names = ("extra_trees_fold00.pkl", "extra_trees_fold01.pkl", "extra_trees_bundle.pkl")
    for name in names:
        assert (imported / name).read_bytes() == (resumed / name).read_bytes()
    assert [check.name for check in verify_run(imported) if not check.is_good] == []
    assert derive_state(RunReader(imported)).state == "finished"


# The pages


@pytest.mark.parametrize("page", ["train", "scores", "features", "predict", "data", "runs"])
def test_every_page_shows_the_run(imported, monkeypatch, page):
    """No exception and no error; where models are named, its title is among them."""

    def compute(models, function, *arguments, **options):
        return function(Predictor.load(models.root), *arguments, **options)

    # only this process has registered the model; the one of own code: tests/pages/test_own_code.py
    monkeypatch.setattr(model_process, "load", lambda models: None)
    monkeypatch.setattr(model_process, "compute", compute)
    monkeypatch.setenv("CKPT_DIR", str(imported.parent))
    app = visit(page)
    assert [error.value for error in app.error] == []
    if page in ("train", "scores", "predict"):
        assert "Extra trees" in everything(app)


def test_the_train_page_shows_the_interrupted_fold(killed, monkeypatch):
    """The killed run: which fold of which model was cut off, in words."""
    monkeypatch.setenv("CKPT_DIR", str(killed.parent))
    app = visit("train")
    assert "Interrupted" in texts(app)
    assert "Extra trees" in everything(app)


def fold_records(root):
    return RunReader(root).model_state(NAME).folds


def used_weights(scores):
    total = sum(scores.weights.values())
    return {model: weight / total for model, weight in scores.weights.items()}


def everything(app):
    """Return all that a page shows as text: texts, metrics, options, tables, figures."""
    parts = [texts(app)]
    parts += [f"{metric.label} {metric.value}" for metric in app.metric]
    parts += [
        str(option.options) for kind in ("selectbox", "multiselect") for option in app.get(kind)
    ]
    parts += [table.value.to_csv() for kind in ("table", "dataframe") for table in app.get(kind)]
    parts += [chart.proto.spec for chart in app.get("plotly_chart")]
    return "\n".join(parts)
