"""The command line: its help, its exit codes, what it prints and what it leaves behind."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time

import click
import polars as pl
import pytest
import typer

from tests.support.builders import GESTURES, make_demographics, make_table, with_value
from tests.support.tiny_runs import TINY
from trainer.__main__ import app, main
from trainer.run.control import PROJECT
from trainer.store.checksums import CheckedFolder
from trainer.store.durable import write_atomic
from trainer.store.locks import acquire
from trainer.store.process import own_identity
from trainer.store.reader import RunReader
from trainer.store.records import dump_record

NAMES = [name for name, _ in GESTURES]
FAMILY_NAMES = (
    *("CKPT_DIR", "RESUME", "USE_TORCH", "RESUME_TORCH", "MODEL_PATH", "ENSEMBLE_W_LGBM"),
    *("ENSEMBLE_W_TORCH", "FAIL_IF_TORCH_MISSING"),
)
# DESIGN.md section 3
COMMANDS = {
    "train": "--data --run --preset --models --folds --folds-file --allow-shared-subjects "
    "--rounds --epochs --seed --set --use --time-limit --stop-after-folds --paused-is-success "
    "--workers --engine --notify --state",
    "study": "NAME --seeds --grid --search --trials --data --preset --models --folds --folds-file "
    "--allow-shared-subjects --rounds --epochs --set --use --time-limit --paused-is-success "
    "--workers --engine --notify --state",
    "status": "RUN --json --state",
    "pause": "RUN --state",
    "resume": "RUN --time-limit --stop-after-folds --paused-is-success --workers --engine --notify "
    "--state",
    "predict": "RUN FILE --demographics --out --by-model --as-worn --state",
    "verify": "RUN --state",
    "export": "RUN FILE.zip --dataset-metadata --state",
    "import": "FILE_OR_FOLDER --state",
    "example": "--state",
    "serve": "RUN --data --state",
    "share": "RUN --to --state",
    "check": "FILE.py --json",
    "approve": "RUN --yes --state",
    "simulate": "DIR --subjects --seed --state",
}
FINISHED, FAILED, REFUSED, PAUSED = 0, 1, 2, 3


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    """No name of the notebook family is set, whatever the machine has; one width of terminal."""
    for name in FAMILY_NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "100")


@pytest.fixture
def cli(monkeypatch, capsys, tmp_path):
    """Run a command on a state folder of its own; return exit code, stdout, stderr."""

    def run(*words, state=tmp_path / "state"):
        words = [*map(str, words), *(("--state", str(state)) if state else ())]
        monkeypatch.setattr(sys, "argv", ["trainer", *words])
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main()
        captured = capsys.readouterr()
        return caught.value.code or 0, captured.out, captured.err

    return run


@pytest.fixture(scope="session")
def file(tmp_path_factory):
    """An unlabelled file with two sequences and all sensors."""
    path = tmp_path_factory.mktemp("upload") / "two.parquet"
    make_table(num_subjects=1, sequences_per_subject=2, labelled=False).write_parquet(path)
    return path


@pytest.fixture
def run_copy(tiny_run, tmp_path):
    """A copy of the finished run, named tiny, in the state folder."""
    return shutil.copytree(tiny_run, tmp_path / "state" / "tiny")


def train_words(source, *words):
    """Return a train command of a second or two: LightGBM alone, two folds."""
    settings = [word for setting in TINY for word in ("--set", setting)]
    return ("train", "--data", source, "--models", "lgbm", *settings, *words)


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


# Help


def test_the_commands_are_those_of_the_design():
    """All commands of DESIGN.md section 3 are there, with exactly its options."""
    group = typer.main.get_command(app)
    found = {name: set(_words(command)) for name, command in group.commands.items()}
    expected = {name: set(words.split()) for name, words in COMMANDS.items()}
    assert found == expected


def _words(command):
    for parameter in command.params:
        is_argument = isinstance(parameter, click.Argument) or not parameter.opts[0].startswith("-")
        yield parameter.metavar if is_argument else parameter.opts[0]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_every_option_has_a_help_text(name):
    """The command has a sentence, and each argument and option a help text."""
    command = typer.main.get_command(app).commands[name]
    assert command.help and command.help[0].isupper()
    for parameter in command.params:
        if parameter.name != "help":
            assert parameter.help, f"{name} {parameter.name} has no help"


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_the_whole_text(cli, name):
    """No part of a help text is lost on the terminal, such as [brackets]."""
    code, out, _ = cli(name, "--help", state=None)
    assert code == FINISHED
    shown = "".join(character for character in out if character not in " \n│")
    for parameter in typer.main.get_command(app).commands[name].params:
        if parameter.name != "help":
            assert parameter.help.replace(" ", "") in shown


def test_help_names_the_commands_and_exit_codes(cli):
    """The first page lists every command and the four exit codes."""
    code, out, _ = cli("--help", state=None)
    assert code == FINISHED
    assert all(f" {name} " in out for name in COMMANDS)
    assert "0 finished, 1 failed, 2 wrong usage or refused, 3 paused" in " ".join(out.split())


# Train, pause, resume


def test_a_run_is_trained_and_ends_with_its_score_and_top_features(cli, tiny_source, tmp_path):
    """Exit 0; first the plan, then the folds, last the score, its spread and the top features."""
    code, out, err = cli(*train_words(tiny_source, "--run", "first"))
    assert code == FINISHED, err
    lines = out.splitlines()
    assert lines[0] == f"Run first in {tmp_path / 'state'}: new"
    assert "48 sequences" in lines[1] and "sensors acc, rot, thm, tof" in lines[1]
    assert any("trains folds 0, 1, at most 6 rounds each" in line for line in lines)
    assert any(line.startswith("lgbm fold 1 done: score ") for line in lines)
    assert any("mean of folds" in line and "out of fold" in line for line in lines)
    assert any(line.startswith("lgbm ") and "+-" in line and "(2)" in line for line in lines)
    assert any(line.startswith("top features by gain: ") for line in lines)
    assert "python -m trainer predict first FILE.csv" in lines[-1]


def test_without_a_name_a_run_is_named_after_its_source(cli, tiny_source, tmp_path):
    """<source>-<n>, the next free n."""
    for n in (1, 2):
        assert cli(*train_words(tiny_source))[0] == FINISHED
        assert (tmp_path / "state" / f"tiny-{n}" / "lgbm_bundle.pkl").exists()


def test_a_paused_run_exits_3_and_resume_finishes_it(cli, tiny_source, tmp_path):
    """--stop-after-folds 1 pauses after one fold; resume does the other and exits 0."""
    code, out, _ = cli(*train_words(tiny_source, "--run", "first", "--stop-after-folds", 1))
    assert code == PAUSED
    assert "Paused. Continue with: python -m trainer resume first" in out
    assert not (tmp_path / "state" / "first" / "lgbm_bundle.pkl").exists()
    code, out, err = cli("resume", "first")
    assert code == FINISHED, err
    assert "reuses fold 0; trains fold 1" in out
    assert "lgbm fold 0 begins" not in out
    assert (tmp_path / "state" / "first" / "lgbm_bundle.pkl").exists()


def test_a_paused_run_exits_0_with_paused_is_success(cli, tiny_source):
    """--paused-is-success: exit 0 for a notebook cell."""
    words = train_words(tiny_source, "--run", "first", "--stop-after-folds", 1)
    assert cli(*words, "--paused-is-success")[0] == FINISHED
    code, _, _ = cli("resume", "first", "--time-limit", "0s", "--paused-is-success")
    assert code == FINISHED
    assert cli("resume", "first", "--time-limit", "0s")[0] == PAUSED


def test_pause_pauses_a_running_run_and_prints_the_acknowledgement(cli, tiny_source, tmp_path):
    """It waits until everything is saved; the trainer itself exits 3."""
    words = train_words(tiny_source, "--run", "first", "--rounds", "50000", "--set")
    words = (*words, "boosting.patience_rounds=50000")
    trainer = _start(*words, state=tmp_path / "state")
    try:
        _wait_for_rounds(RunReader(tmp_path / "state" / "first"), trainer)
        code, out, err = cli("pause", "first")
        assert trainer.wait(timeout=30) == PAUSED
    finally:
        trainer.kill()
        trainer.communicate()
    assert code == FINISHED, err
    lines = out.splitlines()
    assert lines[0] == "pause of first requested"
    assert lines[1].startswith("acknowledged after ") and lines[2].startswith("paused: ")


def _start(*words, state):
    command = [sys.executable, "-m", "trainer", *map(str, words), "--state", str(state)]
    return subprocess.Popen(
        command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def _wait_for_rounds(reader, trainer):
    deadline = time.monotonic() + 60
    while not any(event.event == "segment" for event in reader.events()):
        assert trainer.poll() is None, trainer.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("ahead_s", [864_000.0, -864_000.0])
def test_the_acknowledgement_is_timed_by_one_clock(cli, run_copy, ahead_s):
    """A trainer whose clock is ten days off: the command measures how long it waited itself."""
    reader, held = RunReader(run_copy), acquire(run_copy / "lock")
    own, now = own_identity(), time.time()
    running = reader.status().model_copy(
        update={
            "state": "running",
            "host": own.host,
            "boot_id": own.boot_id,
            "pid": own.pid,
            "process_started": own.started,
            "heartbeat_at": now,
            "progress_at": now,
            "next_heartbeat_at": now + 60.0,
        }
    )
    write_atomic(reader.paths.status, dump_record(running))

    def acknowledge():
        while (command := reader.command()) is None:
            time.sleep(0.01)
        changes = {"acknowledged_command": command.id, "acknowledged_at": now + ahead_s}
        for state in ("pausing", "paused"):
            changed = running.model_copy(update={**changes, "state": state})
            write_atomic(reader.paths.status, dump_record(changed))
            time.sleep(0.3)

    trainer = threading.Thread(target=acknowledge)
    trainer.start()
    code, out, err = cli("pause", "tiny")
    trainer.join()
    held.release()
    assert code == FINISHED, err
    waited_s = float(out.splitlines()[1].removeprefix("acknowledged after ").removesuffix(" s"))
    assert 0.0 <= waited_s < 100.0


def test_pausing_a_run_that_does_not_run_is_refused(cli, run_copy):
    """Exit 2; the message contains its state."""
    code, _, err = cli("pause", "tiny")
    assert code == REFUSED
    assert err.startswith("run tiny: not running but finished.")


def test_training_a_finished_run_again_changes_nothing(cli, run_copy, tiny_source):
    """The same options: everything is reused, exit 0, the models stay as they are."""
    before = (run_copy / "lgbm_bundle.pkl").read_bytes()
    code, out, err = cli("train", "--run", "tiny")
    assert code == FINISHED, err
    assert "reuses folds 0, 1" in out
    assert (run_copy / "lgbm_bundle.pkl").read_bytes() == before


def test_a_run_keeps_what_it_chose_by_its_recordings(cli, tiny_source, tmp_path):
    """The plan names it, config.json contains it, and the same command continues the run."""
    small = ("network.conv_channels=4,8", "network.recurrent_units=4", "network.imu_network=false")
    small = (*small, "network.epochs=1", "folds.count=2")
    settings = [word for setting in small for word in ("--set", setting)]
    words = ("train", "--data", tiny_source, "--run", "first", "--models", "torch", *settings)
    code, out, err = cli(*words)
    assert code == FINISHED, err
    chosen = "network.architecture time_series_net, network.members 1"
    chosen += ", network.statistics_members 3"
    assert f"  chosen      {chosen}: by the number of sequences" in out
    network = RunReader(tmp_path / "state" / "first").run_file().network
    assert (network.architecture, network.members) == ("time_series_net", 1)
    for same in ((), ("--preset", "full"), ("--set", "network.members=1")):
        code, out, err = cli(*words, *same)
        assert code == FINISHED, err
        assert "reuses folds 0, 1" in out and "chosen" not in out
    code, _, err = cli(*words, "--set", "network.members=2")
    assert code == REFUSED
    assert "network.members: 1 -> 2" in err


def test_an_existing_run_continues_with_its_own_recordings(cli, run_copy):
    """--preset without --data: the run's source counts, not the default one."""
    settings = [word for setting in TINY for word in ("--set", setting)]
    code, out, err = cli("train", "--run", "tiny", "--preset", "quick", *settings)
    assert code == FINISHED, err
    assert "tiny.parquet: 48 sequences" in out


