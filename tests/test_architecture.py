"""The rooms of DESIGN.md section 2: who imports whom, and what opening the dashboard costs."""

from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

from tests.support.fresh_python import modules_after
from trainer.run.control import PROJECT

HEAVY = ("torch", "lightgbm", "sklearn", "joblib")

OPEN_DASHBOARD = """
from streamlit.testing.v1 import AppTest
page = AppTest.from_file("dashboard.py", default_timeout=30).run()
assert not page.exception, page.exception
"""


def test_every_import_follows_the_rooms(capsys, monkeypatch):
    """.importlinter holds: rooms to the left, store apart, no Streamlit in the trainer, pages."""
    monkeypatch.chdir(PROJECT)
    status = lint_imports(no_cache=True)
    assert status == EXIT_STATUS_SUCCESS, capsys.readouterr().out


def test_what_only_looks_at_a_run_loads_no_model_library():
    """torch, LightGBM, scikit-learn and joblib are imported where they are used."""
    rooms = ("cli.commands", "__main__", "config", "blend", "store.reader", "store.run_state")
    assert modules_after(f"import {', '.join(f'trainer.{room}' for room in rooms)}", HEAVY) == []
    assert modules_after("import trainer.run.control, trainer.run.transfer.archive", HEAVY) == []


def test_opening_the_dashboard_loads_no_model_library(tmp_path):
    """The first page, with no run yet, is there without torch or LightGBM."""
    assert modules_after(OPEN_DASHBOARD, HEAVY, CKPT_DIR=str(tmp_path)) == []


def test_opening_the_dashboard_on_a_finished_run_loads_no_model_library(tiny_run):
    """Nor does looking at a finished run need them."""
    assert modules_after(OPEN_DASHBOARD, HEAVY, CKPT_DIR=str(tiny_run.parent)) == []


def test_status_answers_without_a_model_library_or_data_frames(tiny_run):
    """`status --json` is for programs that call it often."""
    words = ["trainer", "status", "--json", "--state", str(tiny_run.parent)]
    code = f"""
import sys
sys.argv = {words!r}
from trainer.__main__ import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print()
"""
    assert (
        modules_after(
            code, (*HEAVY, "polars", "trainer.predict.predictor", "trainer.kaggle.gateway")
        )
        == []
    )
