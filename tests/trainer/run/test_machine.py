"""A process is pinned for one setting of ``exact``: torch reads the variables once."""

from __future__ import annotations

import os

from tests.support.fresh_python import run_python
from tests.support.tiny_runs import PROJECT

CODE = """
import sys
from trainer.models.libraries import ModelError
from trainer.run.machine import pin

for exact in ("portable", "portable", "machine"):
    try:
        pin(exact)
        print(exact, "accepted")
    except ModelError as error:
        print(error)
"""


def test_a_process_that_was_portable_refuses_a_run_that_is_not():
    """A worker of Dask gets runs of both kinds: the second one would silently have other bits."""
    code, words = run_python(["-c", CODE], PROJECT, os.environ)
    assert code == 0, words
    *accepted, refused = words.splitlines()
    assert accepted == ["portable accepted", "portable accepted"]
    assert refused.startswith("exact=machine: this process has begun with the other setting")
