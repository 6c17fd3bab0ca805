"""The model interface: all that run, predict, explain, kaggle and the pages use of a model.

In: one fold's inputs and split, the configuration, a monitor, perhaps a checkpoint. Out: a
``FoldResult``; opened again, a ``FittedFold`` that predicts.

A new model is one class of this kind and one call of ``registry.register``. It is imported with the
dashboard, so it imports its library inside its methods.

Shapes: N sequences, F features, K classes, P classes that a fold was trained on.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pydantic import BaseModel

    from trainer.config import Config
    from trainer.data.preprocess import Signals
    from trainer.data.sequences import Annotations
    from trainer.features.feature_table import FeatureTable
    from trainer.features.frames import Frames
    from trainer.models.monitor import Monitor

Proba = NDArray[np.float64]
Index = NDArray[np.int64]
Packed = dict[str, Any]  # arrays, strings, numbers, lists and dicts of them
Checkpoint = dict[str, Any]  # the same, or tensors where the model's files hold tensors
Inputs = Literal["features", "frames"]
FileFormat = Literal["arrays", "tensors"]


@dataclass(frozen=True)
class DataSize:
    """How large recordings are, for an estimate of the time that training takes."""

    num_sequences: int
    num_rows: int
    num_classes: int
    num_features: int
    has_optional_sensors: bool = False  # thermopiles or time of flight


@dataclass(frozen=True)
class FoldTask:
    """What one fold is fitted on.

    Attributes:
        inputs: The feature table or the frames of all sequences, as ``Model.inputs`` says.
        label_idx: (N,) int64 class indices, targets first.
        num_classes: K.
        num_targets: How many of the K classes are targets.
        train_idx: Sequences to train on.
        valid_idx: Sequences to validate on: early stopping and scores.
        annotations: Phase and posture, where the recordings have them.
    """

    inputs: Any
    label_idx: Index
    num_classes: int
    num_targets: int
    train_idx: Index
    valid_idx: Index
    annotations: Annotations


@dataclass(frozen=True)
class FoldResult:
    """One fitted fold, as its file holds it.

    Attributes:
        proba_NK: (N, K) float64, probabilities of the validation sequences, in their order.
        proba_imu_NK: The same with thermopiles and time of flight hidden; None where the
            recordings have neither.
        known_K: (K,) bool, the classes that the training part has.
        best_step: The round or epoch of the model, from 1.
        packed: The model as plain data. With importance, ``feature_names`` names its columns.
        last_proba_NK: As ``proba_NK``, at the step that was fixed in advance; or None.
        last_proba_imu_NK: The same for ``proba_imu_NK``; or None.
        gain_F: (F,) float64, total gain of each feature; None where the model has no importance.
        split_F: (F,) int64, number of splits of each feature; or None.
    """

    proba_NK: Proba
    proba_imu_NK: Proba | None
    known_K: NDArray[np.bool_]
    best_step: int
    packed: Packed
    last_proba_NK: Proba | None = None
    last_proba_imu_NK: Proba | None = None
    gain_F: NDArray[np.float64] | None = None
    split_F: Index | None = None


@dataclass(frozen=True)
class FoldContributions:
    """What each feature adds to the raw scores of some classes, in one fold.

    Attributes:
        names: F feature names.
        added_NCF: (N, C, F) float64, for the C classes that were asked for.
        start_NC: (N, C) float64, where the model starts; ``start + sum of added`` is the raw score.
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
        """Return the sensor groups that the model uses."""

    @abstractmethod
    def predict(self, inputs: Any, is_batch: bool = False) -> Proba:  # noqa: ANN401 - of Inputs
        """Return the probabilities of all sequences of the inputs, (N, K) float64.

        Args:
            inputs: A feature table or frames of any recordings; what they lack is missing.
            is_batch: Whether there are many sequences, so that a quicker order of the computation
                pays; it may move probabilities by less than 1e-6.
        """

    def gains(self) -> dict[str, float]:
        """Return the total gain of each feature.

        Only of models with ``has_importance``.
        """
        raise TypeError(f"{type(self).__name__} has no importance")

    def contributions(self, table: FeatureTable, class_idx: Index) -> FoldContributions:
        """Return what each feature adds to the raw scores of these classes.

        Only of models with ``has_contributions``.
        """
        raise TypeError(f"{type(self).__name__} has no contributions")

    def attention(self, frames: Frames) -> NDArray[np.float64]:
        """Return the weight of each time step of the only sequence, (T,); they sum to 1.

        Only of models with ``has_attention``.
        """
        raise TypeError(f"{type(self).__name__} has no attention")


