"""The report of all benchmarks: rows in, ``docs/benchmarks.md`` out, one section per benchmark.

A benchmark that is run again replaces its own section and leaves the others as they are. Every
section names the date, the machine, its load and the command of the measurement.
"""

from __future__ import annotations

import datetime
import os
import platform
from dataclasses import dataclass
from pathlib import Path

REPORT = Path(__file__).parent.parent / "docs" / "benchmarks.md"
HEAD = """# Benchmarks

Made by `python -m benchmarks`, which runs them all; with names, such as
`python -m benchmarks features boosting`, it runs these and replaces their sections.
A load above 0 before the start means that something else was running.
"""


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        what: What was measured.
        value: The figure with its unit.
        aim: What it should be; empty where there is no aim.
        is_met: Whether the aim is met; None where there is none.
    """

    what: str
    value: str
    aim: str = ""
    is_met: bool | None = None


def at_most(what: str, value: float, limit: float, unit: str = "", digits: int = 2) -> Row:
    """Return the row of a figure that should not exceed a limit."""
    return Row(what, f"{value:.{digits}f}{unit}", f"at most {limit:g}{unit}", value <= limit)


def at_least(what: str, value: float, limit: float, unit: str = "", digits: int = 2) -> Row:
    """Return the row of a figure that should reach a limit."""
    return Row(what, f"{value:.{digits}f}{unit}", f"at least {limit:g}{unit}", value >= limit)


def print_rows(rows: list[Row]) -> None:
    """Print the rows, one line each."""
    for row in rows:
        print(f"  {row.what}: {row.value}{f' ({row.aim})' if row.aim else ''}", flush=True)


def machine() -> str:
    """Return what the figures were measured on."""
    return f"{processor_name()}, {os.cpu_count()} cores, Python {platform.python_version()}"


def processor_name(info: Path = Path("/proc/cpuinfo")) -> str:
    """Return the processor's name, from ``/proc/cpuinfo`` where there is one."""
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def write_section(
    name: str, purpose: str, rows: list[Row], load: float, path: Path = REPORT
) -> None:
    """Replace a benchmark's section of the report.

    Args:
        name: Name of the benchmark.
        purpose: One sentence.
        rows: What was measured.
        load: Load average of the machine before the start.
        path: The report.
    """
    sections = _read_sections(path)
    sections[name] = _section_text(purpose, name, rows, load)
    parts = [f"## {title}\n\n{text}" for title, text in sorted(sections.items())]
    path.write_text("\n".join([HEAD, *parts]))


def _section_text(purpose: str, name: str, rows: list[Row], load: float) -> str:
    words = {True: "yes", False: "no", None: ""}
    today = datetime.datetime.now(datetime.UTC).date()
    lines = [f"| {row.what} | {row.value} | {row.aim} | {words[row.is_met]} |" for row in rows]
    return "\n".join(
        [
            f"{purpose} `python -m benchmarks {name}`, {today}, {machine()}, load before "
            f"{load:.1f}.",
            "",
            "| What | Measured | Aim | Met |",
            "|---|---|---|---|",
            *lines,
            "",
        ]
    )


def _read_sections(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    _, *parts = path.read_text().split("\n## ")
    pairs = (part.partition("\n\n") for part in parts)
    return {title.strip(): text.rstrip("\n") + "\n" for title, _, text in pairs}
