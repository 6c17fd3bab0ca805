"""A run on MLflow: through the real client into a real store, and by hand into the real server."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from tests.support.builders import make_table
from tests.support.forked_trainers import fork_server
from trainer.data.sources import sequences_from_table
from trainer.predict.predictor import Predictor
from trainer.share import ShareError
from trainer.share.mlflow_tracking import PART, RUN, share_to_mlflow
from trainer.share.shared_run import read_run
from trainer.store.event_log import curves
from trainer.store.reader import RunReader

pytest.importorskip("mlflow")
PATIENCE_S = 180.0
PARTS = {"run", "lgbm/0", "lgbm/1", "torch/0", "torch/1"}
REQUESTS = (
    *("create_experiment", "create_run", "log_batch", "log_artifact", "set_tag"),
    *("set_terminated", "search_runs"),
)
KILLED_REQUESTS = (2, 3, 4, 8, 14, 22, 30)  # create the experiment, the parent, a child, ...
KILL = """
import os, signal
import requests
from trainer.__main__ import main

send, count = requests.Session.send, 0

def send_and_die(*args, **options):
    global count
    count += 1
    reply = send(*args, **options)
    if count == {number}:
        os.kill(os.getpid(), signal.SIGKILL)
    return reply

requests.Session.send = send_and_die
main()
"""
HAS_SERVER = importlib.util.find_spec("flask") is not None


class KilledError(BaseException):
    """Ends a call as SIGKILL does: nothing after it is done, and nobody handles it."""


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    """The store in files, which MLflow keeps for such uses; the variables that a call sets."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    for name in ("MLFLOW_DISABLE_TELEMETRY", "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"):
        monkeypatch.setenv(name, "true")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)


def client_of(uri):
    from mlflow import MlflowClient

    return MlflowClient(uri)


def content(uri):
    """Return all that a store holds of runs, by part, without the ids that it gives."""
    client = client_of(uri)
    experiments = client.search_experiments(filter_string="name != 'Default'")
    runs = client.search_runs([one.experiment_id for one in experiments], max_results=1000)
    ids = {one.info.run_id: one.data.tags[PART] for one in runs}
    assert len(set(ids.values())) == len(ids)
    found = {}
    for one in runs:
        tags = {key: value for key, value in one.data.tags.items() if key != "mlflow.user"}
        if "mlflow.parentRunId" in tags:
            tags["mlflow.parentRunId"] = ids[tags["mlflow.parentRunId"]]
        points = [
            (point.key, point.step, point.value, point.timestamp)
            for key in one.data.metrics
            for point in client.get_metric_history(one.info.run_id, key)
        ]
        found[one.data.tags[PART]] = {
            "name": one.info.run_name,
            "status": one.info.status,
            "start": one.info.start_time,
            "end": one.info.end_time,
            "parameters": one.data.params,
            "tags": tags,
            "points": sorted(points),
            "files": sorted(item.path for item in client.list_artifacts(one.info.run_id)),
        }
    return found


@pytest.fixture(scope="module")
def store(tiny_run, tmp_path_factory):
    """The store of a run that was shared once, and its content."""
    uri = f"file://{tmp_path_factory.mktemp('mlruns')}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        share_to_mlflow(read_run(tiny_run), uri)
        return uri, content(uri)


def test_a_run_is_a_parent_with_a_child_for_each_fold_and_model(store):
    """All of them finished, at the times of the run."""
    found = store[1]
    assert found.keys() == PARTS
    assert found["torch/1"]["name"] == "tiny torch fold 1"
    assert {found[part]["tags"].get("mlflow.parentRunId") for part in PARTS - {"run"}} == {"run"}
    assert {one["status"] for one in found.values()} == {"FINISHED"}
    assert all(one["start"] < one["end"] for one in found.values())


def test_parameters_are_the_configuration(store, tiny_run):
    """Every setting by its dotted name, and what the run was trained on."""
    parameters = store[1]["run"]["parameters"]
    assert parameters["boosting.rounds"] == "6"
    assert parameters["network.conv_channels"] == "4,8"
    assert parameters["recordings.num_sequences"] == "48"
    fingerprint = RunReader(tiny_run).run_file().recordings.fingerprint
    assert parameters["recordings.fingerprint"] == fingerprint
    assert store[1]["lgbm/1"]["parameters"] == {"model": "lgbm", "fold": "1"}


