"""Frame: what all pages have in common: options, run picker, header, empty states.

In: the arguments after ``--`` on the command line, ``CKPT_DIR``, ``DASHBOARD_READ_ONLY``, the query
parameters ``run`` and ``compare``.
Out: the state folder, the selected run, and the page's header.
"""

from __future__ import annotations

import argparse
import functools
import os
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from pages.ui.shared import readers, words
from trainer import __version__
from trainer.run import RefusedError
from trainer.store.durable import StoreError
from trainer.store.names import RUN_NAME
from trainer.store.reader import RunReader, list_runs

PRODUCT = "Gesture trainer"
ICON = Path(__file__).with_name("icon.svg")  # a named icon would be fetched from the network
ENTRY = "dashboard.py"
DEFAULT_STATE = Path("state")  # the command line's default too
READ_ONLY = "DASHBOARD_READ_ONLY"  # environment variable: 1 has the effect of --read-only
SWITCH = {"1": True, "true": True, "yes": True, "on": True, "": False} | dict.fromkeys(
    ("0", "false", "no", "off"), False
)
COMPARE = "compare"  # query parameter and state of the Runs page: the runs to compare
NEWEST = "newest"  # the picker's first entry: always the run that was active last

WORD_JOINER = "\u2060"
_LINKED = re.compile(  # after this, Markdown would go on with a link, an icon or an emoji
    r":(?=//)|www(?=\.)|@(?=[\w-])|:(?=material/|streamlit:|[A-Za-z][\w+-]*:)|(?<=mailto):",
    re.IGNORECASE,
)

_READY = "frame_is_ready"  # dashboard.py ran in this session
_WANTED = "frame_wanted_page"  # a deep link that came before dashboard.py
_OPENED = "frame_opened_run"  # a run that was just started and has no files yet


@dataclass(frozen=True)
class PageEntry:
    """One page: its file, its title in the navigation, its icon."""

    file: str
    title: str
    icon: str


PAGES = (
    PageEntry("pages/train.py", "Train", ":material/play_circle:"),
    PageEntry("pages/scores.py", "Scores", ":material/monitoring:"),
    PageEntry("pages/features.py", "Features", ":material/bar_chart:"),
    PageEntry("pages/predict.py", "Predict", ":material/gesture:"),
    PageEntry("pages/data.py", "Data", ":material/dataset:"),
    PageEntry("pages/runs.py", "Runs", ":material/folder_open:"),
)


@dataclass(frozen=True)
class Options:
    """The options that the dashboard was started with.

    Attributes:
        state: The state folder.
        read_only: Whether every control that writes is hidden.
    """

    state: Path
    read_only: bool


class OptionsError(ValueError):
    """An argument after ``--`` or an environment value that is not known; names the known ones."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Raise instead of ending the server."""
        raise OptionsError(f"{message}; {self.format_usage().strip()}")


def parse_options(arguments: list[str]) -> Options:
    """Read the arguments after ``streamlit run dashboard.py --``.

    Raises:
        OptionsError: An unknown option, a missing value, or an environment value that is no switch.
    """
    parser = _Parser(prog="streamlit run dashboard.py --", allow_abbrev=False, add_help=False)
    default = Path(os.environ.get("CKPT_DIR") or DEFAULT_STATE)
    parser.add_argument("--state", type=Path, default=default, metavar="DIR")
    parser.add_argument("--read-only", action="store_true")
    values = parser.parse_args(arguments)
    switch = os.environ.get(READ_ONLY, "")
    if switch.lower() not in SWITCH:
        raise OptionsError(f"environment {READ_ONLY}: expected 1 or 0, got {switch!r}")
    is_read_only = values.read_only or SWITCH[switch.lower()]
    return Options(values.state.expanduser().resolve(), is_read_only)


def options() -> Options:
    """Return the options of the dashboard; other programs can set only ``CKPT_DIR``."""
    started_by_streamlit = Path(sys.argv[0]).name == ENTRY
    arguments = tuple(sys.argv[1:]) if started_by_streamlit else ()
    names = ("CKPT_DIR", READ_ONLY, "HOME")
    return _parsed(arguments, tuple(os.environ.get(name) for name in names), Path.cwd())


@functools.lru_cache(maxsize=4)
def _parsed(arguments: tuple[str, ...], *_surroundings: object) -> Options:
    """Read the options once: a page needs them for every run."""
    return parse_options(list(arguments))


def state_dir() -> Path:
    """Return the state folder that the dashboard shows."""
    return options().state


def is_read_only() -> bool:
    """Return whether the dashboard may not write."""
    return options().read_only


def refuse_read_only() -> None:
    """Refuse to write on a read-only dashboard; an older open page may still have the button.

    Raises:
        RefusedError: It is read-only.
    """
    if is_read_only():
        raise RefusedError("This dashboard is read-only: nothing was changed")


def navigate() -> StreamlitPage:
    """Build the navigation; a deep link that was opened first gets its page now."""
    try:
        options()
    except OptionsError as error:
        st.error("The dashboard was started with an unknown option.")
        st.code(str(error), language=None, wrap_lines=True)
        st.stop()
    entries = [
        st.Page(entry.file, title=entry.title, icon=entry.icon, default=entry is PAGES[0])
        for entry in PAGES
    ]
    page = st.navigation(entries, position="hidden")  # the sidebar draws its own links
    st.session_state[_READY] = True
    wanted = st.session_state.pop(_WANTED, None)
    if wanted is not None:
        st.switch_page(wanted, query_params=_query())
    return page


