"""Pages where a library is missing: of a model, here or when a run was made; of Streamlit."""

import json

import pytest

from tests.support.environments import make_environment, run_code
from tests.support.pages import texts, visit
from trainer.models import registry

ERROR = "torch: ModuleNotFoundError: No module named 'torch'"
LEFT_OUT = (
    "he network is not part of this run: when it was made, its library could not be imported "
    f"({ERROR})"
)


def leave_out(root, model, error):
    """Write into a run's configuration that it was made without a model."""
    path = root / "config.json"
    values = json.loads(path.read_bytes())
    values["models"] = [name for name in values["models"] if name != model]
    values["left_out"] = {model: error}
    path.write_text(json.dumps(values))


@pytest.fixture
def no_torch(monkeypatch):
    """The network's library is not installed."""
    monkeypatch.setattr(type(registry.get("torch")), "libraries", ("torch_not_there",))


def test_the_train_page_shows_which_model_a_run_was_made_without(make_run):
    leave_out(make_run("r1", state="finished"), "torch", ERROR)
    assert f"T{LEFT_OUT}" in texts(visit("train", "r1"))


def test_the_features_page_shows_why_there_is_no_importance(make_run):
    leave_out(make_run("r1", state="paused"), "lgbm", "lightgbm: OSError: libgomp.so.1 is missing")
    shown = texts(visit("features", "r1"))
    assert "This run has no feature importance" in shown
    assert "LightGBM is not part of this run: when it was made" in shown
    assert "(lightgbm: OSError: libgomp.so.1 is missing)" in shown


def test_the_start_form_offers_no_model_whose_library_is_missing(no_torch, state_dir):
    """The run can be started; the trainer leaves the network out and records why."""
    app = visit()
    assert app.pills[0].options == ["LightGBM"]
    shown = texts(app)
    assert "Network cannot be trained here: the library torch_not_there is not installed." in shown
    assert "Trains 5 folds of LightGBM (100 rounds) on " in shown
    start = app.button(key="start")
    assert not start.disabled


def test_the_start_form_refuses_where_every_model_is_required(no_torch, state_dir, monkeypatch):
    monkeypatch.setenv("FAIL_IF_TORCH_MISSING", "1")
    app = visit()
    assert "Models: the library torch_not_there is not installed. Install it first." in texts(app)
    assert app.button(key="start").disabled


def test_a_dashboard_without_pandas_says_what_to_install(tmp_path):
    """In a real environment without it, where each table would be a traceback."""
    code = """
        from streamlit.testing.v1 import AppTest

        app = AppTest.from_file("dashboard.py", default_timeout=60).run()
        print(len(app.exception), *(error.value for error in app.error))
        """
    for name in ("pandas", "pyarrow"):
        python = make_environment(tmp_path / name, without=(name,))
        shown = run_code(python, code, CKPT_DIR=str(tmp_path))
        assert shown.startswith(f"0 The pages cannot be shown: the library {name} is not installed")
        assert "pip install -r requirements.txt" in shown
