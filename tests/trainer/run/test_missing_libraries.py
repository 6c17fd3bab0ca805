"""The command line where a model's library is not installed or cannot be imported."""

import json
import shutil

import pytest

from tests.support.environments import NO_LIBGOMP, make_environment, run_commands
from tests.support.tiny_runs import TINY
from trainer.config import make_config
from trainer.models import libraries, registry
from trainer.models.libraries import ModelError
from trainer.run import LibraryError, RefusedError, control
from trainer.run.frozen_config import choose_models, demand_libraries
from trainer.store.reader import RunReader

REQUIRED = {"FAIL_IF_TORCH_MISSING": "1"}
NOT_FOUND = "ModuleNotFoundError: No module named"
# what is not installed, what is broken, the model that is left out, its error, the other model
CASES = {
    "no torch": (["torch"], [], "torch", f"torch: {NOT_FOUND} 'torch'", "lgbm"),
    "no lightgbm": (["lightgbm"], [], "lgbm", f"lightgbm: {NOT_FOUND} 'lightgbm'", "torch"),
    "broken lightgbm": (
        ["lightgbm"],
        ["lightgbm"],
        "lgbm",
        f"lightgbm: OSError: {NO_LIBGOMP}",
        "torch",
    ),
}


@pytest.fixture(scope="module", params=CASES)
def case(request, tmp_path_factory, tiny_run, tiny_source):
    """Return the outputs of one process in such an environment, by a name for each command."""
    without, broken, missing, error, other = CASES[request.param]
    folder = tmp_path_factory.mktemp("environment")
    python = make_environment(folder / "venv", without, broken)
    state, whole_run = folder / "state", folder / "whole"
    shutil.copytree(tiny_run, whole_run)

    def train(name, *more):
        sets = [word for setting in TINY for word in ("--set", setting)]
        words = ["train", "--run", name, "--data", str(tiny_source), "--preset", "quick", *sets]
        return [*words, *more, "--state", str(state)]

    out = ["--out", str(folder / "out.csv")]
    whole = ["predict", str(whole_run), str(tiny_source), *out]
    own = ["predict", "alone", str(tiny_source), *out, "--state", str(state)]
    name = {"lgbm": "ENSEMBLE_W_LGBM", "torch": "ENSEMBLE_W_TORCH"}[other]
    commands = {
        "required": (train("required"), REQUIRED),
        "only": train("only", "--models", missing),
        "weight 0": (train("weightless"), {name: "0"}),
        "new": train("alone", "--stop-after-folds", "1"),
        "again": train("alone"),
        "status": ["status", "alone", "--state", str(state)],
        "predict": own,
        "predict a whole run": whole,
        "predict a whole run, required": (whole, REQUIRED),
        "resume a whole run": ["resume", str(whole_run)],
        "verify": ["verify", str(whole_run)],
        "export": ["export", str(whole_run), str(folder / "whole.zip")],
        "import": ["import", str(folder / "whole.zip"), "--state", str(folder / "second")],
    }
    ended = dict(zip(commands, run_commands(python, *commands.values()), strict=True))
    return {"ended": ended, "state": state, "missing": missing, "error": error, "other": other}


def test_a_new_run_is_made_of_the_other_model(case):
    """The plan has the library and its error; the models are frozen in config.json."""
    code, output = case["ended"]["new"]
    assert code == 3, output
    phrase = registry.get(case["missing"]).phrase
    assert f"  left out    {phrase} is not part of this run: when it was made, its" in output
    assert f"could not be imported ({case['error']})" in output
    run = RunReader(case["state"] / "alone")
    assert run.run_file().models == (case["other"],)
    assert run.run_file().left_out == {case["missing"]: case["error"]}
    assert case["error"] in run.paths.log.read_text()


def test_the_same_command_continues_it(case):
    """The preset lists both models; those that were left out are no difference."""
    code, output = case["ended"]["again"]
    assert (code, output.splitlines()[-1][:8]) == (0, "Finished")
    assert case["error"] in output
    assert case["error"] in case["ended"]["status"][1]


def test_its_predictions_have_a_note(case):
    code, output = case["ended"]["predict"]
    assert code == 0, output
    assert f"could not be imported ({case['error']})" in output
    assert f"predicted by: {registry.get(case['other']).phrase} 1.00" in output


def test_the_run_stays_as_it_is_where_the_library_can_be_imported(case):
    """Continued in a complete environment: no model is added, and the reason is still shown."""
    root = case["state"] / "alone"
    before = (root / "config.json").read_bytes()
    config = RunReader(root).run_file().settings()
    demand_libraries("alone", config)
    assert choose_models(config) == (config, {})
    assert json.loads(before)["models"] == [case["other"]]