@pytest.mark.parametrize(
    ("words", "difference"),
    [
        (("--seed", "7"), "seed: 42 -> 7"),
        (("--folds", "3"), "folds.count: 2 -> 3"),
        (("--models", "lgbm"), "models: lgbm,torch -> lgbm"),
        (("--set", "boosting.num_leaves=9"), "boosting.num_leaves: 15 -> 9"),
        (("--preset", "full"), "boosting.rounds: 6 -> 500"),
    ],
)
def test_other_options_on_an_existing_run_are_refused_with_the_difference(
    cli, run_copy, words, difference
):
    """Exit 2, each difference on a line, and three ways to continue."""
    code, _, err = cli("train", "--run", "tiny", *words)
    assert code == REFUSED
    assert "run tiny was made with other options:" in err
    assert f"\n  {difference}\n" in err
    assert "python -m trainer resume tiny" in err and "RESUME=0" in err


def test_other_recordings_on_an_existing_run_are_refused(cli, run_copy, tmp_path):
    """The content counts: another file of other content is named, exit 2."""
    other = tmp_path / "other.parquet"
    make_table(seed=5).write_parquet(other)
    code, _, err = cli("train", "--run", "tiny", "--data", other)
    assert code == REFUSED
    assert "run tiny was made from something else:\n  recordings" in err
    assert "other.parquet" in err


