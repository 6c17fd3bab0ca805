"""The definition of a study: base configuration, seeds, and a grid or a search over settings.

In: its parts, as ``trainer.study.parsing`` returns them. Out: ``StudyFile``, the content of
``study.json``; the differences between two.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import chain, product
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from trainer.config import Config, ConfigError, differences, overlay, setting_text
from trainer.store.record_types import Name, Time
from trainer.store.records import Record

MAX_TRIALS = 10_000
MAX_SEEDS = 100
MAX_NAME = 64  # characters of a run's name
NO_CODE, AND = "none", " + "  # the setting ``use`` of a trial: no own code; between two files

Number = int | float
Settings = dict[str, str]  # dotted name to value, as ``--set`` accepts it


class SearchRange(BaseModel):
    """The values of one setting in a search: from ``low`` to ``high``, or one of ``choices``.

    Attributes:
        low: The lowest value.
        high: The highest value.
        log: Whether values are drawn from the logarithmic domain.
        step: Distance of neighbouring values, counted from ``low``; None: 1 for whole numbers, any
            value for others.
        choices: The values, as ``--set`` accepts them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)

    low: Number | None = None
    high: Number | None = None
    log: bool = False
    step: Number | None = None
    choices: tuple[Name, ...] | None = None

    @model_validator(mode="before")
    @classmethod
    def _write_choices(cls, values: Any) -> Any:  # noqa: ANN401 - not yet checked
        if not isinstance(values, Mapping) or not isinstance(values.get("choices"), list | tuple):
            return values
        lists = (tuple(each) if isinstance(each, list) else each for each in values["choices"])
        return {**values, "choices": tuple(map(setting_text, lists))}

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.choices is not None:
            if (self.low, self.high, self.step, self.log) != (None, None, None, False):
                raise ValueError("expected either choices, or low and high; got both")
            if len(set(self.choices)) < 2 or len(set(self.choices)) < len(self.choices):
                raise ValueError(f"expected two or more choices, each once; got {self.choices}")
            return self
        if self.low is None or self.high is None:
            raise ValueError("expected low and high, or choices")
        if not self.low < self.high:
            raise ValueError(f"expected low below high; got {self.low} and {self.high}")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("log: expected a low above 0 and no step")
        if self.step is not None and self.step <= 0:
            raise ValueError(f"expected a step above 0; got {self.step}")
        if self.step is not None and self._remainder(self.step):
            raise ValueError(f"expected high to be low and a multiple of step; got {self.high}")
        return self

    def _remainder(self, step: Number) -> Decimal:
        low, high = Decimal(str(self.low)), Decimal(str(self.high))
        return (high - low) % Decimal(str(step))

    @property
    def is_whole(self) -> bool:
        """Return whether the values are whole numbers."""
        numbers = (self.low, self.high, self.step)
        return all(isinstance(number, int) for number in numbers if number is not None)


class GridSetting(BaseModel):
    """One setting of a grid and its values, as ``--set`` accepts them."""

    model_config = ConfigDict(frozen=True)

    name: Name
    values: tuple[Name, ...]


class StudyFile(Record):
    """``study.json``: what the trials of a study are.

    Attributes:
        name: Of the study.
        base: The configuration that all trials share; its seed is also the sampler's.
        seeds: Every trial is trained with each of them.
        grid: The settings of the grid, the slowest first; () where there is none.
        search: The settings that are searched, by dotted name; {} where there is no search.
        num_trials: Trials of the search; of a grid the number of its combinations.
        created_at: When it was written; no result depends on it.
        versions: Of the library that draws the values of a search.
    """

    name: Name
    base: Config
    seeds: Annotated[tuple[int, ...], Field(min_length=1, max_length=MAX_SEEDS)]
    grid: tuple[GridSetting, ...] = ()
    search: dict[Name, SearchRange] = Field(default_factory=dict)
    num_trials: Annotated[int, Field(ge=1, le=MAX_TRIALS)]
    created_at: Time
    versions: dict[Name, Name] = Field(default_factory=dict)

    @property
    def num_steps(self) -> int:
        """Return the number of fold scores of a whole trial: seeds times folds."""
        return len(self.seeds) * self.base.folds.count

    @property
    def names(self) -> tuple[str, ...]:
        """Return the dotted names of the settings in which the trials differ."""
        return (*(setting.name for setting in self.grid), *self.search)

    @property
    def code(self) -> tuple[str, ...]:
        """Return name and SHA-256 of each file of own code, whose copies are in ``code/``."""
        varied = [value for each in self.grid if each.name == "use" for value in each.values]
        return tuple(dict.fromkeys((*self.base.use, *chain(*map(files_of, varied)))))

    def grid_trials(self) -> Iterator[Settings]:
        """Yield the settings of each trial of the grid; the first setting varies slowest."""
        names = [setting.name for setting in self.grid]
        for values in product(*(setting.values for setting in self.grid)):
            yield dict(zip(names, values, strict=True))

    def config(self, settings: Settings, seed: int) -> Config:
        """Return the configuration of one run.

        Raises:
            ConfigError: The settings cannot be combined.
        """
        assignments = [f"{name}={value}" for name, value in settings.items() if name != "use"]
        use = (*self.base.use, *files_of(settings.get("use", NO_CODE)))
        return overlay(self.base, {}, assignments, {"seed": seed, "use": use})