def test_it_is_refused_where_every_model_is_required(case):
    """Exit code 2 before anything is written; the message has the error and both ways on."""
    code, output = case["ended"]["required"]
    assert code == 2
    phrase = registry.get(case["missing"]).phrase
    assert output.strip() == (
        f"the library of {phrase} cannot be imported ({case['error']}). Install or repair it (pip "
        "install -r requirements.txt), or set FAIL_IF_TORCH_MISSING=0 "
        "(blend.fail_if_torch_missing) to train without it"
    )
    assert [path.name for path in case["state"].iterdir()] == ["alone"]


def test_a_run_without_any_model_that_works_is_refused(case):
    code, output = case["ended"]["only"]
    assert (code, output[:25]) == (2, "no model can be trained: ")
    assert case["error"] in output


def test_a_run_whose_other_model_has_no_weight_is_refused(case):
    code, output = case["ended"]["weight 0"]
    assert code == 2
    assert f"without it: blend: expected a weight above 0; got blend.{case['other']}" in output


def test_a_run_of_both_models_predicts_with_one(case):
    """Its bundles are whole; the note has the error. Where every model is required: refused."""
    code, output = case["ended"]["predict a whole run"]
    assert code == 0, output
    assert f"cannot be imported ({case['error']}): not used" in output
    assert f"predicted by: {registry.get(case['other']).phrase} 1.00" in output
    code, output = case["ended"]["predict a whole run, required"]
    assert (code, case["error"] in output) == (2, True)
    assert "or set FAIL_IF_TORCH_MISSING=0 to predict without" in output


def test_a_run_of_both_models_is_not_resumed(case):
    """Its result would be another one."""
    code, output = case["ended"]["resume a whole run"]
    assert code == 2
    assert "cannot be continued without one of its models" in output
    assert case["error"] in output


@pytest.mark.parametrize("command", ["verify", "export", "import"])
def test_files_are_moved_and_verified_without_the_library(case, command):
    code, output = case["ended"][command]
    assert code == 0, output
    assert "BAD" not in output


def test_the_command_line_works_without_pandas_and_pyarrow(tmp_path, tiny_source):
    """And without Streamlit and plotly, as on a server."""
    without = ("pandas", "pyarrow", "streamlit", "plotly")
    python = make_environment(tmp_path / "venv", without)
    state = ["--state", str(tmp_path / "state")]
    sets = [word for setting in TINY for word in ("--set", setting)]
    ended = run_commands(
        python,
        ["train", "--run", "a", "--data", str(tiny_source), "--preset", "quick", *sets, *state],
        ["predict", "a", str(tiny_source), "--out", str(tmp_path / "out.parquet"), *state],
        ["verify", "a", *state],
        ["export", "a", str(tmp_path / "a.zip"), *state],
        ["import", str(tmp_path / "a.zip"), "--state", str(tmp_path / "second")],
    )
    assert [code for code, _ in ended] == [0] * 5, ended


# In this process


@pytest.fixture
def no_torch(monkeypatch):
    """Imports of torch fail in this process, which has loaded it."""
    monkeypatch.setattr(type(registry.get("torch")), "libraries", ("torch_that_is_not_there",))


def test_a_worker_without_the_library_ends_in_words(no_torch):
    """As on a machine of a Dask cluster where torch is not installed."""
    expected = r"the library of the network cannot be imported \(torch_that_is_not_there: Module"
    with pytest.raises(ModelError, match=expected):
        registry.get("torch").import_libraries()


def test_the_dashboard_does_not_resume_a_run_without_the_library(no_torch, make_run):
    root = make_run("r1", state="paused")
    with pytest.raises(RefusedError, match="the network is part of it, and the library torch_that"):
        control.resume(root)


def test_a_requirement_is_checked_only_where_a_model_is_missing():
    config = make_config(environment=REQUIRED)
    assert choose_models(config) == (config, {})


def test_a_library_that_fails_half_way_keeps_its_first_error(tmp_path, monkeypatch):
    """A second import of a half-loaded library raises another, misleading error."""
    package = tmp_path / "half_loaded"
    package.mkdir()
    (package / "__init__.py").write_text(
        "import builtins\n"
        "first = not hasattr(builtins, 'half_loaded_seen')\n"
        "builtins.half_loaded_seen = True\n"
        "raise OSError('libcudart.so.12 is missing') if first else RuntimeError('docstring')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    found = [libraries.import_problem(("json", "half_loaded")) for _ in range(2)]
    assert found == ["half_loaded: OSError: libcudart.so.12 is missing"] * 2
    assert libraries.not_installed(("half_loaded",)) == ""
    assert (
        libraries.not_installed(("json", "not_there")) == "the library not_there is not installed"
    )


def test_a_refused_library_is_a_refusal():
    assert issubclass(LibraryError, RefusedError)