# Environment names


def test_ckpt_dir_is_the_state_folder(cli, monkeypatch, run_copy):
    """Without --state, CKPT_DIR names the folder of the runs."""
    monkeypatch.setenv("CKPT_DIR", str(run_copy.parent))
    code, out, _ = cli("status", state=None)
    assert code == FINISHED
    assert out.startswith("tiny ")


def test_resume_0_moves_the_old_run_aside_and_starts_over(cli, monkeypatch, tiny_source, tmp_path):
    """Nothing is deleted: the old run is <run>.old-1."""
    words = train_words(tiny_source, "--run", "first")
    assert cli(*words)[0] == FINISHED
    monkeypatch.setenv("RESUME", "0")
    code, out, _ = cli(*words)
    assert code == FINISHED
    assert out.startswith(f"RESUME=0: the old run is now {tmp_path / 'state' / 'first.old-1'}")
    assert (tmp_path / "state" / "first.old-1" / "lgbm_bundle.pkl").exists()
    assert "first in" in out and "new" in out


def test_resume_ignores_resume_0(cli, monkeypatch, run_copy):
    """The resume command never starts over."""
    monkeypatch.setenv("RESUME", "0")
    monkeypatch.setenv("RESUME_TORCH", "0")
    code, out, err = cli("resume", "tiny")
    assert code == FINISHED, err
    assert out.count("reuses folds 0, 1") == 2


