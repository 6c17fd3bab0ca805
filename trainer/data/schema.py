"""The competition's schema: its columns, and the error about recordings that do not match it.

In: column names. Out: nothing, or a ``DataError``.
Source: the data description of "CMI - Detect Behavior with Sensor Data".
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable

NUM_THM = 5
NUM_TOF = 5
TOF_SIDE = 8  # pixels along each side of a time-of-flight image
TOF_PIXELS = TOF_SIDE * TOF_SIDE

ACC_COLUMNS = ("acc_x", "acc_y", "acc_z")
ROT_COLUMNS = ("rot_w", "rot_x", "rot_y", "rot_z")
THM_COLUMNS = tuple(f"thm_{sensor}" for sensor in range(1, NUM_THM + 1))
TOF_COLUMNS = tuple(
    f"tof_{sensor}_v{pixel}" for sensor in range(1, NUM_TOF + 1) for pixel in range(TOF_PIXELS)
)
SENSOR_COLUMNS = (*ACC_COLUMNS, *ROT_COLUMNS, *THM_COLUMNS, *TOF_COLUMNS)

SEQUENCE_TYPES = ("Target", "Non-Target")
PHASES = ("Transition", "Gesture")  # the position is the code in Sequences.phase_T
FORBIDDEN_INPUTS = ("phase", "behavior", "orientation")  # annotations of train.csv, never inputs
KNOWN_COLUMNS = (
    *("row_id", "sequence_type", "sequence_id", "sequence_counter", "subject", "gesture"),
    *FORBIDDEN_INPUTS,
    *SENSOR_COLUMNS,
)

_SENSOR_LIKE = re.compile(r"(thm_?\d+|tof_?\d+_?v?\d+)", re.IGNORECASE)
_MAX_LISTED = 8  # names in one message
_MAX_CHARACTERS = 60  # of one name


class DataError(ValueError):
    """Recordings that cannot be used; the message names the field and the correction."""


def require_columns(columns: Collection[str], required: Iterable[str], purpose: str) -> None:
    """Refuse a table that lacks columns, naming those with similar names.

    Args:
        columns: The names in the table.
        required: The names that the table must have.
        purpose: What needs them, to end the sentence "Missing columns, needed for ...".

    Raises:
        DataError: If one is missing.
    """
    missing = [name for name in required if name not in columns]
    if missing:
        raise DataError(
            f"Missing column {list_names(missing)}, needed for {purpose}. "
            f"Columns of the table: {list_names(columns)}.{_near_names(missing, columns)}"
        )


def refuse_misnamed(columns: Collection[str]) -> None:
    """Refuse names that nearly match a column of the schema, which would otherwise be ignored.

    Args:
        columns: The names in the table.

    Raises:
        DataError: If a name differs from a missing column only in case or separators,
            such as ``Acc_X`` or ``accx``, or numbers a sensor that does not exist, such as
            ``thm_0``.
    """
    absent = {_plain(name): name for name in KNOWN_COLUMNS if name not in columns}
    for name in columns:
        if name in KNOWN_COLUMNS:
            continue
        if _plain(name) in absent:
            raise DataError(
                f"Column {name!r} is misnamed: expected {absent[_plain(name)]!r}. "
                "Rename it, or drop it if it is something else."
            )
        if _SENSOR_LIKE.fullmatch(name):
            raise DataError(
                f"Column {name!r} is not in the schema: thermopiles are thm_1 to thm_{NUM_THM}, "
                f"time-of-flight pixels tof_1_v0 to tof_{NUM_TOF}_v{TOF_PIXELS - 1}. "
                "Rename or drop it."
            )


def list_names(names: Collection[str]) -> str:
    """Return the names quoted, the tail of a long list as a count."""
    quoted = [repr(name[:_MAX_CHARACTERS]) for name in names] or ["none"]
    more = f" and {len(quoted) - _MAX_LISTED} more" if len(quoted) > _MAX_LISTED else ""
    return ", ".join(quoted[:_MAX_LISTED]) + more


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.casefold())


def _near_names(missing: Iterable[str], columns: Collection[str]) -> str:
    spare = {_plain(name): name for name in columns if name not in KNOWN_COLUMNS}
    pairs = []
    for name in missing:
        near = difflib.get_close_matches(_plain(name), list(spare), n=1, cutoff=0.75)
        pairs += [f"{spare[near[0]]!r} to {name!r}"] if near else []
    return f" Perhaps rename {', '.join(pairs[:_MAX_LISTED])}." if pairs else ""