def test_every_point_of_every_curve_is_there_once(store, tiny_run):
    """Names, steps and numbers as the pages show them, to the last bit."""
    frame = curves(RunReader(tiny_run).events())
    for (model, fold), part in frame.group_by("model", "fold"):
        wanted = [
            (name, int(row["step"]), row[name], int(1000 * row["time"]))
            for row in part.iter_rows(named=True)
            for name in set(frame.columns) - {"model", "fold", "step", "attempt", "time"}
            if row[name] is not None
        ]
        found = store[1][f"{model}/{fold}"]["points"]
        assert [one for one in found if not one[0].startswith("fold.")] == sorted(wanted)


def test_scores_of_folds_and_of_the_run(store, tiny_run):
    """The figures of scores.json; the number of finished folds is the step."""
    scores = RunReader(tiny_run).scores()
    found = {(key, step): value for key, step, value, _ in store[1]["run"]["points"]}
    assert found["score.blend.all.oof", 4] == scores.models["blend"].all_sensors.oof.score
    assert found["score.torch.all.mean", 4] == scores.models["torch"].all_sensors.mean
    assert found["score.lgbm.imu.oof", 4] == scores.models["lgbm"].imu_only.oof.score
    fold = {key: value for key, _, value, _ in store[1]["torch/1"]["points"]}
    assert fold["fold.score"] == scores.models["torch"].all_sensors.folds[1].score


def test_the_files_are_enough_to_predict(store, tiny_run, tmp_path):
    """Downloaded into a folder, they predict what the run predicts."""
    client = client_of(store[0])
    assert store[1]["run"]["files"] == [
        *("config.json", "feature_importance.csv", "folds.parquet", "lgbm_bundle.pkl"),
        *("oof.parquet", "resume_record.json", "scores.json", "torch_bundle.pkl"),
    ]
    experiment = client.get_experiment_by_name("gestures").experiment_id
    parent = client.search_runs([experiment], f"tags.`{PART}` = 'run'")[0].info.run_id
    folder = client.download_artifacts(parent, "", str(tmp_path))
    sequences = sequences_from_table(make_table(num_subjects=2, seed=3))
    loaded = Predictor.load(tmp_path).predict(sequences)
    assert folder
    assert (
        loaded.proba_NK.tobytes() == Predictor.load(tiny_run).predict(sequences).proba_NK.tobytes()
    )


def test_a_second_call_adds_nothing(store, tiny_run):
    """Nor does a call on a copy of the run under the same name."""
    assert share_to_mlflow(read_run(tiny_run), store[0]).endswith(": 0 points, 0 files added")
    assert content(store[0]) == store[1]


def test_a_run_is_continued_while_it_is_trained(two_moments, tmp_path):
    """Paused after a fold, then finished: afterwards as if it had been shared once at the end."""
    growing, at_once = f"file://{tmp_path}/growing", f"file://{tmp_path}/at_once"
    share_to_mlflow(read_run(two_moments[0]), growing)
    early = content(growing)
    assert early.keys() == {"run", "lgbm/0"}
    assert early["run"]["status"] == "SCHEDULED"  # of MLflow's words the one for a pause
    assert early["lgbm/0"]["status"] == "FINISHED"
    share_to_mlflow(read_run(two_moments[1]), growing)
    share_to_mlflow(read_run(two_moments[1]), at_once)
    late, whole = content(growing), content(at_once)
    extra = [point for point in late["run"]["points"] if point[1] == 1]  # the scores at one fold
    late["run"]["points"] = [point for point in late["run"]["points"] if point[1] != 1]
    assert late == whole
    assert ("score.lgbm.all.mean", 1, 1.0) in [point[:3] for point in extra]


def test_a_call_that_ends_at_any_request_is_completed_by_the_next(tiny_run, tmp_path, monkeypatch):
    """Before and after each of its requests: at the end the store is as after one whole call."""
    from mlflow import MlflowClient

    whole = f"file://{tmp_path}/whole"
    share_to_mlflow(read_run(tiny_run), whole)
    countdown, num_kills = [0], 0
    for name in REQUESTS:
        monkeypatch.setattr(MlflowClient, name, killing(getattr(MlflowClient, name), countdown))
    uri = f"file://{tmp_path}/killed"
    for allowed in range(1, 200, 4):
        countdown[0] = allowed
        try:
            share_to_mlflow(read_run(tiny_run), uri)
            break
        except KilledError:
            num_kills += 1
    assert num_kills >= 10
    assert content(uri) == content(whole)