def test_resume_torch_0_starts_the_networks_folds_over(cli, monkeypatch, run_copy):
    """LightGBM's folds are reused, the network's are trained again."""
    monkeypatch.setenv("RESUME_TORCH", "0")
    code, out, err = cli("train", "--run", "tiny")
    assert code == FINISHED, err
    assert "LightGBM    reuses folds 0, 1" in out
    assert "Network     trains folds 0, 1" in out


@pytest.mark.parametrize("name", ["tiny", "tiny/lgbm_bundle.pkl"])
def test_model_path_skips_training_and_predicts(cli, monkeypatch, run_copy, file, tmp_path, name):
    """train does nothing; predict uses that run or bundle, whatever RUN is."""
    monkeypatch.setenv("MODEL_PATH", str(run_copy.parent / name))
    elsewhere = tmp_path / "elsewhere"
    code, out, _ = cli("train", "--run", "first", state=elsewhere)
    assert code == FINISHED
    assert out.startswith("MODEL_PATH is set: nothing is trained")
    assert not elsewhere.exists()
    code, out, err = cli("predict", "first", file, state=elsewhere)
    assert code == FINISHED, err
    assert out.startswith("sequence_id,gesture,p_target,")


@pytest.mark.parametrize("command", [("train",), ("predict", "tiny", "x.csv")])
def test_a_missing_model_path_is_refused(cli, monkeypatch, run_copy, command):
    """Exit 2 instead of silently training nothing."""
    monkeypatch.setenv("MODEL_PATH", "/nowhere/lgbm_bundle.pkl")
    code, _, err = cli(*command)
    assert code == REFUSED
    assert "MODEL_PATH: expected a run folder or an lgbm_bundle.pkl" in err


