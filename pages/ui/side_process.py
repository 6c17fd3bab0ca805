"""Side processes: what the dashboard has the trainer do, and waits for.

In: files of own code; a state folder. Out: what a check found; the example run. The dashboard
itself neither executes own code nor imports a model's library for it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trainer.own_description import OwnDescription, note
from trainer.run import RefusedError
from trainer.run.control import side_environment

LIMIT_S = 300.0  # a check of each of the examples takes 10 s on a busy machine
MAX_OUTPUT = 4_000  # characters of the reason why it is refused


@dataclass(frozen=True)
class CheckedCode:
    """What a check of own code found.

    Attributes:
        text: What was tried, or why the code cannot be used.
        description: What the files register; None where they cannot be used.
    """

    text: str
    description: OwnDescription | None


def check_code(paths: Sequence[Path]) -> CheckedCode:
    """Check files of own code, within ``LIMIT_S``."""
    try:
        found = json.loads(_output("check", *map(str, paths), "--json"))
        description = OwnDescription.model_validate(found["description"])
        text = "\n".join(map(str, found["lines"]))
    except RefusedError as error:
        return CheckedCode(str(error), None)
    except (ValueError, KeyError, TypeError) as error:  # it has printed something else too
        return CheckedCode(f"the output of the check cannot be read: {error}", None)
    note(description)
    return CheckedCode(text, description)


def open_example(state_dir: Path) -> str:
    """Import the example run, make its missing files again, and return its name.

    Raises:
        RefusedError: With what the trainer said.
    """
    from trainer.run.transfer.example import EXAMPLE

    _output("example", "--state", str(state_dir.resolve()))
    return EXAMPLE


def _output(*words: str) -> str:
    """Return what a command prints.

    Raises:
        RefusedError: It failed, or is not done within ``LIMIT_S``.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-m", "trainer", *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=side_environment(),
            timeout=LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise RefusedError(f"{words[0]}: not done within {LIMIT_S:.0f} s") from error
    if done.returncode != 0:
        raise RefusedError(done.stderr.strip()[-MAX_OUTPUT:] or "no reason was printed")
    return done.stdout
