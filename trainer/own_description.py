"""Description of a run's own code: what pages show of it without executing it.

In: ``config.json`` of a run that was made with files of the user's own code. Out: the names and
words of its models, networks and features.

A description comes with a run from anywhere, so its words have few kinds of characters: none is
markup on a page, in a figure or in a terminal.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from trainer.config import is_own_name

MAX_MODELS = 50  # of models and of networks
MAX_WORDS = 10_000  # features with words
TITLE = r"^[A-Za-z0-9][A-Za-z0-9 .+-]{0,39}$"
WORDS = r"^[A-Za-z0-9][A-Za-z0-9 .,;:()/%+'-]{0,159}$"
FEATURE = r"^(acc|rot|thm_[1-5]|tof_[1-5])\.[a-z0-9_]{1,60}\.[a-z0-9_]{1,60}$"


def _check_name(name: str) -> str:
    if not is_own_name(name):
        raise ValueError("expected a name of own code: letters, digits and _, none of ours")
    return name


Title = Annotated[str, Field(pattern=TITLE)]
Words = Annotated[str, Field(pattern=WORDS)]
OwnName = Annotated[str, AfterValidator(_check_name)]
FeatureName = Annotated[str, Field(pattern=FEATURE)]


class OwnModel(BaseModel):
    """A model of own code, as pages describe it; attributes as of ``models.base.Model``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: Title
    phrase: Title
    step_title: Title
    step_name: Title
    inputs: Literal["features", "frames"]
    max_steps: Annotated[int, Field(ge=0, le=10**9)]
    has_importance: bool
    has_contributions: bool
    has_attention: bool
    checked_s: Annotated[float, Field(ge=0.0, le=1e6)] = 0.0


class OwnDescription(BaseModel):
    """All that the files of a run register.

    Attributes:
        models: By name.
        networks: Names.
        features: Features with words, by their name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    models: Annotated[dict[OwnName, OwnModel], Field(max_length=MAX_MODELS)] = {}
    networks: Annotated[tuple[OwnName, ...], Field(max_length=MAX_MODELS)] = ()
    features: Annotated[dict[FeatureName, Words], Field(max_length=MAX_WORDS)] = {}


_models: dict[str, OwnModel] = {}
_words: dict[str, str] = {}


def note(description: OwnDescription) -> None:
    """Remember a description for the pages; of two runs with one name, the last that was read."""
    _models.update(description.models)
    _words.update(description.features)


def described_models() -> dict[str, OwnModel]:
    """Return the models of own code of all runs that were read, by name."""
    return dict(_models)


def words_of(feature: str) -> str:
    """Return the words that own code gives to a feature, or ""."""
    return _words.get(feature, "")
