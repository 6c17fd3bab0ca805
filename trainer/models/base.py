"""The model interface: all that run, predict, explain, kaggle and the pages use of a model.

In: one fold's inputs and split, the configuration, a monitor, perhaps a checkpoint. Out: a
``FoldResult``; opened again, a ``FittedFold`` that predicts.

A new model is one class of this kind and one call of ``registry.register``:

    class Trees(Model):
        name, title, inputs, settings_class = "trees", "Trees", "features", TreesSettings

        def max_steps(self, config): ...  # the trees of a fold
        def fit(self, task, config, seed, fold, monitor, checkpoint=None): ...  # -> FoldResult
        def open(self, packed): ...  # -> a FittedFold with groups and predict

    registry.register(Trees())

Its settings are ``parameters.trees``, its weight in the blend ``blend.weights.trees``. Everything
else has a default. The dashboard imports the class, so methods import its library.

Shapes: N sequences, F features, K classes, C of these classes, T time steps.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from trainer.models.fold_task import CANARY_SEED, Inputs, generated_task
from trainer.models.fold_task import DataSize as DataSize
from trainer.models.fold_task import FoldTask as FoldTask
from trainer.models.fold_task import Index as Index
from trainer.models.libraries import ModelError, import_problem
from trainer.models.monitor import Monitor, SilentMonitor

if TYPE_CHECKING:
    from trainer.config import Config
    from trainer.data.preprocess import Signals
    from trainer.features.feature_table import FeatureTable
    from trainer.features.frames import Frames

Proba = NDArray[np.float64]
FileFormat = Literal["arrays", "tensors"]
# Plain data: numbers, strings, bool, None, lists, dicts with strings as keys, arrays of numbers,
# strings or bool (no structured dtype, no objects); tensors where ``file_format`` is "tensors".
Packed = dict[str, Any]
Checkpoint = dict[str, Any]


@dataclass(frozen=True)
class FoldResult:
    """One fitted fold, as its file contains it.

    Attributes:
        proba_NK: (N, K) float64, probabilities of the validation sequences by the packed model, in
            the order of ``FoldTask.valid_idx``; 0 for a class that the training part lacks.
        proba_imu_NK: The same with the features (channels) of thermopiles and time of flight set to
            NaN, those of the groups "thm" and "tof"; None where the recordings have neither.
        known_K: (K,) bool, the classes that the training part has: ``FoldTask.known_K``.
        best_step: The round or epoch that is best on the validation part, from 1; of a model that
            has no such steps, its size.
        packed: The model as plain data. With importance, ``feature_names`` contains the names of
            its columns.
        best_proba_NK: As ``proba_NK``, at ``best_step``, which is chosen on these sequences: the
            optimistic score. None leaves the model out of the optimistic scores.
        best_proba_imu_NK: The same for ``proba_imu_NK``; or None.
        gain_F: (F,) float64, total gain of each feature; None where the model has no importance.
        split_F: (F,) int64, number of splits of each feature; or None.
    """

    proba_NK: Proba
    proba_imu_NK: Proba | None
    known_K: NDArray[np.bool_]
    best_step: int
    packed: Packed
    best_proba_NK: Proba | None = None
    best_proba_imu_NK: Proba | None = None
    gain_F: NDArray[np.float64] | None = None
    split_F: Index | None = None


@dataclass(frozen=True)
class FoldContributions:
    """The contribution of each feature to the raw scores of some classes, in one fold.

    Attributes:
        names: F feature names.
        added_NCF: (N, C, F) float64, for the C requested classes.
        start_NC: (N, C) float64, the base value; ``start + sum of added`` is the raw score.
        raw_NC: (N, C) float64, the model's raw scores.
    """

    names: tuple[str, ...]
    added_NCF: Proba
    start_NC: Proba
    raw_NC: Proba


class FittedFold(ABC):
    """One fold's model, opened from its packed form."""

    @property
    @abstractmethod
    def groups(self) -> tuple[str, ...]:
        """Return the sensor groups that the model uses; see ``feature_groups``."""

    @abstractmethod
    def predict(self, inputs: Any, is_batch: bool = False) -> Proba:  # noqa: ANN401 - of Inputs
        """Return the probabilities of all sequences of the inputs, (N, K) float64.

        Args:
            inputs: A feature table or frames of any recordings, perhaps with other columns than in
                training: ``feature_table.align`` and ``frames.align_channels`` select the model's
                and set missing ones to NaN.
            is_batch: Whether there are many sequences, so that a faster order of the computation
                pays; it may change probabilities by less than 1e-6.
        """

    def gains(self) -> dict[str, float]:
        """Return the total gain of each feature; only of models with ``has_importance``."""
        raise TypeError(f"{type(self).__name__} has no importance")

    def contributions(self, table: FeatureTable, class_idx: Index) -> FoldContributions:
        """Return the contribution of each feature to the raw scores of these classes.

        Only of models with ``has_contributions``.
        """
        raise TypeError(f"{type(self).__name__} has no contributions")

    def attention(self, frames: Frames) -> NDArray[np.float64]:
        """Return the weight of each time step of the only sequence, (T,); they sum to 1.

        Only of models with ``has_attention``.
        """
        raise TypeError(f"{type(self).__name__} has no attention")


