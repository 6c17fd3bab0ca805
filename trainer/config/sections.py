"""The sections of a configuration: every setting with its default and its bounds.

In: values. Out: frozen, checked sections, of which ``run_config.Config`` is made.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

SIMULATED = "simulated"  # the name of the source, perhaps with ``:SUBJECTS``

Setting = bool | int | float | str | None
Share = Annotated[float, Field(ge=0.0, le=1.0)]
PositiveShare = Annotated[float, Field(gt=0.0, le=1.0)]
ShareBelowOne = Annotated[float, Field(ge=0.0, lt=1.0)]
Rate = Annotated[float, Field(gt=0.0, le=10.0)]  # above 1 training diverges
Penalty = Annotated[float, Field(ge=0.0, le=1e6)]
Weight = Annotated[float, Field(ge=0.0, le=1e6)]  # of a model in the blend
Count = Annotated[int, Field(ge=1, le=1_000_000)]  # of rounds or epochs
Threads = Annotated[int, Field(ge=1, le=1024)]  # LightGBM crashes where the system refuses threads
Select = Literal["last", "best"]
Width = Annotated[int, Field(ge=1, le=4096)]  # of a layer

# of one of ours, or of a network in a file of the user's own code; ``Config`` checks which
OWN_NAME = r"[a-z][a-z0-9_]{0,39}"
Architecture = Annotated[str, Field(pattern=f"^{OWN_NAME}$")]
OwnFile = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,59}\.py [0-9a-f]{64}$")]
# from this number of sequences on, networks are branches (docs/experiments.md, Network)
MANY_SEQUENCES = 5_000
MOTION = {"branches": "path"}
EPOCHS = {"time_series_net": 45, "branches": 12}  # branches overfit in more
MEMBERS = {"time_series_net": 1, "branches": 3}
STATISTICS_MEMBERS = {"time_series_net": 3, "branches": 0}

MAX_WEIGHTS = 200_000_000  # of the networks of a fold: 10 GB with gradients, moments and copies


class Frozen(BaseModel):
    """Settings that cannot be changed; unknown names are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DataConfig(Frozen):
    """The recordings and their preprocessing."""

    source: str = "watch"
    sampling_rate_hz: Annotated[float, Field(gt=0.0, le=1e6)] = (
        10.0  # for axis labels only: the schema has no times
    )
    mirror_left_handers: bool = True
    turn_reversed: bool = True  # devices rotated by half a turn about z, by their recordings

    @property
    def is_simulated(self) -> bool:
        """Return whether the recordings are simulated: scores on them are not real ones."""
        return is_simulated(self.source)


class FoldsConfig(Frozen):
    """How sequences are split: by subject, stratified by gesture, or as a file assigns them.

    Without a file its settings are left out of what is written, so that such a run has the same
    ``config.json`` and the same key as before there were files.
    """

    count: Annotated[int, Field(ge=2, le=50)] = 5  # of a file: its number of folds
    # of the assignment of sequences to folds in --folds-file, whatever the file's name and format
    file_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    # the file has subjects in several folds (--allow-shared-subjects): all scores are optimistic
    shared_subjects: bool = False

    @model_serializer(mode="wrap")
    def _without_absent(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in dump(self).items() if name == "count" or value}


class FramesConfig(Frozen):
    """The network's input of one sequence."""

    # None: 95th percentile of the training part, rounded up to a multiple of 4
    length: Annotated[int, Field(ge=4, le=65_536, multiple_of=4)] | None = None


class BoostingConfig(Frozen):
    """LightGBM, boosted in segments so that a fold resumes exactly."""

    rounds: Count = 500
    segment_rounds: Annotated[int, Field(ge=1, le=500)] = (
        25  # later ones are up to four times as long
    )
    # the round of the model: the last one, so that nothing is chosen on the rows that are scored,
    # or the best one on the validation part, as in the notebook family
    select: Select = "last"
    patience_rounds: Count = 75  # of early stopping, where the best round is selected
    learning_rate: Rate = 0.05
    num_leaves: Annotated[int, Field(ge=2, le=131_072)] = 15  # LightGBM's own bound
    max_depth: Annotated[int, Field(ge=-1, le=1000)] = 8  # -1 and 0: no limit
    max_bin: Annotated[int, Field(ge=2, le=255)] = 63  # 2.4 times faster than 255 (DESIGN.md)
    min_data_in_leaf: Annotated[int, Field(ge=1, le=10_000_000)] = 5
    # per tree; 0.05 and 0.3 are compared on asl and watch in docs/experiments.md
    feature_fraction: PositiveShare = 0.05
    extra_trees: bool = True  # one random threshold of each feature
    bagging_fraction: PositiveShare = 0.8
    bagging_freq: Annotated[int, Field(ge=0, le=1_000_000)] = 1
    lambda_l1: Penalty = 0.1
    lambda_l2: Penalty = 5.0  # 0.1 is slightly worse on all sources
    # half of the competition's test sequences have neither thermopiles nor time of flight: share of
    # the training rows that get a copy with these features hidden, and share of the others in which
    # they are hidden; both are measured on simulated recordings in docs/experiments.md
    masked_copies: Share = 1.0
    modality_dropout: Share = 0.0
    # 2 threads that spin while they wait: 1.9 times faster alone, 2 to 14 times slower beside other
    # work; 2 threads that sleep: 2 times slower alone. Folds side by side use the other cores
    num_threads: Threads = 1


