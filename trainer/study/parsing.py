"""Parsing: seeds, grid and search of a study from the command line and from a TOML file.

In: ``--seeds``, ``--grid``, the search file; the base configuration. Out: checked parts of a
definition; every name and bound is checked before anything is trained.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from trainer.config import (
    Config,
    ConfigError,
    explain,
    flat_settings,
    overlay,
    parse_assignment,
    setting_text,
)
from trainer.store.durable import StoreError
from trainer.store.file_kinds import read_file
from trainer.study.definition import AND, MAX_SEEDS, NO_CODE, GridSetting, SearchRange

FIXED = {  # settings that no study may vary, and why
    "preset": "it is many settings at once; name them one by one",
    "seed": "use --seeds, which trains every trial with each seed",
    "data.source": "scores on other recordings cannot be compared",
    "folds.count": "scores over other folds cannot be compared",
    "exact": "a process keeps its instruction set; start one study for each",
}


def parse_seeds(text: str | None) -> tuple[int, ...]:
    """Return the seeds of ``--seeds 42,43``; () where the option is not given.

    Raises:
        ConfigError: Not whole numbers, each once.
    """
    words = [] if text is None else text.split(",")
    if not all(re.fullmatch(r"\d{1,10}", word) and int(word) < 2**31 for word in words):
        raise ConfigError(
            f"--seeds: expected whole numbers from 0 to {2**31 - 1}, separated by commas; got "
            f"{text!r}"
        )
    seeds = tuple(map(int, words))
    if len(set(seeds)) < len(seeds) or len(seeds) > MAX_SEEDS:
        raise ConfigError(f"--seeds: expected up to {MAX_SEEDS} seeds, each once; got {text!r}")
    return seeds


def parse_grid(
    texts: Sequence[str], base: Config, entries: Mapping[str, str] | None = None
) -> tuple[GridSetting, ...]:
    """Return the settings of ``--grid KEY=V1,V2``; the items of a list are joined by ``+``.

    Args:
        texts: Of the option.
        base: The configuration that all trials share.
        entries: Entry of ``use`` of each file of own code that they name, by the file's name.

    Raises:
        ConfigError: A name is unknown or given twice, or a value is not valid.
    """
    grid = []
    for text in texts:
        name, _, values = text.partition("=")
        if name == "use":
            known_code = entries or {}
            sets = [
                AND.join(known_code[path.name] for path in paths) or NO_CODE
                for paths in use_values([text])
            ]
            if len(sets) < 2 or len(set(sets)) < len(sets):
                raise ConfigError(f"--grid use: expected two or more values, each once; got {text}")
            grid.append(GridSetting(name=name, values=tuple(sets)))
            continue
        parse_assignment(text, "--grid")
        _check_free(name, "--grid")
        is_list = isinstance(flat_settings(base).get(name), tuple)
        items = [item.replace("+", ",") if is_list else item for item in values.split(",")]
        if len(items) < 2 or len(set(items)) < len(items):
            raise ConfigError(f"--grid {name}: expected two or more values, each once; got {text}")
        known = [_check_value(base, name, item, "--grid") for item in items]
        if len(set(known)) < len(known):  # 0.1 and 0.10 are one value
            raise ConfigError(f"--grid {name}: two of these values are the same: {text}")
        grid.append(GridSetting(name=name, values=tuple(known)))
    names = [setting.name for setting in grid]
    if len(set(names)) < len(names):
        raise ConfigError(f"--grid: expected each setting once; got {', '.join(names)}")
    return tuple(grid)


def use_values(texts: Sequence[str]) -> list[list[Path]]:
    """Return the files of own code of each value of ``--grid use=none,A.py,A.py+B.py``."""
    values = [text.partition("=")[2] for text in texts if text.startswith("use=")]
    return [
        [] if value == NO_CODE else [Path(path) for path in value.split("+")]
        for text in values
        for value in text.split(",")
    ]


def read_search(path: Path, base: Config) -> dict[str, SearchRange]:
    """Return the settings of a search file: TOML, one table per setting.

    Raises:
        ConfigError: It cannot be read, a name is unknown, or a value is out of bounds.
    """
    place = f"--search {path.name}"
    try:
        return parse_search(read_file(path).decode(), base, place)
    except FileNotFoundError as error:
        raise ConfigError(f"--search: {path} does not exist. Expected a TOML file") from error
    except (StoreError, UnicodeDecodeError) as error:
        raise ConfigError(f"{place}: expected a TOML file; {error}") from error


def parse_search(text: str, base: Config, place: str = "--search") -> dict[str, SearchRange]:
    """Return the settings of a search: TOML, one table per setting.

    Args:
        text: Content of a search file.
        base: The configuration that all trials share.
        place: What the text is, for messages.

    Raises:
        ConfigError: It is no TOML, a name is unknown, or a value is out of bounds.
    """
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{place}: expected a TOML file; {error}") from error
    search = {}
    for name, table in _settings_of(tables, place):
        parse_assignment(f"{name}=", place)
        _check_free(name, place)
        try:
            found = SearchRange.model_validate(table)
        except ValidationError as error:
            raise ConfigError(f"{place}, {name}: {explain(error, SearchRange)}") from error
        search[name] = _check_range(base, name, found, place)
    if not search:
        raise ConfigError(
            f"{place}: expected a table per setting, such as [boosting.learning_rate] with low and "
            f"high, or choices; got none"
        )
    return search


def _settings_of(tables: Mapping[str, Any], place: str, prefix: str = "") -> Iterator[Any]:
    """Yield (dotted name, table); ``[a.b]`` and ``["a.b"]`` are the same."""
    for key, value in tables.items():
        if not isinstance(value, dict):
            raise ConfigError(f"{place}: expected tables such as [{prefix}{key}]; got {key!r}")
        if value and all(isinstance(item, dict) for item in value.values()):
            yield from _settings_of(value, place, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _check_free(name: str, place: str) -> None:
    if name in FIXED:
        raise ConfigError(f"{place}: {name} cannot be varied: {FIXED[name]}")


def _check_value(base: Config, name: str, text: str, place: str) -> str:
    """Return the value as ``--set`` writes it."""
    try:
        config = overlay(base, {}, [f"{name}={text}"])
    except ConfigError as error:
        raise ConfigError(f"{place}: {error}") from error
    return setting_text(flat_settings(config)[name])


def _check_range(base: Config, name: str, found: SearchRange, place: str) -> SearchRange:
    if found.choices is not None:
        choices = tuple(_check_value(base, name, text, place) for text in found.choices)
        return found.model_copy(update={"choices": choices})
    ends = [_check_value(base, name, str(end), place) for end in (found.low, found.high)]
    value = flat_settings(overlay(base, {}, [f"{name}={found.low}"]))[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"{place}, {name}: it is no number. Expected choices; got low and high")
    if isinstance(value, int):
        return found
    step = None if found.step is None else float(found.step)
    return found.model_copy(update={"low": float(ends[0]), "high": float(ends[1]), "step": step})
