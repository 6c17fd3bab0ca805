"""A run as event files: read back by TensorBoard's own reader, and by the real TensorBoard."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from tests.support.forked_trainers import fork_server
from trainer.run import RefusedError
from trainer.share.shared_run import read_run
from trainer.share.tensorboard_events import FILE_NAME, share_to_tensorboard
from trainer.store.event_log import curves
from trainer.store.reader import RunReader

pytest.importorskip("tensorboard")
PATIENCE_S = 120.0


def scalars(folder):
    """Return (time, step, value) of every point of an event folder, by tag."""
    from tensorboard.util.tensor_util import make_ndarray

    found = accumulated(folder)
    return {
        tag: [
            (one.wall_time, one.step, make_ndarray(one.tensor_proto).item())
            for one in found.Tensors(tag)
        ]
        for tag in found.Tags()["tensors"]
        if found.SummaryMetadata(tag).plugin_data.plugin_name == "scalars"
    }


def accumulated(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(folder)).Reload()


def files(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def logs(tiny_run, tmp_path):
    share_to_tensorboard(read_run(tiny_run), tmp_path / "logs")
    return tmp_path / "logs"


def test_every_point_of_every_curve_is_read_back(tiny_run, logs):
    """Times, steps and numbers as the pages show them, one folder per fold and model."""
    frame = curves(RunReader(tiny_run).events())
    folders = {path.name for path in (logs / "tiny").iterdir() if path.is_dir()}
    assert folders == {"lgbm_fold00", "lgbm_fold01", "torch_fold00", "torch_fold01"}
    num_points = 0
    for (model, fold), part in frame.group_by("model", "fold"):
        found = scalars(logs / "tiny" / f"{model}_fold{fold:02d}")
        for name in set(frame.columns) - {"model", "fold", "step", "attempt", "time"}:
            rows = part.drop_nulls(name).sort("step").select("time", "step", name).rows()
            points = found.get(f"{model}/{name}", [])
            assert points == [pytest.approx(row, rel=1e-6) for row in rows], (model, fold, name)
            num_points += len(points)
    assert num_points == 74  # 2 folds x (3 segments x 7 numbers + 2 epochs x 8)


def test_scores_and_settings_are_in_the_runs_own_folder(tiny_run, logs):
    """The score of each fold; of a finished run also the mean over folds; settings as text."""
    found = scalars(logs / "tiny")
    assert [point[1:] for point in found["fold_score/lgbm"]] == [(0, 1.0), (1, 1.0)]
    means = {name: found[f"score/{name}"][0][2] for name in ("lgbm", "torch", "blend")}
    scores = RunReader(tiny_run).scores().models
    assert means == pytest.approx({name: scores[name].all_sensors.mean for name in means})
    from tensorboard.plugins.hparams import metadata

    settings = accumulated(logs / "tiny").SummaryMetadata("_hparams_/session_start_info")
    data = metadata.parse_session_start_info_plugin_data(settings.plugin_data.content)
    assert data.hparams["boosting.rounds"].string_value == "6"
    assert data.group_name == read_run(tiny_run).identity


def test_a_run_is_continued_while_it_is_trained(two_moments, tmp_path):
    """What was written stays the beginning of each file, which a running TensorBoard reads on."""
    at_once, growing = tmp_path / "at_once", tmp_path / "growing"
    share_to_tensorboard(read_run(two_moments[1]), at_once)
    assert " 22 points added" in share_to_tensorboard(read_run(two_moments[0]), growing)
    early = files(growing)
    inodes = {path: path.stat().st_ino for path in early}
    assert " 59 points added" in share_to_tensorboard(read_run(two_moments[1]), growing)
    late = files(growing)
    assert all(late[path].startswith(data) for path, data in early.items())
    assert all(path.stat().st_ino == inode for path, inode in inodes.items())
    for path, data in files(at_once).items():
        if not path.name.endswith(".settings"):
            assert (growing / path.relative_to(at_once)).read_bytes() == data
    assert " 0 points added" in share_to_tensorboard(read_run(two_moments[1]), growing)
    assert files(growing) == late


def test_a_renamed_run_keeps_its_folder(two_moments, tmp_path):
    """TensorBoard would show a second folder as a second run."""
    root = shutil.copytree(two_moments[1], tmp_path / "other-name")
    share_to_tensorboard(read_run(two_moments[1]), tmp_path / "logs")
    share_to_tensorboard(read_run(root), tmp_path / "logs")
    assert [path.name for path in (tmp_path / "logs").iterdir()] == ["first"]


@pytest.mark.parametrize("hit", [1, 2, 4])
def test_a_killed_call_is_completed_by_the_next(tiny_run, tmp_path, hit):
    """SIGKILL inside the mark and inside event files."""
    share_to_tensorboard(read_run(tiny_run), tmp_path / "whole")
    words = ("share", tiny_run, "--to", f"tensorboard:{tmp_path / 'logs'}")
    armed = [("failpoint", {"name": "write.half", "hit": hit})]
    assert fork_server().run(*words, shims=armed).code == -signal.SIGKILL
    assert fork_server().run(*words).code == 0
    for path in files(tmp_path / "whole"):
        place = path.relative_to(tmp_path / "whole")
        if path.name == FILE_NAME:
            assert (tmp_path / "logs" / place).read_bytes() == path.read_bytes()


def test_a_torn_end_is_completed_and_another_beginning_replaced(tiny_run, logs):
    """A kill inside an append leaves half a record; a fold that was started over has other ones."""
    whole = files(logs)
    paths = [path for path in whole if path.name == FILE_NAME and path.parent.name != "tiny"]
    paths[0].write_bytes(whole[paths[0]][:-5])
    paths[1].write_bytes(b"\0" + whole[paths[1]][1:])
    assert "points added" in share_to_tensorboard(read_run(tiny_run), logs)
    assert files(logs) == whole


def test_folders_of_others_are_left_as_they_are(tiny_run, two_moments, tmp_path):
    """A log folder is shared with other runs; only the run's own folder in it is written."""
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "events.out.tfevents.1").write_bytes(b"mine")
    with pytest.raises(RefusedError, match="expected a new or empty folder"):
        share_to_tensorboard(read_run(tiny_run), tmp_path)
    share_to_tensorboard(read_run(two_moments[1]), tmp_path)
    renamed = shutil.copytree(tiny_run, tmp_path / "state" / "first")
    with pytest.raises(RefusedError, match="another run was shared to this folder"):
        share_to_tensorboard(read_run(renamed), tmp_path)
    assert files(tmp_path / "tiny") == {tmp_path / "tiny" / "events.out.tfevents.1": b"mine"}