class NetworkConfig(Frozen):
    """The PyTorch network.

    A new run chooses what is None by the number of its sequences (``chosen_for``), and stores it.
    """

    architecture: Architecture | None = None
    epochs: Count | None = None
    # turns from step to step; or turns per duration of the sequence, which do not depend on the
    # sampling rate, and the path: heading, turns about the vertical, acceleration along the ground.
    # None: the path for branches, else steps
    motion: Literal["steps", "path"] | None = None
    batch_size: Annotated[int, Field(ge=2, le=65_536)] = 64
    learning_rate: Rate = 3e-3
    weight_decay: Penalty = 1e-2
    warmup_share: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.1  # OneCycleLR pct_start
    label_smoothing: ShareBelowOne = 0.05
    gradient_clip: Annotated[float, Field(gt=0.0, le=1e6)] = 1.0
    dropout: ShareBelowOne = 0.2
    ema_decay: ShareBelowOne = 0.0  # of the weights' moving average; 0: none
    select: Select = "last"  # as ``boosting.select``
    patience_epochs: Count = 15  # of early stopping, where the best epoch is selected
    modality_dropout: Share = 0.3
    mixup_alpha: Annotated[float, Field(ge=0.0, le=1000.0)] = 0.4  # 0: no mixup
    # standard deviation of a random rotation of the sensor about each axis; 0: none
    rotation_deg: Annotated[float, Field(ge=0.0, le=180.0)] = 10.0
    # largest share by which a sequence is made shorter or longer; 0: none
    stretch: ShareBelowOne = 0.3
    # largest share of a sequence that is cut off at its start and at its end; 0: none
    shift: Annotated[float, Field(ge=0.0, lt=0.5)] = 0.1
    # of the loss of the auxiliary targets, where they are annotated: whether the gesture is being
    # performed (phase), and the posture of the body (orientation); 0: none
    auxiliary_weight: Annotated[float, Field(ge=0.0, le=1000.0)] = 0.3
    # networks of one fold, each with its own first weights; their probabilities are averaged
    members: Annotated[int, Field(ge=1, le=16)] | None = None
    # networks on statistics of the signals beside them, averaged in the same way
    statistics_members: Annotated[int, Field(ge=0, le=16)] | None = None
    # a second network in each fold without thermopiles and time of flight, which predicts sequences
    # that have neither
    imu_network: bool = True
    conv_channels: tuple[Width, Width] = (64, 128)
    recurrent_units: Width = 64
    # changes no result, so it may depend on the clock
    save_interval_s: Annotated[float, Field(gt=0.0, le=604_800.0)] = 30.0
    num_threads: Threads = 1

    @property
    def kind(self) -> Architecture:
        """Return the architecture; where it is not chosen yet, the notebook family's."""
        return self.architecture or "time_series_net"

    @property
    def motion_channels(self) -> str:
        """Return which motion channels the frames have; steps where nothing was chosen."""
        return self.motion or "steps"

    @property
    def num_epochs(self) -> int:
        """Return the number of epochs, by default that of the architecture."""
        return self.epochs or EPOCHS.get(self.kind, EPOCHS["time_series_net"])

    @property
    def num_members(self) -> int:
        """Return the number of networks of a fold, by default that of the architecture."""
        return self.members or MEMBERS.get(self.kind, 1)

    @property
    def num_statistics_members(self) -> int:
        """Return the number of networks on statistics; none where it is not chosen yet."""
        return self.statistics_members or 0

    def chosen_for(self, num_sequences: int) -> NetworkConfig:
        """Return the settings with a choice for what is None."""
        by_size = "branches" if num_sequences >= MANY_SEQUENCES else "time_series_net"
        chosen = self.model_copy(update={"architecture": self.architecture or by_size})
        by_architecture: dict[str, Any] = {
            "motion": chosen.motion or MOTION.get(chosen.kind),
            "epochs": chosen.num_epochs,
            "members": chosen.num_members,
        }
        if chosen.statistics_members is None:
            by_architecture["statistics_members"] = STATISTICS_MEMBERS.get(chosen.kind, 0)
        return chosen.model_copy(update=by_architecture)

    @model_validator(mode="after")
    def _check_size(self) -> NetworkConfig:
        first, second = self.conv_channels
        units = self.recurrent_units
        # convolutions of up to 400 channels, LSTM and GRU in both directions, attention, head
        per_network = 7 * 400 * first + 5 * first * second + 8 * units * (second + units)
        per_network += 18 * units * units + 8 * units * units
        num_weights = per_network * self.num_members
        num_weights += 2_800_000 * self.num_statistics_members  # with 100 channels
        num_weights *= 2 if self.imu_network else 1
        if num_weights > MAX_WEIGHTS:
            raise ValueError(
                f"network: expected at most {MAX_WEIGHTS:,} weights of a fold; got about "
                f"{num_weights:,}. Lower network.conv_channels, network.recurrent_units or "
                f"network.members"
            )
        return self


class BlendConfig(Frozen):
    """The weights of folds and models."""

    lgbm_weight: Weight = 0.4  # 0.4 : 0.6 is the notebook family's
    torch_weight: Weight = 0.6
    weights: dict[str, Weight] = {}  # of other models, by name
    fold_weights: Literal["equal", "score"] = "equal"
    # divide the blend's log probabilities by the temperature with the smallest loss on the
    # out-of-fold rows of the other folds; it changes probabilities, not the predicted gesture
    calibrate: bool = True
    fail_if_torch_missing: bool = False

    @property
    def by_model(self) -> dict[str, float]:
        """Return the weight of each model; only their ratios matter."""
        return {"lgbm": self.lgbm_weight, "torch": self.torch_weight, **self.weights}

    @property
    def required_models(self) -> tuple[str, ...]:
        """Return the models without which a prediction is refused."""
        return ("torch",) if self.fail_if_torch_missing else ()


def is_simulated(source: str) -> bool:
    """Return whether a source is one of simulated recordings, by its name."""
    return source.partition(":")[0] == SIMULATED