class Model(ABC):
    """A kind of model that a run can train.

    Attributes:
        name: Prefix of its files and columns, and its name on the command line.
        title: Its name on the screen, such as "LightGBM".
        phrase: Its name inside a sentence, such as "the network".
        step_title: What is counted up to the best one: "round", "epoch".
        step_name: What progress is counted in: "round", "step".
        inputs: What it is trained on: the feature table or the frames.
        libraries: Packages that it needs, as they are imported.
        code_name: Its key in ``config.json`` ``code``.
        code_version: Raise it whenever a fold would come out with other bits.
        fold_file: Pattern of the finished fold's file, with ``{fold:02d}``.
        checkpoint_file: Pattern of the file to resume from.
        file_format: Whether both hold plain arrays or tensors.
        has_importance: Whether a fold reports the importance of features.
        has_contributions: Whether a fitted fold has ``contributions``.
        has_attention: Whether a fitted fold has ``attention``.
        uses_gpu: Whether it is faster on a GPU.
        saves_on_pause: Whether it saves when it is paused; else the work since the last checkpoint
            is redone.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    phrase: ClassVar[str]
    step_title: ClassVar[str]
    step_name: ClassVar[str]
    inputs: ClassVar[Inputs]
    libraries: ClassVar[tuple[str, ...]]
    code_name: ClassVar[str]
    code_version: ClassVar[int]
    fold_file: ClassVar[str]
    checkpoint_file: ClassVar[str]
    file_format: ClassVar[FileFormat] = "arrays"
    has_importance: ClassVar[bool] = False
    has_contributions: ClassVar[bool] = False
    has_attention: ClassVar[bool] = False
    uses_gpu: ClassVar[bool] = False
    saves_on_pause: ClassVar[bool] = False

    @abstractmethod
    def settings(self, config: Config) -> BaseModel:
        """Return the model's part of the configuration."""

    @abstractmethod
    def max_steps(self, config: Config) -> int:
        """Return how many rounds or epochs a fold has at most."""

    @abstractmethod
    def fixed_step(self, config: Config) -> int:
        """Return the round or epoch whose score is reported without a choice on the scored rows."""

    @abstractmethod
    def num_threads(self, config: Config) -> int:
        """Return the threads that fitting a fold uses."""

    @abstractmethod
    def estimate_s(self, config: Config, size: DataSize) -> float:
        """Return about how many seconds a fold takes on one core, without early stopping."""

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

        Args:
            task: Inputs, labels and split.
            config: The run's configuration.
            seed: The run's seed; all randomness is derived from it.
            fold: From 0.
            monitor: Receives steps, curve points and checkpoints; says when to stop.
            checkpoint: What ``monitor.save`` got last for this fold, or None.

        Raises:
            Paused: The monitor asked to stop.
        """

    @abstractmethod
    def steps_done(self, checkpoint: Checkpoint) -> int:
        """Return how many steps of progress a checkpoint holds."""

    @abstractmethod
    def open(self, packed: Mapping[str, Any]) -> FittedFold:
        """Return the model of a packed fold."""

    @abstractmethod
    def canary(self, config: Config) -> str:
        """Return the hash of a tiny fit: another one means other bits on this machine."""

    def import_libraries(self) -> None:
        """Import what fitting needs, so that it is not counted as a fold's time."""
        for library in self.libraries:
            importlib.import_module(library)

    @property
    def input_version(self) -> int:
        """Return the version of the code that makes the model's inputs."""
        if self.inputs == "features":
            from trainer.features.feature_table import FEATURE_VERSION

            return FEATURE_VERSION
        from trainer.features.frames import FRAME_VERSION

        return FRAME_VERSION

    def prepare(self, signals: Signals) -> Any:  # noqa: ANN401 - of Inputs
        """Return the model's inputs of preprocessed recordings."""
        if self.inputs == "features":
            from trainer.features.feature_table import build_table

            return build_table(signals)
        from trainer.features.frames import build_frames

        return build_frames(signals)
