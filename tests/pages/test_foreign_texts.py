"""Names, titles and notes that are addresses or markup: no page makes more of them than text."""

from __future__ import annotations

import json
import re

import plotly.graph_objects as go
import pytest

from pages.ui.shared import frame, panels
from tests.support import hostile_texts, run_folders
from tests.support.pages import visit
from trainer.store.names import RunPaths

PAGES = ("train", "scores", "features", "predict", "data", "runs")
LINKED = re.compile(r"https?://|www\.|[\w.+-]@[\w-]", re.IGNORECASE)  # as GitHub's Markdown
MARKDOWN_FIELDS = ("label", "help", "body", "title", "text")


@pytest.fixture(scope="module")
def foreign_state(tmp_path_factory):
    """A state folder with one run whose every name is an address or markup."""
    folder = tmp_path_factory.mktemp("foreign")
    (folder / "state").mkdir()
    hostile_texts.make_run(folder, folder / "state")
    return folder / "state"


def markdown_texts(node):
    """Yield the texts of a drawn page that Streamlit reads as Markdown."""
    proto = getattr(node, "proto", None)
    fields = proto.DESCRIPTOR.fields_by_name if hasattr(proto, "DESCRIPTOR") else {}
    if node.type == "table":
        frame = node.value
        cells = [*frame.columns, *frame.index, *frame.to_numpy().ravel()]
        yield from (("table", "cell", str(cell)) for cell in cells)
    elif node.type not in ("code", "text_area", "arrow_data_frame", "plotly_chart"):
        for name in MARKDOWN_FIELDS:
            if name in fields and isinstance(value := getattr(proto, name), str):
                yield node.type, name, value
    for child in getattr(node, "children", {}).values():
        yield from markdown_texts(child)


@pytest.mark.parametrize("page", PAGES)
def test_no_text_of_a_page_becomes_a_link(foreign_state, monkeypatch, page):
    """Titles, ids, gestures and subjects, also in labels and help that show on demand."""
    monkeypatch.setenv("CKPT_DIR", str(foreign_state))
    app = visit(page, run="foreign")
    shown = [*markdown_texts(app.main), *markdown_texts(app.sidebar)]
    assert len(shown) > 10
    assert [found for found in shown if LINKED.search(found[2])] == []


@pytest.mark.parametrize("state", ["running", "failed"])
@pytest.mark.parametrize("page", ["train", "runs", "features"])
def test_no_record_of_a_run_becomes_a_link(make_run, page, state):
    """Messages, errors, hosts, versions and models in the records of a run that was copied in."""
    root = make_run("first", state)
    link = f"http://{hostile_texts.HOST}"
    for path in (RunPaths(root).status, RunPaths(root).config):
        path.write_text(json.dumps(_with_links(json.loads(path.read_text()), link)))
    names = RunPaths(root).importance.read_text()
    RunPaths(root).importance.write_text(re.sub(r"\b(acc|rot)\b", link, names))
    with RunPaths(root).metrics.open("a") as file:
        for event in ("problem", "start", "resume", "killed", "pause", "warning"):
            file.write(json.dumps(run_folders._event(event, 2e9, link, 0, {}, link, 2)) + "\n")
    app = visit(page, run="first")
    shown = [*markdown_texts(app.main), *markdown_texts(app.sidebar)]
    assert [found for found in shown if LINKED.search(found[2])] == []


def _with_links(record, link):
    free = (
        "message",
        "error",
        "host",
        "model",
        "stage",
        "platform",
        "processor",
        "text",
        "source",
        "preset",
    )
    return {
        key: {"lightgbm": link, link: link}
        if key == "versions"
        else _with_links(value, link)
        if isinstance(value, dict)
        else link
        if key in free and isinstance(value, str)
        else value
        for key, value in record.items()
    }


@pytest.mark.parametrize("view", ["Why", "What if", "Nearest"])
def test_no_explanation_becomes_a_link(foreign_state, monkeypatch, view):
    """Gestures, subjects and ids in the views of one prediction."""
    monkeypatch.setenv("CKPT_DIR", str(foreign_state))
    app = visit("predict", run="foreign")
    app.segmented_control(key="predict_view").set_value(view).run()
    assert not app.exception
    assert [found for found in markdown_texts(app.main) if LINKED.search(found[2])] == []


@pytest.mark.parametrize("text", hostile_texts.TEXTS)
def test_an_escaped_text_has_neither_link_nor_icon(text):
    """Without the backslashes and the invisible character it is the text itself."""
    escaped = frame.escape(text)
    assert not LINKED.search(escaped)
    assert not re.search(r":(material/|streamlit|smile)", escaped)
    assert re.sub(r"\\([^A-Za-z0-9\s])", r"\1", escaped).replace(frame.WORD_JOINER, "") == text


@pytest.mark.parametrize("text", ["9:30, 1:2:3", "a: b", "C:/x", "fold 1 (of 2)", "a.b@ c"])
def test_an_ordinary_text_gets_no_invisible_character(text):
    """It can be copied from the page as it is in the file."""
    assert frame.WORD_JOINER not in frame.escape(text)


def test_figures_keep_only_line_breaks_and_bold_type():
    """On axes, beside points, in what a pointer shows, in legends."""
    foreign = f"<a href='http://{hostile_texts.HOST}'>a</a>"
    bars = go.Bar(
        x=[1.0, 2.0],
        y=[foreign, "<b>b</b><br>c"],
        text=[foreign, foreign],
        customdata=[[foreign, 1], ["d", 2]],
        name=foreign,
        hovertemplate="%{y}<br>" + foreign + "<extra></extra>",
    )
    figure = go.Figure([bars]).update_yaxes(tickvals=[0], ticktext=[foreign])
    plain = json.dumps(panels.without_links(figure).to_dict())
    assert "<a" not in plain
    assert "</a" not in plain
    assert plain.count("&lt;a href") == 7
    assert "<b>b</b><br>c" in plain
    assert "<extra></extra>" in plain