def test_a_switch_that_cannot_be_read_is_refused(cli, monkeypatch, tiny_source):
    """USE_TORCH=maybe: exit 2, the name and what came."""
    monkeypatch.setenv("USE_TORCH", "maybe")
    code, _, err = cli("train", "--data", tiny_source)
    assert (code, err) == (REFUSED, "USE_TORCH: expected 0 or 1, got 'maybe'\n")


# Refusals


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--set", "boosting.learning_rat=1"), "the nearest are boosting.learning_rate"),
        (("--set", "seed"), "expected KEY=VALUE, got 'seed'"),
        (("--preset", "fast"), "preset: expected one of full, quick; got 'fast'"),
        (("--models", "forest"), "models: expected some of lgbm, torch; got 'forest'"),
        (("--folds", "1"), "folds.count: expected a whole number from 2 to 50; got 1"),
        (("--run", "My Run"), "run name: expected 1 to 64 of a-z 0-9 . _ -"),
        (("--run", "../out"), "run name: expected 1 to 64 of a-z 0-9 . _ -"),
        (("--time-limit", "soon"), "expected auto, none or a duration such as 90s"),
        (("--data", "/nowhere.csv"), "'/nowhere.csv' does not exist"),
        (("--data", "simulated:0"), "expected simulated:SUBJECTS"),
        (("--epochs", "many"), "Invalid value for '--epochs'"),
        (("--fast",), "No such option"),
    ],
)
def test_wrong_arguments_are_refused_with_exit_2_and_leave_nothing(cli, tmp_path, words, message):
    """Exit 2, a message that names the argument, no traceback, no run folder."""
    code, out, err = cli("train", *words)
    assert code == REFUSED
    assert message in " ".join(err.replace("│", " ").split())
    assert "Traceback" not in out + err
    assert not list((tmp_path / "state").glob("*"))


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: path.write_text("hello, this is no table\n1\n"), "Missing column"),
        (lambda path: path.write_text(""), "is empty"),
        (lambda path: make_table(labelled=False).write_csv(path), "Training needs labelled"),
        (
            lambda path: with_value(
                make_table(groups=("acc",)).cast({"acc_y": pl.String}), "acc_y", 2, "fast"
            ).write_csv(path),
            "Column 'acc_y'",
        ),
        (lambda path: make_table(num_subjects=3).write_csv(path), "5 folds need at least 5"),
    ],
)
def test_bad_recordings_are_refused_and_leave_no_run(cli, tmp_path, write, message):
    """Exit 2 with the data room's message; the state folder stays empty."""
    write(tmp_path / "bad.csv")
    code, _, err = cli("train", "--data", tmp_path / "bad.csv", "--run", "first")
    assert code == REFUSED
    assert message in err
    assert not (tmp_path / "state" / "first").exists()


@pytest.mark.parametrize(
    "words", [("status",), ("pause",), ("resume",), ("verify",), ("predict", "x.csv"), ("export",)]
)
def test_an_unknown_run_is_refused_with_a_list_of_the_existing_ones(cli, run_copy, words):
    """Exit 2, the name as typed, the state folder, and the existing runs."""
    rest = {"export": ["x.zip"]}.get(words[0], words[1:])
    code, _, err = cli(words[0], "tyni", *rest)
    assert code == REFUSED
    assert err == f"tyni: no run of that name in {run_copy.parent}. Existing runs: tiny\n"


def test_an_error_during_the_work_exits_1_with_its_message(cli, run_copy):
    """A run without folds.parquet cannot continue: exit 1, a message, and the state failed."""
    for name in ("folds.parquet", "folds.parquet.prev"):
        (run_copy / name).unlink(missing_ok=True)
    code, out, err = cli("resume", "tiny")
    assert code == FAILED
    assert "folds.parquet" in err and "Traceback" not in out + err
    assert RunReader(run_copy).status().state == "failed"


# Status


def test_status_without_runs_prints_how_to_start_one(cli, tmp_path):
    """An empty or missing state folder is no error."""
    code, out, _ = cli("status")
    assert code == FINISHED
    assert out == f"No run in {tmp_path / 'state'}. Start one: python -m trainer train\n"