class NoSettings(BaseModel):
    """The settings of a model that has none."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Model(ABC):
    """A kind of model that a run can train.

    Attributes:
        name: Prefix of its files and columns, and its name on the command line.
        title: Its name on the screen, such as "LightGBM".
        phrase: Its name inside a sentence, such as "the network"; by default the title.
        step_title: The unit of ``best_step``, such as "round" or "epoch"; by default "step".
        step_name: The unit of progress, such as "round" or "step"; by default ``step_title``.
        inputs: What it is trained on: the feature table or the frames.
        settings_class: The class of its settings, ``parameters.<name>`` of the configuration.
        libraries: Packages that it needs, by the names under which they are imported.
        code_name: Its key in ``config.json`` ``code``; by default the name.
        code_version: Of its code, from 1. Raise it whenever a fold would get other bits; runs of
            another version are not resumed.
        fold_file: Pattern of the finished fold's file; by default ``<name>_fold{fold:02d}.pkl``.
        checkpoint_file: Pattern of the checkpoint's file; ``<name>_fold{fold:02d}_last.pkl``.
        file_format: Whether both contain plain arrays or tensors.
        has_importance: Whether a fold reports the importance of features.
        has_contributions: Whether a fitted fold has ``contributions``.
        has_attention: Whether a fitted fold has ``attention``.
        uses_gpu: Whether it is faster on a GPU.
        saves_on_pause: Whether a pause saves a checkpoint; else the work since the last is redone.
        memory_settings: Names of the settings that take most memory.
        checked_s: Seconds of a fit per sequence, as the check of own code has measured; 0 unknown.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    phrase: ClassVar[str]
    step_title: ClassVar[str] = "step"
    step_name: ClassVar[str] = "step"
    inputs: ClassVar[Inputs]
    settings_class: ClassVar[type[BaseModel]] = NoSettings
    libraries: ClassVar[tuple[str, ...]] = ()
    code_name: ClassVar[str]
    code_version: ClassVar[int] = 1
    fold_file: ClassVar[str]
    checkpoint_file: ClassVar[str]
    file_format: ClassVar[FileFormat] = "arrays"
    has_importance: ClassVar[bool] = False
    has_contributions: ClassVar[bool] = False
    has_attention: ClassVar[bool] = False
    uses_gpu: ClassVar[bool] = False
    saves_on_pause: ClassVar[bool] = False
    memory_settings: ClassVar[tuple[str, ...]] = ()
    checked_s: float = 0.0

    def __init_subclass__(cls) -> None:
        """Set the attributes that follow from others, unless the class sets them itself."""
        super().__init_subclass__()
        for attribute, source, pattern in (
            ("phrase", "title", "{}"),
            ("step_name", "step_title", "{}"),
            ("code_name", "name", "{}"),
            ("fold_file", "name", "{}_fold{{fold:02d}}.pkl"),
            ("checkpoint_file", "name", "{}_fold{{fold:02d}}_last.pkl"),
        ):
            if source in vars(cls) and attribute not in vars(cls):
                setattr(cls, attribute, pattern.format(vars(cls)[source]))

    @abstractmethod
    def max_steps(self, config: Config) -> int:
        """Return the largest number of rounds or epochs of a fold."""

    @abstractmethod
    def fit(
        self,
        task: FoldTask,
        config: Config,
        seed: int,
        fold: int,
        monitor: Monitor,
        checkpoint: Checkpoint | None = None,
    ) -> FoldResult:
        """Fit one fold, from the start or from a checkpoint; both give the same bits.

        For that, derive every seed from (seed, name, fold, step) by ``seeds.derive_seed`` instead
        of continuing a random generator, and put everything else that changes into the checkpoint.

        Args:
            task: Inputs, labels and split.
            config: The run's configuration; ``settings`` returns the model's part.
            seed: The run's seed.
            fold: From 0.
            monitor: Receives progress, records and checkpoints, and requests a stop.
            checkpoint: The last one that ``monitor.save`` received for this fold, or None.

        Raises:
            Paused: ``monitor.should_stop()`` was true at a safe point.
            DamagedDataError: The checkpoint is not of this fold.
        """

    @abstractmethod
    def open(self, packed: Mapping[str, Any]) -> FittedFold:
        """Return the model of a packed fold from anywhere, or raise ``DamagedDataError``."""

    def settings(self, config: Config) -> BaseModel:
        """Return the model's part of the configuration."""
        return self.settings_class.model_validate(config.parameters.get(self.name, {}))

    def choose_settings(self, config: Config, size: DataSize) -> Config:
        """Return the configuration of a new run with the settings that depend on its size."""
        return config

    def selects_best(self, config: Config) -> bool:
        """Return whether the model of a fold is chosen on its validation part, which is scored."""
        return False

    def num_threads(self, config: Config) -> int:
        """Return the number of threads in which a fold is fitted."""
        return 1

    def is_out_of_memory(self, error: Exception) -> bool:
        """Return whether an error of ``fit`` means too little memory."""
        return isinstance(error, MemoryError)

    def estimate_s(self, config: Config, size: DataSize) -> float:
        """Return about how many seconds a fold takes on one core, without early stopping.

        The default scales ``checked_s``, or is a minute: measure, and override it.
        """
        return self.checked_s * size.num_sequences or 60.0

    def steps_done(self, checkpoint: Checkpoint) -> int:
        """Return a checkpoint's progress in the unit of ``monitor.advance``: its ``step``."""
        return int(checkpoint["step"])

    def canary(self, config: Config) -> str:
        """Return the hash of a tiny fit: another one means other bits on this machine.

        The default fits ``generated_task``; override it where that takes more than a second.
        """
        task = generated_task(self.inputs)
        result = self.fit(task, config, CANARY_SEED, 0, SilentMonitor())
        return hashlib.sha256(result.proba_NK.tobytes()).hexdigest()

    def import_libraries(self) -> None:
        """Import what fitting needs, so that it does not count in the first fold's time.

        Raises:
            ModelError: A library cannot be imported.
        """
        if problem := import_problem(self.libraries):
            raise ModelError(f"the library of {self.phrase} cannot be imported ({problem})")

    @property
    def input_version(self) -> int:
        """Return the version of the code that makes the model's inputs."""
        if self.inputs == "features":
            from trainer.features.feature_table import FEATURE_VERSION

            return FEATURE_VERSION
        from trainer.features.frames import FRAME_VERSION

        return FRAME_VERSION

    def prepare(self, signals: Signals) -> Any:  # noqa: ANN401 - of Inputs
        """Return the model's inputs of preprocessed recordings, for prediction."""
        if self.inputs == "features":
            from trainer.features.feature_table import build_table

            return build_table(signals)
        from trainer.features.frames import build_frames

        return build_frames(signals)


def feature_groups(names: Iterable[str]) -> tuple[str, ...]:
    """Return the sensor groups of features such as "acc.x.mean" or "tof_1.all.min", in order."""
    return tuple(dict.fromkeys(name.partition(".")[0].partition("_")[0] for name in names))