def open_page(title: str, subtitle: str = "", is_of_one_run: bool = True) -> None:
    """Open a page: make sure that ``dashboard.py`` has run, then show the page's header.

    Until ``/`` has been opened once, Streamlit runs a deep-linked file of ``pages/`` without
    ``dashboard.py``. Such a visit is redirected through the dashboard and back.

    Args:
        title: As in ``PAGES``.
        subtitle: One sentence under the title, or "".
        is_of_one_run: Whether the page shows the selected run, with its marks.
    """
    if _READY not in st.session_state:
        st.session_state[_WANTED] = next(entry.file for entry in PAGES if entry.title == title)
        st.switch_page(ENTRY, query_params=_query())
    st.title(title, anchor=False)
    if subtitle:
        st.caption(escape(subtitle))
    run = current_run() if is_of_one_run else None
    if run is not None and (named := _title(run)):
        st.caption(escape(named))
    for mark in [] if run is None else words.marks(readers.run_file(run, [])):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            _badge(mark)
            st.caption(mark.sentence, width="content")


def badges(runs: Iterable[RunReader]) -> None:
    """Show the marks that at least one of the runs has; damaged files are not reported."""
    for mark in dict.fromkeys(
        mark for run in runs for mark in words.marks(readers.run_file(run, []))
    ):
        _badge(mark)


def _badge(mark: words.Mark) -> None:
    st.badge(mark.title, icon=mark.icon, color="orange", help=mark.sentence)


def sidebar() -> None:
    """Show the pages, the run picker, the Live switch and the state folder."""
    names = run_names()
    with st.sidebar:
        st.markdown(f"**{PRODUCT}**")
        with st.container(gap="xxsmall"):
            for entry in PAGES:
                st.page_link(entry.file, label=entry.title, icon=entry.icon, width="stretch")
        st.divider()
        st.selectbox(
            "Run",
            [NEWEST, *names],
            key="run",
            bind="query-params",
            format_func=lambda name: "Newest run" if name == NEWEST else name,
            help="Newest run: always the run that was active last.",
            disabled=not names,
        )
        if names:
            st.caption(_picked_text())
        st.toggle(
            "Live",
            value=True,
            key="is_live",
            persist_state="session",
            help="Update the pages while a run is training. Off freezes them.",
        )
        st.caption(escape(f"State folder: {_short(state_dir())} · version {__version__}"))
        if is_read_only():
            st.badge("Read-only", icon=":material/lock:", color="gray")


def run_names() -> list[str]:
    """Return the names of all runs, the most recently active first."""
    names = [run.name for run in list_runs(state_dir())]
    opened = st.session_state.get(_OPENED)
    if opened and opened not in names and (state_dir() / opened).is_dir():
        return [opened, *names]
    return names


def current_run() -> RunReader | None:
    """Return the selected run, or the newest one; None if there is no run."""
    names = run_names()
    if not names:
        return None
    picked = st.session_state.get("run", NEWEST)
    return RunReader(state_dir() / (picked if picked in names else names[0]))


def open_run(name: str) -> None:
    """Select this run; call it in a callback, before the picker is drawn."""
    st.session_state[_OPENED] = name
    st.session_state["run"] = name


def follow_newest() -> None:
    """Select the most recently active run again; call it in a callback."""
    st.session_state.pop(_OPENED, None)
    st.session_state["run"] = NEWEST


def empty_state(
    title: str, text: str, page: str | None = None, link_label: str | None = None
) -> None:
    """Explain why the page is empty and what to do next.

    Args:
        title: What is missing, a few words.
        text: What to do about it.
        page: File of a page to go to, such as "pages/train.py".
        link_label: The text of the link.
    """
    with st.container(border=True):
        st.markdown(f"**{escape(title)}**")
        st.markdown(escape(text))
        if page is not None:
            st.page_link(page, label=link_label or "Go there", icon=":material/arrow_forward:")


def escape(text: str) -> str:
    """Return text that Markdown shows as written: names and messages come from files.

    Streamlit makes links of addresses and icons of ``:material/...:`` after it has read the
    backslashes. An invisible character that joins words (U+2060) keeps these apart.
    """
    apart = _LINKED.sub(f"\\g<0>{WORD_JOINER}", text)
    return "".join(
        f"\\{letter}" if letter in r"\`*_{}[]()<>#+!|$~:^&" else letter for letter in apart
    )


def _picked_text() -> str:
    """Return the name behind "Newest run" and the run's title."""
    run = current_run()
    assert run is not None  # there are runs
    name = run.name if st.session_state["run"] == NEWEST else ""
    return escape(" · ".join(part for part in (name, _title(run)) if part))


def _title(run: RunReader) -> str:
    try:
        return run.notes().title
    except StoreError:
        return ""  # the pages report the damaged file


def _query() -> dict[str, Any]:
    """Return the query parameters that a deep link keeps on its way through the dashboard."""
    wanted = {name: st.query_params.get_all(name) for name in ("run", COMPARE)}
    kept = {name: list(filter(RUN_NAME.fullmatch, values)) for name, values in wanted.items()}
    return {name: values for name, values in kept.items() if values}


def _short(path: Path) -> str:
    home = Path.home()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)
