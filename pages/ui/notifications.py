"""Notifications of the runs that the dashboard starts, and of the interrupted ones that it finds.

In: ``NOTIFY_URLS`` of the dashboard's environment, the addresses that a session entered. Out:
addresses for the environment of a trainer, and one thread per server that looks for interruptions.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from trainer.notify.notifier import find_problem, split
from trainer.run import RefusedError
from trainer.run.control import NOTIFY_URLS

if TYPE_CHECKING:
    from trainer.notify.interruptions import Watch

FIELD = "start_notify"  # of the session alone: never written, never in an address of a page


def of_session() -> tuple[str, ...]:
    """Return the addresses that were entered in this session."""
    return split(str(st.session_state.get(FIELD) or ""))


def of_environment() -> tuple[str, ...]:
    """Return the addresses of the dashboard's environment; trainers inherit them."""
    return split(os.environ.get(NOTIFY_URLS, ""))


def hand_over(state_dir: Path, root: Path) -> tuple[str, ...]:
    """Return the session's addresses for a trainer that is about to start.

    Its interruption is sent to them too, as long as this server runs.

    Raises:
        RefusedError: They cannot be used.
    """
    addresses = of_session()
    problem = find_problem(addresses, "Notifications")
    if problem:
        raise RefusedError(problem)
    if addresses:
        watch(state_dir).add(root, addresses)
    return addresses


@functools.cache
def watch(state_dir: Path) -> Watch:
    """Return this server's watch of a state folder; it has a thread once it has an address."""
    from trainer.notify.interruptions import Watch

    return Watch(state_dir, of_environment())
