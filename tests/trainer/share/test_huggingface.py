"""A run as a folder for Hugging Face: loading it again, its card, folders that are not its own."""

from __future__ import annotations

import json
import shutil
import signal

import numpy as np
import pytest

from tests.support import hostile_texts
from tests.support.builders import make_table
from tests.support.forked_trainers import fork_server
from trainer.cli.commands import _is_simulated, find_models
from trainer.data.sources import sequences_from_table
from trainer.plain_data import DamagedDataError
from trainer.predict.fitted_models import PredictError, read_bundle
from trainer.predict.model_folder import DESCRIPTION, dump_models, read_shared_bundle
from trainer.predict.predictor import Predictor
from trainer.run import RefusedError
from trainer.share.huggingface import share_to_huggingface
from trainer.share.shared_run import read_run
from trainer.store.durable import sha256

pytest.importorskip("safetensors")
MODELS = ("lgbm", "torch")


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def shared(tiny_run, tmp_path_factory):
    """The folder of the tiny run; copy it before changing anything."""
    folder = tmp_path_factory.mktemp("shared") / "models"
    share_to_huggingface(read_run(tiny_run), folder)
    return folder


@pytest.fixture
def copy_of_shared(shared, tmp_path):
    return shutil.copytree(shared, tmp_path / "models")


# Loading


def test_the_loaded_models_predict_what_the_run_predicts(shared, tiny_run):
    """To the last bit: blended, by model and by fold, alone and in a batch."""
    for options in (
        {"num_subjects": 2, "seed": 3},
        {"num_subjects": 8, "length": 8},
    ):  # alone, in a batch
        sequences = sequences_from_table(make_table(**options))
        loaded, own = (Predictor.load(root).predict(sequences) for root in (shared, tiny_run))
        assert loaded.gestures == own.gestures
        assert loaded.proba_NK.tobytes() == own.proba_NK.tobytes()
        for model in MODELS:
            assert loaded.by_fold[model].tobytes() == own.by_fold[model].tobytes()


def test_the_command_line_predicts_with_the_folder(shared, tiny_run, tiny_source, tmp_path):
    """`predict FOLDER FILE` writes the same table as `predict RUN FILE`."""
    for number, root in enumerate((shared, tiny_run)):
        words = ["predict", root, tiny_source, "--by-model", "--out", tmp_path / f"{number}.csv"]
        ended = fork_server().run(*words)
        assert ended.code == 0, ended.words
    assert (tmp_path / "0.csv").read_bytes() == (tmp_path / "1.csv").read_bytes()


def test_nothing_in_the_folder_is_pickled(shared):
    """Safetensors, text and JSON; LightGBM reads its text itself."""
    import lightgbm

    suffixes = {path.rpartition(".")[2] for path in contents(shared)}
    assert suffixes == {"json", "safetensors", "txt", "md", "sha256"}
    booster = lightgbm.Booster(model_file=shared / "lgbm_fold00_model_text.txt")
    assert booster.num_trees() == 6 * 4  # rounds, gestures


def test_every_kind_of_plain_data_comes_back_equal(tmp_path):
    """Arrays of all kinds and shapes, texts, lists in tables: as a model of somebody may have."""
    fold = {
        "score": 0.1 + 0.2,
        "packed": {
            "arrays": [np.arange(6, dtype=np.uint8).reshape(2, 3), np.array(2.5, np.float16)],
            "flags": np.array([True, False]),
            "names": np.array(["a", "ü|`"]),
            "long": "line\r\n" * 400,
            "deep": {"empty": np.zeros((0, 3)), "none": None, "list": [1, 2.5, "x", {"y": True}]},
        },
    }
    for name, data in dump_models({"own": {"model": "own", "folds": [fold]}}).items():
        (tmp_path / name).write_bytes(data)
    loaded = read_shared_bundle(tmp_path, "own")["folds"][0]
    assert loaded["score"] == 0.30000000000000004
    packed = loaded["packed"]
    for one, other in zip(packed.pop("arrays"), fold["packed"].pop("arrays"), strict=True):
        assert (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())
    for name in ("flags", "names"):
        np.testing.assert_array_equal(packed.pop(name), fold["packed"].pop(name))
    empty = packed["deep"].pop("empty")
    assert (empty.shape, empty.dtype) == (fold["packed"]["deep"].pop("empty").shape, np.float64)
    assert packed == fold["packed"]
    assert read_shared_bundle(tmp_path, "other") is None


