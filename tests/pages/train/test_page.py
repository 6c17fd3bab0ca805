"""The Train page of a run: status, alerts, live curves, machine, log."""

from __future__ import annotations

import altair as alt
import polars as pl
import pytest
from jsonschema import ValidationError

from pages.ui.shared import charts, controls, live, readers
from pages.ui.train import alerts, fold_table, logs, machine
from tests.support import run_folders
from tests.support.pages import metrics, texts, visit
from tests.support.run_folders import change_status
from trainer.store.durable import append_line, write_atomic
from trainer.store.event_log import Event, curves
from trainer.store.names import RunPaths
from trainer.store.reader import RunReader
from trainer.store.records import WorkerStatus, dump_record
from trainer.store.run_state import derive_state


def add_reading(root, minute, attempt=1, **values):
    moment = run_folders.NOW + 60 * minute
    line = {"event": "beat", "time": moment, "attempt": attempt, "values": values}
    append_line(RunPaths(root).metrics, line)


@pytest.mark.parametrize("state", run_folders.STATES)
def test_every_state_has_its_evidence_one_click_away(make_run, state):
    """In every state the page is shown, and "Evidence" lists what the state is derived from."""
    make_run("first", state)
    app = visit(run="first")
    if state == "starting":  # only a lock: not listed yet
        assert "No runs yet" in texts(app)
    else:
        assert app.get("popover")[0].proto.popover.label == "Evidence"
        assert any("Lock:" in code.value for code in app.code)


def test_the_score_of_the_fold_is_shown_with_its_best(make_run):
    """Newest and best, with the epoch of the best; when it should be done and when it pauses."""
    make_run("first", "running")
    app = visit()
    assert metrics(app)["Score of this fold"] == "0.801"
    under = {metric.label: metric.delta for metric in app.metric}
    assert under["Score of this fold"] == "best 0.801, epoch 6"
    assert under["Time left, at most"].startswith("done by ")
    assert under["Pauses at"].startswith(("time limit, in 59 min", "time limit, in 1 h"))


def test_a_finished_run_shows_its_training_time(make_run):
    """Six folds of 12 s each."""
    make_run("first", "finished")
    assert metrics(visit())["Training time"] == "1 min 12 s"


def set_workers(root, *positions):
    """Write workers at (model, fold, step, total_steps) into the status."""
    now = RunReader(root).status().heartbeat_at
    workers = tuple(
        WorkerStatus(
            model=model,
            fold=fold,
            attempt=1,
            host="lab",
            pid=70 + n,
            step=step,
            total_steps=total,
            heartbeat_at=now,
            progress_at=now - 3.0,
        )
        for n, (model, fold, step, total) in enumerate(positions)
    )
    change_status(root, workers=workers)


def test_the_page_shows_the_fold_of_each_worker(make_run):
    """Two folds are running in the fold table, and both workers are listed."""
    root = make_run("first", "running", done=2)
    set_workers(root, ("lgbm", 2, 30, 100), ("torch", 0, 18, 36))
    page = visit()
    table = page.table[0].value
    running = [
        cell for name in ("LightGBM", "Network") for cell in table[name] if "running" in cell
    ]
    assert [cell.partition("]")[2][:10] for cell in running] == [" round 30 ", " epoch 6 o"]
    shown = [caption.value for caption in page.caption if "process" in caption.value]
    assert shown == [
        "LightGBM, fold 2: round 30 of 100, last progress 3 s ago · process 70 on lab  \n"
        "Network, fold 0: epoch 6 of 12, last progress 3 s ago · process 71 on lab"
    ]
    assert metrics(page)["Now"] == "2 folds in parallel"
    assert metrics(page)["Folds done"] == "2 of 6"


def test_the_fold_table_adds_rows_for_the_imu_alone(make_run):
    """Where a sensor group can be missing, out of fold is shown for both cases and their mean."""
    root = make_run("first", "running")
    scores = run_folders.score_table(4)
    lgbm = scores.models["lgbm"]
    both = lgbm.model_copy(update={"imu_only": lgbm.all_sensors, "half_and_half": 0.875})
    models = {**scores.models, "lgbm": both}
    path = RunPaths(root).scores
    write_atomic(path, dump_record(scores.model_copy(update={"models": models})))
    shown = visit().table[0].value
    assert shown["Fold"].to_list()[-3:] == ["Out of fold", "Out of fold, IMU only", "Mean of both"]
    assert shown["LightGBM"].to_list()[-1] == "**0.875**"