def killing(method, countdown):
    """Return a method that ends the call before or after it is done, when the countdown ends."""

    def call(*args, **options):
        def step():
            countdown[0] -= 1
            if countdown[0] == 0:
                raise KilledError

        step()
        result = method(*args, **options)
        step()
        return result

    return call


def test_points_that_differ_on_the_server_are_reported(two_moments, tmp_path):
    """A fold that was started over: MLflow keeps what it has, and nothing is doubled."""
    uri = f"file://{tmp_path}/mlruns"
    share_to_mlflow(read_run(two_moments[1]), uri)
    before = content(uri)
    root = shutil.copytree(two_moments[1], tmp_path / "first")
    log = (root / "metrics.jsonl").read_text()
    (root / "metrics.jsonl").write_text(log.replace('"learning_rate": 0.1}', '"learning_rate": 9}'))
    assert "6 points there have other numbers" in share_to_mlflow(read_run(root), uri)
    assert content(uri) == before


@pytest.mark.parametrize("deleted", ["run", "torch/1"])
def test_what_was_deleted_on_the_server_is_made_again(store, tiny_run, tmp_path, deleted):
    """A parent whose folds are still there, or a fold."""
    place = store[0].removeprefix("file://")
    uri = f"file://{shutil.copytree(place, tmp_path / 'mlruns')}"
    client = client_of(uri)
    experiment = client.get_experiment_by_name("gestures").experiment_id
    found = client.search_runs([experiment], f"tags.`{PART}` = '{deleted}'")
    client.delete_run(found[0].info.run_id)
    share_to_mlflow(read_run(tiny_run), uri)
    again = content(uri)
    assert again.keys() == PARTS
    assert {one["tags"].get("mlflow.parentRunId") for one in again.values()} == {None, "run"}
    assert again[deleted]["points"] == store[1][deleted]["points"]


def test_the_experiment_can_be_named(tiny_run, tmp_path, monkeypatch):
    """As for every program that uses MLflow."""
    uri = f"file://{tmp_path}/mlruns"
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "wrists")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    share_to_mlflow(read_run(tiny_run), None)
    assert client_of(uri).get_experiment_by_name("wrists") is not None


def test_a_server_that_is_not_there_is_named_without_its_password(tiny_run, monkeypatch):
    """One line with what to do."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(ShareError) as refused:
        share_to_mlflow(read_run(tiny_run), f"http://me:secret@127.0.0.1:{port}")
    text = str(refused.value)
    assert f"127.0.0.1:{port}" in text
    assert "secret" not in text
    assert "\n" not in text
    assert "mlflow server" in text


# The real server, by hand: it takes half a minute to start


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The address of a real MLflow server with a database on this machine."""
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    words += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    words += ["--artifacts-destination", str(folder / "files")]
    process = subprocess.Popen(
        [sys.executable, "-m", "mlflow", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"},
        start_new_session=True,
    )
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                break
        except OSError:
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.5)
    yield f"http://127.0.0.1:{port}"
    os.killpg(process.pid, signal.SIGTERM)
    process.wait(30)


@pytest.mark.faults
@pytest.mark.skipif(not HAS_SERVER, reason="the server needs pip install mlflow")
def test_the_real_server_holds_a_run_once_after_kills_and_second_calls(store, server, tiny_run):
    """SIGKILL after requests whose replies are lost, then to the end, and again: as in one call."""
    words = ("share", tiny_run, "--to", f"mlflow:{server}")
    for number in KILLED_REQUESTS:
        ended = fork_server().run(*words, code=KILL.format(number=number))
        assert ended.code == -signal.SIGKILL, ended.words
    for _ in range(2):
        ended = fork_server().run(*words)
        assert ended.code == 0, ended.words
    assert ended.words.endswith("0 points, 0 files added\n")
    identity = read_run(tiny_run).identity
    client = client_of(server)
    experiment = client.get_experiment_by_name("gestures").experiment_id
    runs = client.search_runs([experiment], f"tags.`{RUN}` = '{identity}'")
    assert sorted(one.data.tags[PART] for one in runs) == sorted(PARTS)
    for one in runs:
        wanted = store[1][one.data.tags[PART]]
        points = [
            (point.key, point.step, point.value, point.timestamp)
            for key in one.data.metrics
            for point in client.get_metric_history(one.info.run_id, key)
        ]
        assert sorted(points) == wanted["points"]
        assert one.data.params == wanted["parameters"]
        assert (one.info.status, one.info.run_name) == (wanted["status"], wanted["name"])
        files = sorted(item.path for item in client.list_artifacts(one.info.run_id))
        assert files == wanted["files"]