def test_status_shows_a_run_with_its_evidence(cli, run_copy):
    """State, folds with their scores, and the score table."""
    code, out, _ = cli("status", "tiny")
    assert code == FINISHED
    assert out.startswith("tiny ") and "finished" in out.splitlines()[0]
    for unit in ("lgbm fold 0", "lgbm fold 1", "torch fold 0", "torch fold 1"):
        assert f"  {unit}: done score 0." in out or f"  {unit}: done score 1." in out
    assert "blend" in out and "half and half" in out


def test_status_as_json_is_for_programs(cli, run_copy):
    """A list of runs; state, units and scores as the files have them."""
    code, out, err = cli("status", "--json")
    assert (code, err) == (FINISHED, "")
    (run,) = json.loads(out)
    assert (run["run"], run["state"], run["status"]["stage"]) == ("tiny", "finished", "done")
    assert run["status"]["schema"] == 1
    assert [(unit["model"], unit["fold"], unit["done"]) for unit in run["units"]] == [
        *(("lgbm", 0, True), ("lgbm", 1, True), ("torch", 0, True), ("torch", 1, True)),
    ]
    assert set(run["scores"]["models"]) == {"lgbm", "torch", "blend"}


def test_status_as_json_of_no_run_is_an_empty_list(cli):
    """Programs always get JSON."""
    assert cli("status", "--json")[:2] == (FINISHED, "[]\n")


def test_status_of_a_damaged_run_does_not_hide_the_others(cli, run_copy):
    """One run with a broken configuration: it is named, the other is shown, as text and JSON."""
    shutil.copytree(run_copy, run_copy.with_name("broken"))
    (run_copy.with_name("broken") / "config.json").write_text("{")
    (run_copy.with_name("broken") / "config.json.prev").unlink(missing_ok=True)
    code, out, _ = cli("status")
    assert (code, len(out.splitlines())) == (FINISHED, 2)
    code, out, _ = cli("status", "--json")
    runs = {run["run"]: run for run in json.loads(out)}
    assert code == FINISHED
    assert runs["tiny"]["problem"] is None and len(runs["tiny"]["units"]) == 4
    assert "broken/config.json: expected a RunFile record" in runs["broken"]["problem"]


# Predict


def test_predict_prints_a_row_per_sequence(cli, run_copy, file):
    """CSV on stdout, the notes on stderr, so that it can be piped."""
    code, out, err = cli("predict", "tiny", file)
    assert code == FINISHED, err
    frame = pl.read_csv(out.encode())
    assert frame.columns == ["sequence_id", "gesture", "p_target", *NAMES]
    assert frame["sequence_id"].to_list() == ["SEQ_000000", "SEQ_000001"]
    assert set(frame["gesture"]) <= set(NAMES)
    assert err.startswith("predicted by: LightGBM 0.40, the network 0.60")


def test_predict_warns_of_models_trained_on_simulated_recordings(cli, run_copy, file):
    """A line on stderr; the table is the same, and a damaged configuration is no obstacle."""
    _, out, err = cli("predict", "tiny", file)
    assert "simulated" not in err
    run_file = RunReader(run_copy).run_file()
    made = run_file.data.model_copy(update={"source": "simulated:4"})
    record = dump_record(run_file.model_copy(update={"data": made}))
    CheckedFolder(run_copy).write("config.json", record)
    code, same, err = cli("predict", "tiny", file)
    assert (code, same) == (FINISHED, out)
    assert "warning: the models were trained on simulated recordings" in err
    for path in run_copy.glob("config.json*"):
        path.write_bytes(b"{}")
    code, same, err = cli("predict", run_copy, file)
    assert (code, same) == (FINISHED, out)
    assert "simulated" not in err


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("by_model", [False, True])
def test_predict_writes_the_columns_of_the_design(cli, run_copy, file, tmp_path, suffix, by_model):
    """sequence_id, gesture, p_target, the gestures as float64; by model with a prefix."""
    out_path = tmp_path / f"predictions{suffix}"
    words = ["predict", "tiny", file, "--out", out_path, *(["--by-model"] if by_model else [])]
    code, out, err = cli(*words)
    assert code == FINISHED, err
    assert out == f"{out_path}: 2 sequences\n"
    frame = pl.read_csv(out_path) if suffix == ".csv" else pl.read_parquet(out_path)
    more = [f"{model}:{name}" for model in ("lgbm", "torch") for name in NAMES]
    assert frame.columns == ["sequence_id", "gesture", "p_target", *NAMES, *(more * by_model)]
    assert frame.dtypes == [pl.String, pl.String, *[pl.Float64] * (len(frame.columns) - 2)]
    assert frame.select(NAMES).sum_horizontal().to_list() == pytest.approx([1.0, 1.0])