@pytest.mark.parametrize("packed", [{"$array": "x"}, {"a": {"b": np.ones(1)}, "a.b": np.ones(1)}])
def test_what_could_be_read_back_as_something_else_is_refused(packed):
    """A name that the format uses itself, two arrays of one name."""
    with pytest.raises(DamagedDataError, match=r"expected names|have this name"):
        dump_models({"own": {"folds": [{"packed": packed}]}})


@pytest.mark.parametrize("name", ["lgbm_fold00.json", "torch_fold01.safetensors"])
def test_a_damaged_or_missing_file_is_named(copy_of_shared, name):
    """Every file must have the SHA-256 of the description."""
    data = (copy_of_shared / name).read_bytes()
    (copy_of_shared / name).write_bytes(data[:-9] + bytes([data[-9] ^ 1]) + data[-8:])
    with pytest.raises(PredictError, match=rf"{name}: its SHA-256"):
        Predictor.load(copy_of_shared)
    (copy_of_shared / name).unlink()
    with pytest.raises(PredictError, match=rf"{name}: missing"):
        Predictor.load(copy_of_shared)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"schema": 2}, "newer than this version's 1"),
        ({"models": {"lgbm": {"num_folds": 10**9}}}, "num_folds: expected 1 to 1000"),
        ({"models": {"lgbm": []}}, "lgbm: expected dict"),
        ({"models": {}}, "no bundle"),
        ({"files": []}, "files: expected dict"),
    ],
)
def test_a_changed_description_is_refused(copy_of_shared, changed, message):
    """A folder comes from anywhere; its description is data."""
    path = copy_of_shared / DESCRIPTION
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))
    with pytest.raises(PredictError, match=message):
        Predictor.load(copy_of_shared)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "", "a/b"])
def test_no_file_outside_the_folder_is_read(copy_of_shared, name):
    """The name of a text is the only one that is read from a file."""
    path = copy_of_shared / "lgbm_fold00.json"
    fold = json.loads(path.read_text())
    fold["packed"]["model_text"] = {"$text": name}
    path.write_text(json.dumps(fold))
    description = json.loads((copy_of_shared / DESCRIPTION).read_text())
    description["files"][path.name] = sha256(path.read_bytes())
    (copy_of_shared / DESCRIPTION).write_text(json.dumps(description))
    with pytest.raises(PredictError, match="expected the name of a text"):
        read_bundle(copy_of_shared, "lgbm")


def test_a_run_is_never_taken_for_a_folder_of_models(shared, tiny_run, tmp_path):
    """A description that was put into a run's folder changes nothing."""
    root = shutil.copytree(tiny_run, tmp_path / "state" / "run")
    shutil.copy(shared / DESCRIPTION, root)
    (root / DESCRIPTION).write_text("{}")
    assert Predictor.load(root).labels.num_classes == 4
    assert find_models(tmp_path / "state", "run") == root


# Calling again


def test_a_second_call_changes_nothing_and_keeps_a_card_that_was_edited(copy_of_shared, tiny_run):
    """Only what a hand changed differs afterwards; a deleted card is made again."""
    before = contents(copy_of_shared)
    share_to_huggingface(read_run(tiny_run), copy_of_shared)
    assert contents(copy_of_shared) == before
    card = copy_of_shared / "README.md"
    card.write_text("My own words\n")
    assert "changed by hand" in share_to_huggingface(read_run(tiny_run), copy_of_shared)
    assert card.read_text() == "My own words\n"
    card.unlink()
    share_to_huggingface(read_run(tiny_run), copy_of_shared)
    assert contents(copy_of_shared) == before


@pytest.mark.parametrize("hit", [1, 4, 12, 14])
def test_a_killed_call_is_completed_by_the_next(shared, tiny_run, tmp_path, hit):
    """SIGKILL inside the mark, a model, the description, the card: nothing half is ever loaded."""
    folder = tmp_path / "models"
    words = ("share", tiny_run, "--to", f"huggingface:{folder}")
    armed = [("failpoint", {"name": "write.half", "hit": hit})]
    assert fork_server().run(*words, shims=armed).code == -signal.SIGKILL
    if hit < 14:
        with pytest.raises(PredictError, match=r"no bundle|missing"):
            Predictor.load(folder)
    ended = fork_server().run(*words)
    assert ended.code == 0, ended.words
    assert contents(folder) == contents(shared)


