"""Record types: the bounds of every number and text in the records and events of a run.

A record may come from anywhere. A number within these bounds is finite, fits the libraries that get
it (a pid the operating system, a time the calendar), and two of them can be added or divided.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, Field

MAX_FOLDS = 1_000  # of a model; a configuration has 50 at most
MAX_ATTEMPT = 1_000_000  # starts of the trainer


def _check_relative(name: str) -> str:
    parts = PurePosixPath(name).parts
    if not parts or parts[0] == "/" or ".." in parts or any(letter in name for letter in ":\\\0"):
        raise ValueError("expected the name of a file inside the run folder")
    return name


Name = Annotated[str, Field(max_length=1_000)]  # of a model, gesture, subject, host, library
Text = Annotated[str, Field(max_length=1_000_000)]  # a message, an error, a note
FileName = Annotated[str, Field(max_length=1_000), AfterValidator(_check_relative)]
Count = Annotated[int, Field(ge=0, le=2**53)]  # of steps, bytes, MB: a float holds it
Attempt = Annotated[int, Field(ge=0, le=MAX_ATTEMPT)]
Fold = Annotated[int, Field(ge=0, lt=MAX_FOLDS)]
Pid = Annotated[int, Field(ge=0, lt=2**31)]  # psutil takes a C int
Time = Annotated[float, Field(ge=0.0, le=2.0**37, allow_inf_nan=False)]  # s since 1970: year 6325
Seconds = Annotated[float, Field(ge=-(2.0**37), le=2.0**37, allow_inf_nan=False)]
Score = Annotated[float, Field(ge=0.0, le=1.0 + 1e-9, allow_inf_nan=False)]
Number = Annotated[float, Field(ge=-1e100, le=1e100, allow_inf_nan=False)]  # its square is finite
Temperature = Annotated[float, Field(ge=1e-6, le=1e6, allow_inf_nan=False)]  # others overflow