def test_the_fold_table_can_be_downloaded_in_numbers(make_run):
    """One row per fold and model; a fold that is not done has no score."""
    root = make_run("first", "running")
    table = fold_table.numbers(readers.view(RunReader(root)))
    assert table.height == 6
    assert table["score"].to_list()[:3] == pytest.approx([0.90, 0.89, 0.88])
    assert table.filter(model="torch", fold=1)["score"].to_list() == [None]
    assert table.filter(model="torch", fold=1)["times_resumed"].to_list() == [1]


def point(step, loss, model="torch", fold=1, **values):
    numbers = {"step": step, "score": 0.5, **({} if loss is None else {"valid_loss": loss})}
    return Event("epoch", run_folders.NOW + step, 1, model, fold, {**numbers, **values}, "")


def test_a_loss_that_is_not_a_number_is_reported_with_its_first_epoch():
    """NaN is stored as null; one alert per fold names the first."""
    points = curves([point(1, 0.5), point(2, None), point(3, None), point(1, 0.4, fold=0)])
    [alert] = alerts.not_a_number(points)
    assert alert.level == "error"
    assert alert.text.startswith("Network, fold 1: the loss was not a number at epoch 2.")


def test_a_training_loss_counts_too_where_the_model_has_one():
    """A null training loss is reported too, unless the model never has one."""
    points = curves(
        [point(1, 0.5, train_loss=0.6), point(2, 0.5), point(25, 0.4, model="lgbm", fold=0)]
    )
    [alert] = alerts.not_a_number(points)
    assert "Network, fold 1: the loss was not a number at epoch 2" in alert.text


@pytest.mark.parametrize(("newest", "num_alerts"), [(0.59, 0), (0.61, 1)])
def test_a_loss_spike_is_half_again_the_best(make_run, newest, num_alerts):
    """1.5 times the lowest so far, after three points, of the fold in training."""
    status = RunReader(make_run("first", "running")).status()
    losses = [0.9, 0.5, 0.4, newest]
    points = curves([point(step + 1, loss) for step, loss in enumerate(losses)])
    found = alerts.spike(status, points)
    assert len(found) == num_alerts
    if found:
        assert "the validation loss is 0.61 at epoch 4; its lowest was 0.4 at epoch 3" in (
            found[0].text
        )


def test_low_memory_and_disk_space_are_reported_early(make_run):
    """As of the last heartbeat, with what to do; a run that is not active has no such alert."""
    root = make_run("first", "running")
    change_status(root, used_memory_mb=900, free_memory_mb=300, free_disk_mb=700)
    warnings = [warning.value.replace("\\", "") for warning in visit().warning]
    assert warnings[0].startswith("Memory is low: 300 MB are free, the trainer uses 900 MB.")
    assert warnings[1].startswith("Disk space is low: 700 MB are free.")
    other = make_run("second", "paused")
    change_status(other, free_memory_mb=300, free_disk_mb=700)
    assert len(visit(run="second").warning) == 0


def test_a_stalled_run_shows_what_to_do(make_run):
    """The reason, the process to end, and that nothing is lost."""
    root = make_run("first", "stalled")
    [error] = visit().error
    text = error.value.replace("\\", "")
    assert "no progress for 4" in text
    assert f"end process {RunReader(root).status().pid} and press Resume" in text


def test_the_last_error_of_an_earlier_attempt_stays_in_sight(make_run):
    """A run that was resumed after a failure shows what the failure was."""
    root = make_run("first", "running")
    line = {"event": "fail", "time": run_folders.NOW, "attempt": 1, "text": "OSError: disk full"}
    append_line(RunPaths(root).metrics, line)
    [info] = visit().info
    assert info.value.replace("\\", "").startswith("Last error: attempt 1 failed at ")
    assert "OSError: disk full" in info.value.replace("\\", "")