def files_of(value: str) -> list[str]:
    """Return name and SHA-256 of each file in a value of the setting ``use``."""
    return [] if value == NO_CODE else value.split(AND)


def make_study(
    name: str,
    base: Config,
    seeds: Sequence[int],
    grid: Sequence[GridSetting],
    search: Mapping[str, SearchRange],
    num_trials: int | None,
    versions: Mapping[str, str],
) -> StudyFile:
    """Return a checked definition.

    Raises:
        ConfigError: A value cannot be used, or the parts do not fit together.
    """
    if search and grid:
        raise ConfigError(
            "--grid and --search: expected one of them. Put the values of the grid into the search "
            "file as choices"
        )
    if search and num_trials is None:
        raise ConfigError("--search: expected also --trials N, the number of trials")
    if num_trials is not None and not search:
        raise ConfigError("--trials: expected also --search FILE.toml; a grid has all its trials")
    num_combinations = math.prod(len(setting.values) for setting in grid)
    number = num_trials if num_trials is not None else num_combinations
    if not 1 <= number <= MAX_TRIALS:
        raise ConfigError(f"study: expected 1 to {MAX_TRIALS:,} trials; got {number:,}")
    study = StudyFile(
        name=name,
        base=base,
        seeds=tuple(seeds) or (base.seed,),
        grid=tuple(grid),
        search=dict(search),
        num_trials=number,
        created_at=time.time(),
        versions=dict(versions),
    )
    longest = f"{name}-{study.num_trials - 1}-s{max(study.seeds)}"
    if len(longest) > MAX_NAME:
        raise ConfigError(
            f"study name: expected at most {MAX_NAME - len(longest) + len(name)} characters, since "
            f"runs are named {longest}; got {name!r}"
        )
    for number, settings in enumerate(study.grid_trials() if grid else ()):
        try:
            study.config(settings, base.seed)
        except ConfigError as error:
            raise ConfigError(f"--grid, trial {number}: {error}") from error
    return study


def difference_lines(old: StudyFile, new: StudyFile) -> list[str]:
    """Return what differs between two definitions, in words; more trials are no difference."""
    lines = differences(old.base, new.base)
    pairs = [
        ("seeds", setting_text(old.seeds), setting_text(new.seeds)),
        ("grid", _grid_text(old), _grid_text(new)),
        *(
            (f"search {name}", _range_text(old.search.get(name)), _range_text(new.search.get(name)))
            for name in dict.fromkeys((*old.search, *new.search))
        ),
    ]
    lines += [f"{name}: {before} -> {now}" for name, before, now in pairs if before != now]
    if list(old.search) != list(new.search) and not lines:
        lines.append("search: other order of the settings")  # it decides which values are drawn
    if new.search and new.num_trials < old.num_trials:
        lines.append(f"trials: {old.num_trials} -> {new.num_trials}; expected as many or more")
    return lines


def _grid_text(study: StudyFile) -> str:
    text = " ".join(f"{each.name}={'|'.join(each.values)}" for each in study.grid)
    return text or "none"


def _range_text(found: SearchRange | None) -> str:
    if found is None:
        return "none"
    parts = found.model_dump(exclude_defaults=True)
    return ", ".join(f"{name} {setting_text(value)}" for name, value in parts.items())