def test_csv_and_parquet_contain_the_same_numbers(cli, run_copy, file, tmp_path):
    """A CSV keeps every digit of a float64."""
    for name in ("a.csv", "a.parquet"):
        assert cli("predict", "tiny", file, "--out", tmp_path / name)[0] == FINISHED
    assert pl.read_csv(tmp_path / "a.csv").equals(pl.read_parquet(tmp_path / "a.parquet"))


def test_predict_writes_no_formulas_into_csv(cli, run_copy, file, tmp_path):
    """On the terminal and in a file; Parquet has the id as it is."""
    table = pl.read_parquet(file)
    first = pl.col("sequence_id") == table["sequence_id"][0]
    ids = pl.when(first).then(pl.lit("=cmd|' /C calc'!A0")).otherwise("sequence_id")
    table.with_columns(ids.alias("sequence_id")).write_parquet(tmp_path / "formula.parquet")
    _, out, _ = cli("predict", "tiny", tmp_path / "formula.parquet")
    assert pl.read_csv(out.encode())["sequence_id"][0] == "'=cmd|' /C calc'!A0"
    for name, expected in (("p.csv", "'=cmd|' /C calc'!A0"), ("p.parquet", "=cmd|' /C calc'!A0")):
        cli("predict", "tiny", tmp_path / "formula.parquet", "--out", tmp_path / name)
        read = pl.read_csv if name.endswith("csv") else pl.read_parquet
        assert read(tmp_path / name)["sequence_id"][0] == expected


def test_predict_reads_demographics(cli, run_copy, file, tmp_path):
    """A left-hander's probabilities differ from those of a right-hander."""
    tables = []
    for name, left in (("left", ["SUBJ_000000"]), ("right", [])):
        people = tmp_path / f"{name}.csv"
        make_demographics(pl.read_parquet(file), left).write_csv(people)
        tables.append(cli("predict", "tiny", file, "--demographics", people)[1])
    assert tables[0] != tables[1]


def test_predict_takes_the_path_of_a_run(cli, tiny_run, file):
    """RUN may be a folder anywhere."""
    assert cli("predict", tiny_run, file)[0] == FINISHED


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("table.xlsx", "--out: expected a name ending in .csv or .parquet, got 'table.xlsx'"),
        ("nowhere/table.csv", "nowhere/table.csv cannot be written"),
        ("nowhere/table.parquet", "nowhere/table.parquet cannot be written"),
    ],
)
def test_an_output_that_cannot_be_written_is_refused(cli, run_copy, file, tmp_path, out, message):
    """Exit 2 with the name, no traceback."""
    code, _, err = cli("predict", "tiny", file, "--out", tmp_path / out)
    assert code == REFUSED
    assert message in err


def test_a_file_that_cannot_be_read_is_refused(cli, run_copy, tmp_path):
    """Missing, or no table: exit 2 and the file's name."""
    (tmp_path / "notes.csv").write_text("dear diary\n")
    for name, message in (("gone.csv", "cannot be read"), ("notes.csv", "Missing column")):
        code, _, err = cli("predict", "tiny", tmp_path / name)
        assert code == REFUSED
        assert message in err


def test_a_run_that_is_not_finished_cannot_predict(cli, tiny_source, file):
    """Exit 2: no bundle yet, and what to do."""
    cli(*train_words(tiny_source, "--run", "first", "--stop-after-folds", 1))
    code, _, err = cli("predict", "first", file)
    assert code == REFUSED
    assert "no model is finished. Train or resume the run" in err


# Verify, export, import


def test_a_whole_run_verifies(cli, run_copy):
    """Exit 0, a line per file, none bad."""
    code, out, err = cli("verify", "tiny")
    assert code == FINISHED, out + err
    assert out.splitlines()[-1].endswith(" files, 0 bad")
    for name in ("config.json", "torch_models/fold01.pt", "lgbm_bundle.pkl", "oof.parquet"):
        assert f"ok  {name}: " in out