def test_the_machine_s_curves_are_of_the_newest_recorded_attempt_or_of_a_chosen_one(make_run):
    """Minutes count from the attempt's first event; other attempts are left out."""
    root = make_run("first", "running")
    add_reading(root, 1, trainer_cores=0.5, used_memory_mb=100, free_memory_mb=1, free_disk_mb=1)
    append_line(
        RunPaths(root).metrics,
        {"event": "start", "time": run_folders.NOW + 600, "attempt": 2, "text": "resumed"},
    )
    add_reading(root, 12, attempt=2, trainer_cores=1.5, used_memory_mb=2048, free_disk_mb=10_240)
    assert machine.recorded_attempts(RunReader(root).events()) == [2, 1]
    table = machine.resource_table(RunReader(root).events(), 2)
    assert table["minutes"].to_list() == [2.0]
    app = visit()
    shown = texts(app)
    assert "**CPU of the trainer**: 1.5 cores" in shown
    assert "**Memory of the trainer**: 2.00 GB" in shown
    assert "**Free disk space**: 10.0 GB" in shown
    assert "Free memory" not in shown  # not recorded: not drawn
    app.selectbox(key="machine_first_2").select(1).run()
    assert "**Memory of the trainer**: 0.10 GB" in texts(app)


def test_without_readings_nothing_is_drawn_and_the_page_shows_why(make_run):
    """No data are invented for the past; the last heartbeat is shown where it is known."""
    root = make_run("first", "finished")
    change_status(root, used_memory_mb=512, free_memory_mb=4000, free_disk_mb=20_480)
    shown = texts(visit())
    assert (
        "the trainer used 512 MB of memory; 4,000 MB of memory and 20.0 GB of disk space were free"
        in shown
    )
    assert "this run was shorter or is from an earlier version" in shown


def test_paused_charts_stay_while_the_rest_is_updated(make_run):
    """New points are not drawn from Paused until Live; the fold table shows them at once."""
    root = make_run("first", "running")
    app = visit()
    app.session_state["curves_mode"] = "Paused"
    app.run()
    run_folders.write_curve(RunPaths(root), "torch", 2, 0.5)
    run_folders.write_units(RunPaths(root), 5)
    app.run()
    assert "Charts paused at" in texts(app)
    assert "Network, newest: fold 1, epoch 6: 0.8007" in texts(app)
    assert app.table[0].value["Network"].to_list()[1].startswith(":green-badge[done]")
    app.session_state["curves_mode"] = "Live"
    app.run()
    assert "Network, newest: fold 2, epoch 6" in texts(app)


def test_only_charts_that_do_not_change_can_be_zoomed(make_run):
    """A chart that gets new data would lose the zoom, so it offers none."""
    points = curves(RunReader(make_run("first")).events()).filter(model="lgbm")
    draw = (points, charts.CURVES["Score"], "round", 100, [50.0])
    assert "params" not in charts.curve_chart(*draw)
    [param] = charts.curve_chart(*draw, can_zoom=True)["params"]
    assert param["bind"] == "scales"
    assert param["select"]["zoom"] == "wheel![event.shiftKey]"


def test_new_points_do_not_change_the_chart_itself(make_run):
    """Only the data of its specification change, under the same names: no flicker, same node."""
    points = curves(RunReader(make_run("first")).events()).filter(model="torch")
    parts = (points.filter(fold=0).head(3), points)
    specs = [charts.curve_chart(part, charts.CURVES["Score"], "epoch", 12, []) for part in parts]
    rows = [spec.pop("datasets") for spec in specs]
    assert specs[0] == specs[1]
    assert [len(one["points"]) for one in rows] == [3, points.height]


def test_a_chart_that_is_not_validated_when_drawn_is_valid(make_run):
    """Validating every chart against Vega-Lite's schema took half of its time; it is done here."""
    points = curves(RunReader(make_run("first")).events()).filter(model="torch")
    for zoom in (False, True):
        draw = (points, charts.CURVES["Score"], "epoch", 12, [3.0], zoom)
        drawn = charts.curve_chart(*draw)
        named = {layer["data"]["name"] for layer in drawn["layer"]}
        assert named == set(drawn.pop("datasets"))
        alt.LayerChart.from_dict(drawn, validate=True)
    readings = pl.DataFrame({"minutes": [0.0, 1.0], "free_memory_mb": [100.0, 90.0]})
    drawn = machine.meter_chart(readings, "free_memory_mb", machine.METERS["free_memory_mb"])
    assert drawn["data"]["name"] in drawn.pop("datasets")
    alt.Chart.from_dict(drawn, validate=True)
    with pytest.raises(ValidationError):
        alt.Chart.from_dict(drawn | {"mark": "no such mark"}, validate=True)


def test_the_charts_of_an_active_run_are_drawn_before_their_first_point(make_run):
    """An empty chart has a reason; of a run that is not active there is none."""
    make_run("first", "running", done=0)
    app = visit()
    assert len(app.get("vega_lite_chart")) == 2
    assert "No epoch has been scored yet." in texts(app)
    make_run("second", "paused", done=0)
    app = visit(run="second")
    assert len(app.get("vega_lite_chart")) == 1
    assert "No epoch has been scored yet." in texts(app)


