"""The dashboard: page configuration, navigation, run picker.

In: a state folder. Out: the pages.
Run: ``streamlit run dashboard.py [-- --state DIR --read-only]``.

``streamlit run`` imports this file once, for the application that it serves; Streamlit then runs
it as a script for every session.
"""

import streamlit as st
from starlette.middleware import Middleware

from pages.ui.request_origin import RequestOriginMiddleware
from pages.ui.shared import frame

if __name__ == "__main__":
    st.set_page_config(page_title=frame.PRODUCT, page_icon=str(frame.ICON), layout="wide")
    page = frame.navigate()
    frame.sidebar()
    page.run()
else:
    app = st.App(__file__, middleware=[Middleware(RequestOriginMiddleware)])