@pytest.mark.parametrize(
    "name",
    [
        *("config.json", "folds.parquet", "train_features.joblib", "oof.parquet", "scores.json"),
        *("feature_importance.csv", "lgbm_fold00.pkl", "torch_models/fold00.pt"),
        *("lgbm_bundle.pkl", "torch_bundle.pkl"),
    ],
)
def test_verify_finds_a_flipped_bit_and_a_lost_file(cli, run_copy, name):
    """Exit 1; the line of that file, and of no other, is BAD."""
    flip(run_copy / name)
    for _ in ("flipped", "lost"):
        code, out, err = cli("verify", "tiny")
        assert code == FAILED, err
        bad = [line for line in out.splitlines() if line.startswith("BAD")]
        assert bad and all(name in line for line in bad)
        (run_copy / name).unlink(missing_ok=True)


@pytest.mark.parametrize(
    ("model", "name"),
    [("lgbm", "lgbm_fold00_last.pkl"), ("torch", "torch_models/fold00_last.pth")],
)
def test_verify_finds_a_flipped_bit_and_a_lost_checkpoint_of_a_paused_run(
    cli, tiny_source, tmp_path, model, name
):
    """A run that is not finished names its checkpoints."""
    words = train_words(tiny_source, "--run", "first", "--stop-after-folds", 1)
    assert cli(*words, "--models", model)[0] == PAUSED
    assert cli("verify", "first")[0] == FINISHED
    path = tmp_path / "state" / "first" / name
    flip(path)
    for _ in ("flipped", "lost"):
        code, out, err = cli("verify", "first")
        assert code == FAILED, err
        bad = [line for line in out.splitlines() if line.startswith("BAD")]
        assert bad and all(name in line for line in bad)
        path.unlink(missing_ok=True)


@pytest.mark.parametrize("name", ["checksums.json", "lgbm_state.json", "torch_state.json"])
def test_verify_finds_records_that_are_damaged_or_missing(cli, run_copy, name):
    """A file with the checksums of others must exist."""
    (run_copy / name).write_text("{")
    for _ in ("damaged", "lost"):
        code, out, _ = cli("verify", "tiny")
        assert code == FAILED, out
        assert f"BAD {name}: " in out
        (run_copy / name).unlink(missing_ok=True)


def test_resume_repairs_the_files_that_verify_found(cli, run_copy, file):
    """A damaged bundle and view are made again from the fold files."""
    before = (run_copy / "lgbm_bundle.pkl").read_bytes()
    flip(run_copy / "lgbm_bundle.pkl")
    flip(run_copy / "oof.parquet")
    assert cli("predict", "tiny", file)[0] == REFUSED
    assert cli("resume", "tiny")[0] == FINISHED
    assert cli("verify", "tiny")[0] == FINISHED
    assert (run_copy / "lgbm_bundle.pkl").read_bytes() == before


def test_a_run_travels_as_a_zip(cli, run_copy, file, tmp_path):
    """Exported and imported elsewhere: it verifies and predicts the same."""
    code, out, _ = cli("export", "tiny", tmp_path / "tiny.zip")
    assert code == FINISHED and "tiny.zip" in out
    there = tmp_path / "there"
    code, out, err = cli("import", tmp_path / "tiny.zip", state=there)
    assert code == FINISHED, err
    assert "python -m trainer resume tiny" in out
    assert cli("verify", "tiny", state=there)[0] == FINISHED
    assert cli("predict", "tiny", file, state=there)[1] == cli("predict", "tiny", file)[1]


def test_importing_a_file_without_a_run_or_an_existing_run_is_refused(cli, run_copy, tmp_path):
    """Exit 2 with the reason."""
    (tmp_path / "x.zip").write_text("no zip")
    for source, message in (
        (tmp_path / "gone.zip", "missing"),
        (tmp_path / "x.zip", "expected a zip written by export"),
        (run_copy, "run tiny: it already exists"),
    ):
        code, _, err = cli("import", source)
        assert code == REFUSED
        assert message in err


def test_the_command_line_is_a_module(tmp_path):
    """python -m trainer: exit code and output of the real process."""
    environment = {k: v for k, v in os.environ.items() if k not in FAMILY_NAMES}
    done = subprocess.run(
        [sys.executable, "-m", "trainer", "status", "nothing", "--state", str(tmp_path)],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (REFUSED, "")
    assert done.stderr == f"nothing: no run of that name in {tmp_path}. Existing runs: none\n"
