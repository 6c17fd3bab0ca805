"""All checks: those of a run's recordings, and those of recordings to predict.

In: ``Sequences``. Out: ``Check``s for the Data page; ``Finding``s for the Predict page, ``predict``
and the report.
"""

from __future__ import annotations

from trainer.data.quality.acceleration import check_acceleration
from trainer.data.quality.contents import check_duplicates, check_phases
from trainer.data.quality.findings import Check, Finding
from trainer.data.quality.presence import check_hands, check_sensors
from trainer.data.quality.quaternions import check_agreement, check_quaternion_lengths
from trainer.data.quality.reversed_devices import check_device_orientation
from trainer.data.quality.training_comparison import TrainingSummary, compare
from trainer.data.quality.values import check_ranges, check_stuck_channels
from trainer.data.sequences import Sequences


def check_recordings(sequences: Sequences) -> tuple[Check, ...]:
    """Return every check of a run's recordings, in the order in which they are shown."""
    return (
        check_device_orientation(sequences),
        check_hands(sequences),
        check_sensors(sequences),
        check_acceleration(sequences),
        check_quaternion_lengths(sequences),
        check_agreement(sequences),
        check_ranges(sequences),
        check_stuck_channels(sequences),
        check_duplicates(sequences),
        check_phases(sequences),
    )


def check_input(
    sequences: Sequences,
    training: TrainingSummary | None = None,
    mirror_left_handers: bool = True,
) -> tuple[Finding, ...]:
    """Return what recordings contain, and what makes a prediction for them doubtful.

    Args:
        sequences: The recordings, device orientation corrected.
        training: Of the run that predicts; None: nothing is compared with it.
        mirror_left_handers: Whether the run's models are given left-handers mirrored.

    Returns:
        Findings, warnings before notes.
    """
    lengths = check_quaternion_lengths(sequences)
    findings = [
        _describe_size(sequences),
        *check_sensors(sequences).findings,
        *check_hands(sequences, mirror_left_handers).findings,
        *check_acceleration(sequences).findings,
        *(lengths.findings if lengths.is_possible else ()),  # the sensors' check names its absence
        *check_ranges(sequences).findings,
        *check_stuck_channels(sequences).findings,
    ]
    if training is not None:
        findings += compare(sequences, training, mirror_left_handers)
    return tuple(sorted(findings, key=lambda finding: finding.severity != "warning"))


def _describe_size(sequences: Sequences) -> Finding:
    shortest, longest = int(sequences.lengths_N.min()), int(sequences.lengths_N.max())
    each = f"{shortest}" if shortest == longest else f"{shortest} to {longest}"
    return Finding(
        "note",
        "recordings",
        got=f"{sequences.num_sequences:,} sequences, {int(sequences.offsets[-1]):,} rows, {each} "
        "rows each",
    )
