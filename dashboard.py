"""The dashboard: page configuration, navigation, run picker.

In: a state folder. Out: the pages.
Run: ``streamlit run dashboard.py [-- --state DIR --read-only]``.
"""

import streamlit as st

from pages.ui.shared import frame

st.set_page_config(page_title=frame.PRODUCT, page_icon=str(frame.ICON), layout="wide")
page = frame.navigate()
frame.sidebar()
page.run()
