"""Damaged uploads that would end the dashboard's process."""

from __future__ import annotations

import base64
import subprocess
import sys
import zlib

import pytest

from tests.support.tiny_runs import PROJECT

# found by fuzzing: polars 2.1 aborts, since it allocates the 2 million TB that one of its pages has
HUGE_PAGE = (
    "eNqtVT9ME1EYf1dLqaVDvfBe7pKLaUy4QDDYnkJbo5FXKIWIta0olIWUtifg2WpbaDEOTM4OhsE4OjEyOzA6OBkn"
    "B2OcGImDo/H73vWuBdQY9eW9e9//3/e+971cluej1EvjND4PGyEkAOtOKrcSEeMYF6WEDtLBi1SmIeqjPm2CDAe6"
    "WqVLR8DNA0uWpL7PEg2q48QXUpWBRuXxZqVaqqyslylhMjuQYOrLuv+3oQB2gS4gLHFgvYTsTCrwJTsuFBFj5wZ8"
    "JmFOoslJGfWrQ8SnKiE3k1Jts9qs1EU6uxJM/a3n2kkEKE2ABuapByuEQG1IJURDx0ohtRWp3c1Gdo/dVyyVVtoC"
    "YYNt6Ede/Z23x+E/BN92g+/59Ge9DhAqSIM9tZOdIMSphYjwRESYYBP6Qf81NHIcqXza0WM7SsR12vcLJ/WcR+29"
    "u14GukdlHRNRVrHtTPaIpTauXwokVSEwkZVPsRpbplUwQ+qth8JV2vSRl850yD2fSx7004kOue+3STjV01lvvVZr"
    "0iCcfchzrF2HyLyGRn6Qn2oe29y+ZsfQlWz3utq1BiygJWK9ATmTVU219Jce7V/fCXs+QAfZq7N0huifzmh/2evs"
    "9QBV2JezdIzoH/u0P+1i9maAMvY8QC8Q/UW/9qf9yd6j275w+9av/b4n2SEafwjQ80Q/9Gu/7kP2HQ2/oiHb7WOy"
    "7odtEK9bCfJ8/vbi1UZprfKwqByeuYTDyCU55ylYPL4FfDvHbV6IbnLe4FNiz/HRLOhbLZTPcX6/Y1eAbTqCTFNo"
    "UJ4sITmPHy7i5RAqjVSSd/xRKjBcvW0qRgT52VP2tzrq5GjX/i7yawUjY1YQOj0NmniBO4ey80zOOJFtvWALi5mN"
    "pcsPgJqa+2l+eSchW59ENj2zUYgmrqC0gfXY7h5ySpCpaQdqFOvZSvHkfZ5GE5HPbMYqLd2zVh9mrCUjs1VeHI8s"
    "L9lwMRGv5SadtuPdFfGTc5ga7KkOTssGyT7B86RQNdU6Gd+Cw12/TpRMtmYV643w8KPt5lqtOhLeqtQb67Vq2BiL"
    "jkXCw6ub61Y5HDMTEWO1fNk0y0bMNONGOXrFiMWLkUTRSIybpmHGipVywhhRLXjVJyZJwSPKwi/1B21faIw="
)
# os._exit: with polars and pyarrow loaded, one in five interpreters aborts at its own regular end
READ = """
import os
import sys
from pages.ui.predict.uploads import read_sequences
from trainer.data.schema import DataError
try:
    read_sequences("x.parquet", sys.stdin.buffer.read())
except DataError as error:
    print(error, flush=True)
os._exit(0)
"""


@pytest.mark.parametrize("text", [HUGE_PAGE], ids=["a page of 2 million TB"])
def test_damaged_pages_are_refused_and_the_process_lives(text):
    """The bytes are read in another process, which polars would abort."""
    data = zlib.decompress(base64.b64decode(text))
    done = subprocess.run(
        [sys.executable, "-c", READ], input=data, capture_output=True, cwd=PROJECT, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert b"'x.parquet' is damaged" in done.stdout