def test_a_folder_that_is_not_the_runs_is_left_as_it_is(shared, tiny_run, two_moments, tmp_path):
    """Other files, another run, a file in its place, a run's own folder."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "README.md").write_text("mine")
    for target in (tmp_path / "mine", tmp_path / "mine" / "README.md", tiny_run):
        before = contents(tmp_path)
        with pytest.raises(RefusedError, match="expected a"):
            share_to_huggingface(read_run(tiny_run), target)
        assert contents(tmp_path) == before
    with pytest.raises(RefusedError, match="another run"):
        share_to_huggingface(read_run(two_moments[1]), shared)


def test_a_clone_with_hidden_files_only_can_be_filled(tiny_run, tmp_path):
    """What `git clone` of a new repository on Hugging Face leaves."""
    (tmp_path / ".gitattributes").write_text("*.safetensors filter=lfs")
    share_to_huggingface(read_run(tiny_run), tmp_path)
    assert (tmp_path / ".gitattributes").read_text() == "*.safetensors filter=lfs"
    assert Predictor.load(tmp_path).labels.num_targets == 2


def test_a_run_without_a_finished_model_is_refused(two_moments, tmp_path):
    """Nothing is created; a run of which one model is finished is shared, and the card says so."""
    with pytest.raises(RefusedError, match="no model is finished yet"):
        share_to_huggingface(read_run(two_moments[0]), tmp_path / "models")
    assert not (tmp_path / "models").exists()
    root = shutil.copytree(two_moments[1], tmp_path / "run")
    (root / "torch_bundle.pkl").unlink()
    status = json.loads((root / "status.json").read_text())
    (root / "status.json").write_text(json.dumps(status | {"state": "paused"}))
    share_to_huggingface(read_run(root), tmp_path / "models")
    assert "not finished**: without Network" in (tmp_path / "models" / "README.md").read_text()


# The card


def test_the_card_has_data_folds_scores_and_limits(shared):
    """The figures of the run; the scores of models that chose nothing."""
    card = (shared / "README.md").read_text()
    assert card.startswith("---\nlicense: other\n")
    assert "48 sequences of 6 people" in card
    assert "- 2 folds, by subject, stratified by gesture; seed 42, preset quick" in card
    assert "| `Network` | 0.1111 ± 0.000 (2) | 0.1111 | 0.2500 | 0.3958 |" in card
    assert "Nothing was chosen or fitted on the rows that are scored." in card
    assert "/" not in card.partition("## Data")[2].partition("## Scores")[0]  # no path


def test_a_prediction_with_models_of_simulated_recordings_warns(shared, copy_of_shared):
    """The folder has no configuration; its description says so."""
    path = copy_of_shared / DESCRIPTION
    path.write_text(path.read_text().replace('"is_simulated": false', '"is_simulated": true'))
    assert (_is_simulated(shared), _is_simulated(copy_of_shared)) == (False, True)


def test_optimistic_scores_are_marked(tiny_run, tmp_path):
    """In the words of the command line."""
    root = shutil.copytree(tiny_run, tmp_path / "run")
    scores = json.loads((root / "scores.json").read_text())
    scores |= {"optimistic": ["torch", "blend"], "shared_subjects": True}
    (root / "scores.json").write_text(json.dumps(scores))
    (root / "checksums.json").unlink()
    share_to_huggingface(read_run(root), tmp_path / "models")
    card = (tmp_path / "models" / "README.md").read_text()
    assert "chosen on the scored rows" in card
    assert "subjects are shared" in card
    assert "Nothing was chosen" not in card


def test_no_text_of_a_run_is_markup_or_a_link_in_the_card(tmp_path):
    """Gestures and the run's name come from anywhere; Markdown reads all of them as code."""
    from markdown_it import MarkdownIt

    root = hostile_texts.make_run(tmp_path, tmp_path / "state")
    hostile = root.rename(root.with_name("[x](http:foreign.example) <b>`|"))
    share_to_huggingface(read_run(hostile), tmp_path / "models")
    card = (tmp_path / "models" / "README.md").read_text().partition("---\n\n")[2]
    tokens = MarkdownIt("commonmark").enable("table").parse(card)
    inline = [child for token in tokens for child in token.children or ()]
    kinds = {child.type for child in inline}
    assert kinds == {"text", "code_inline", "softbreak"}
    assert not any(token.type == "html_block" for token in tokens)
    texts = [child.content for child in inline if child.type == "text"]
    assert not [text for text in texts if hostile_texts.HOST in text]
    assert sum(hostile_texts.HOST in child.content for child in inline) == 4  # the gestures