def test_long_curves_keep_their_lowest_and_highest_points():
    """10,000 points become at most 600 or so; a single spike and both ends survive."""
    value = [1.0] * 10_000
    value[4321] = 9.0
    long = pl.DataFrame({"fold": [0] * 10_000, "step": range(10_000), "value": value})
    noisy = long.with_columns(value=pl.col("value") + pl.col("step") % 7 / 100)
    thin = charts.thinned(noisy, 600)
    assert thin.height < 10_000 / 2
    assert noisy["value"].max() in thin["value"]
    assert (thin["step"][0], thin["step"][-1]) == (0, 9999)
    short = noisy.head(600)
    assert charts.thinned(short, 600).equals(short)


def test_the_event_log_is_listed_newest_first(make_run):
    """Starts, folds and pauses with their sender; curve points and readings are left out."""
    root = make_run("first", "paused")
    line = {"event": "pause", "time": run_folders.NOW + 900, "attempt": 1}
    append_line(RunPaths(root).metrics, line | {"text": "asked by dashboard"})
    add_reading(root, 16, trainer_cores=1.0)
    app = visit()
    assert len(app.dataframe) == 0  # closed
    app.session_state["event_log"] = True
    table = app.run().dataframe[0].value
    assert table["Event"].to_list() == ["Paused", *["Fold done"] * 4, "Started"]
    assert table["Details"].to_list()[:2] == ["asked by dashboard", "score 0.930, 12 s"]


def test_a_failed_run_shows_its_whole_traceback(make_run):
    """The end of the log is shown from "Traceback" on, not from the middle."""
    root = make_run("first", "failed")
    stack = [f'  File "x.py", line {i}, in f' for i in range(12)]
    text = ["2026-01-01 00:00:00 Traceback (most recent call last):", *stack, "ValueError: no"]
    with RunPaths(root).log.open("a") as log:
        log.write("\n".join(text) + "\n")
    codes = [code.value for code in visit().code]
    assert "\n".join(text) in codes


def test_a_traceback_before_further_log_lines_is_not_the_end():
    """An earlier attempt's traceback does not explain a later kill."""
    old = ["2026-01-01 00:00:00 Traceback (most recent call last):", "ValueError: no"]
    assert logs.final_traceback(old) == old
    assert logs.final_traceback([*old, "2026-01-01 00:00:09 lgbm fold 1 begins"]) == []


def test_the_trail_of_a_pause_shows_how_long_saving_took(make_run):
    """Requested, acknowledged, paused: each with its time and the seconds between."""
    make_run("first", "paused")
    trail = next(text.value for text in visit().caption if text.value.startswith("Pause requested"))
    assert trail.endswith("(0.5 s later)".replace("(", "\\(").replace(")", "\\)"))


@pytest.mark.parametrize("ahead_s", [864_000.0, -864_000.0])
def test_the_trail_of_a_pause_shows_no_duration_between_clocks_that_differ(make_run, ahead_s):
    """A trainer whose clock is ten days off: only what its own clock measured is shown."""
    reader = RunReader(make_run("first", "paused"))
    status, command = reader.status(), reader.command()
    changes = {"acknowledged_at": command.asked_at + ahead_s}
    changes["heartbeat_at"] = changes["acknowledged_at"] + 0.5
    trail = controls.command_trail(status.model_copy(update=changes), command)
    assert trail.count("later") == 1
    assert trail.endswith("(0.5 s later)")


def test_a_change_while_the_page_is_drawn_is_not_lost(make_run, monkeypatch):
    """A run pauses after its buttons were drawn and before the rest: the next tick notices it."""
    root = make_run("first", "running")
    noticed = []
    draw_buttons, follow = controls.run_buttons, live.follow

    def draw_and_pause(reader, run_file, derived):
        draw_buttons(reader, run_file, derived)
        assert derived.is_active
        change_status(root, state="paused")

    def follow_and_look(reader, show, seen):
        follow(reader, show, seen)
        noticed.append(live._has_changed(reader, derive_state(reader), seen))

    monkeypatch.setattr(controls, "run_buttons", draw_and_pause)
    monkeypatch.setattr(live, "follow", follow_and_look)
    app = visit()
    assert "Pause" in [button.label for button in app.button]
    assert noticed == [True]
