"""Notifications on the start form: more addresses for this session, and a test.

In: the session. Out: addresses in the session's state; a test notification.
"""

from __future__ import annotations

import streamlit as st

from pages.ui import notifications
from pages.ui.shared import controls, frame
from trainer.notify.notifier import INSTALL, is_installed, send_test


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
    own, others = notifications.of_session(), notifications.of_environment()
    if others:
        st.caption(f"From NOTIFY_URLS of the dashboard: {len(others)}.")
    st.button(
        "Send a test",
        icon=":material/send:",
        key="notify_test",
        disabled=not own + others,
        on_click=controls.attempt,
        args=(send_test, own + others),
    )