def test_names_from_anywhere_do_not_leave_the_folder(two_moments, tmp_path):
    """A run's folder and the names of its numbers may be any text."""
    root = shutil.copytree(two_moments[0], tmp_path / "state" / "..%2f<b> x")
    line = json.loads((root / "metrics.jsonl").read_text().splitlines()[1])
    line["values"] = {"step": 99, "../../x<script>": 1.0}
    with (root / "metrics.jsonl").open("a") as log:
        log.write(json.dumps(line) + "\n")
        log.write(json.dumps(line | {"model": "../../elsewhere"}) + "\n")
    run = read_run(root)
    share_to_tensorboard(run, tmp_path / "logs")
    assert [path.name for path in (tmp_path / "logs").iterdir()] == [f"run-{run.identity}"]
    found = scalars(tmp_path / "logs" / f"run-{run.identity}" / "lgbm_fold00")
    assert {path.name for path in tmp_path.iterdir()} == {"logs", "state"}
    assert found["lgbm/_._x_script_"] == [(line["time"], 99, 1.0)]


# The real TensorBoard


def fetch(port, path):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as reply:
        return json.load(reply)


def test_the_real_tensorboard_shows_a_run_while_it_grows(two_moments, tmp_path):
    """Over HTTP: runs, tags, points; those of a second call appear without a restart."""
    share_to_tensorboard(read_run(two_moments[0]), tmp_path)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["--logdir", tmp_path, "--host", "127.0.0.1", "--port", port, "--reload_interval", 1]
    server = subprocess.Popen(
        [sys.executable, "-m", "tensorboard.main", *map(str, words)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONWARNINGS": "ignore"},
    )
    try:
        early = wait_for_tags(port, {"first", "first/lgbm_fold00"})
        assert "lgbm/valid_loss" in early["first/lgbm_fold00"]
        share_to_tensorboard(read_run(two_moments[1]), tmp_path)
        folds = {f"first/{model}_fold0{fold}" for model in ("lgbm", "torch") for fold in (0, 1)}
        tags = wait_for_tags(port, {"first", *folds}, "score/blend")
        assert {"fold_score/torch", "score/blend"} <= set(tags["first"])
        for fold in sorted(folds):
            for tag in tags[fold]:
                points = fetch(port, f"/data/plugin/scalars/scalars?run={fold}&tag={tag}")
                name = fold.partition("/")[2]
                wanted = scalars(tmp_path / "first" / name)[tag]
                assert points == [pytest.approx(list(point)) for point in wanted]
    finally:
        server.terminate()
        server.wait(30)


def wait_for_tags(port, runs, tag=""):
    """Return the tags of each run when TensorBoard shows these runs, and this tag in one."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            tags = fetch(port, "/data/plugin/scalars/tags")
        except OSError:
            tags = {}
        if runs <= tags.keys() and (not tag or any(tag in one for one in tags.values())):
            return {run: list(found) for run, found in tags.items()}
        time.sleep(0.3)
    raise AssertionError(f"not shown: {runs}, {tag}; shown: {tags}")
