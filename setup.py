"""The wheel: the project's folders under one package, so that it claims no other name."""

from setuptools import find_namespace_packages, setup

FOLDERS = find_namespace_packages(include=["trainer", "trainer.*", "pages", "pages.*", "examples"])
setup(
    packages=["gesture_dashboard", *(f"gesture_dashboard.{name}" for name in FOLDERS)],
    package_dir={"gesture_dashboard": "."},
    package_data={
        "gesture_dashboard": ["dashboard.py", "LICENSE", ".streamlit/config.toml"],
        "gesture_dashboard.examples": ["*.zip", "*.py"],
        "gesture_dashboard.pages.ui.shared": ["*.svg"],
        "gesture_dashboard.trainer.data": ["*.parquet", "NOTICE.md", "WATCH_LICENSE"],
        "gesture_dashboard.trainer.explain": ["*.html"],
    },
)
