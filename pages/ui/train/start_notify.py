"""Notifications on the start form: more addresses for this session, and a test.

In: the session. Out: addresses in the session's state; a test notification.
"""

from __future__ import annotations

import streamlit as st

from pages.ui import notifications
from pages.ui.shared import frame
from trainer.config import ConfigError
from trainer.notify.notifier import INSTALL, is_installed, send_test
from trainer.run import RefusedError

_TESTED = "notify_tested"  # addresses of the last test, whether they got it, and what to show


def fields() -> None:
    """Show the field and the test, or how to install what they need."""
    if not is_installed():
        st.caption(frame.escape(INSTALL.capitalize()))
        return
    st.text_input(
        "Addresses for this session, separated by spaces",
        key=notifications.FIELD,
        type="password",
        autocomplete="new-password",  # no browser offers to keep it
        placeholder="ntfy://TOPIC",
        help="Addresses of Apprise: ntfy, Slack, Discord, mail, webhooks. They are handed to the "
        "trainers that you start or resume until you close this tab, and stored nowhere.",
        max_chars=2000,
        persist_state="session",
    )
    others = notifications.of_environment()
    if others:
        st.caption(f"From NOTIFY_URLS of the dashboard: {len(others)}.")
    addresses = notifications.of_session() + others
    st.button(
        "Send a test",
        icon=":material/send:",
        key="notify_test",
        disabled=not addresses,
        on_click=_test,
        args=(addresses,),
    )
    tested, is_good, text = st.session_state.get(_TESTED, ((), False, ""))
    if addresses and tested == addresses:  # beside the button: on a phone the top is far away
        (st.success if is_good else st.error)(frame.escape(text))


def _test(addresses: tuple[str, ...]) -> None:
    try:
        frame.refuse_read_only()
        outcome = (True, send_test(addresses))
    except (ConfigError, RefusedError) as error:
        outcome = (False, str(error))
    st.session_state[_TESTED] = (addresses, *outcome)
