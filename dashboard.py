"""The dashboard: page configuration, navigation, run picker.

In: a state folder. Out: the pages.
Run: ``streamlit run dashboard.py [-- --state DIR --read-only]``.

``streamlit run`` imports this file once, for the application that it serves; Streamlit then runs
it as a script for every session.
"""

import contextlib

import streamlit as st
from starlette.middleware import Middleware

from pages.ui import notifications
from pages.ui.request_origin import RequestOriginMiddleware
from pages.ui.shared import frame
from trainer.models.libraries import not_installed

if __name__ == "__main__":
    st.set_page_config(page_title=frame.PRODUCT, page_icon=str(frame.ICON), layout="wide")
    missing = not_installed(("pandas", "pyarrow"))  # Streamlit starts without, and shows no table
    if missing:
        st.error(
            f"The pages cannot be shown: {missing}, and Streamlit needs it for tables. Install it "
            "(pip install -r requirements.txt) and restart the dashboard. The command line works "
            "without: python -m trainer --help"
        )
        st.stop()
    page = frame.navigate()
    frame.sidebar()
    page.run()
else:
    with contextlib.suppress(frame.OptionsError):  # shown by the page
        if not frame.is_read_only() and notifications.of_environment():
            notifications.watch(frame.state_dir())
    app = st.App(__file__, middleware=[Middleware(RequestOriginMiddleware)])
