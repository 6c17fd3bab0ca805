"""The input doctor: before the answer, what is in the recordings.

In: ``Sequences``, and the run's training data where it is there. Out: ``Finding``s, warnings first.
It needs neither torch nor LightGBM. What cannot be used at all was refused before, by the data
room, with row and column.

Shapes: N sequences, T time steps of all sequences, C columns of one sensor group.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np

from trainer.data.device_orientation import correct_orientation
from trainer.data.sequences import SENSOR_GROUPS, FloatArray, Sequences
from trainer.explain.checks_training import compare
from trainer.explain.checks_values import examine_values
from trainer.explain.findings import Finding, Mask, first_of, share_text
from trainer.explain.training import Training
from trainer.predict.bundles import PredictError
from trainer.predict.predictor import Predictor

GROUP_TITLES = {
    "acc": "acceleration",
    "rot": "orientation",
    "thm": "thermopiles",
    "tof": "time of flight",
}
# The competition: acceleration never missing, orientation in 0.6 % of rows; of the others single
# sensors lack now and then, a fifth of the values each (facts/competition.md 1.4).
MOST_MISSING = {"acc": 0.02, "rot": 0.02, "thm": 0.5, "tof": 0.5}


def examine(
    sequences: Sequences, training: Training | None = None, mirror_left_handers: bool = True
) -> tuple[Finding, ...]:
    """Say what is in recordings, and what makes an answer about them doubtful.

    Args:
        sequences: The recordings.
        training: Of the run that is to be asked; None leaves its comparisons out.
        mirror_left_handers: Whether the run's models saw left-handers mirrored.

    Returns:
        Findings, warnings before notes.
    """
    findings = [*_count(sequences), *_sensors(sequences), *_hands(sequences, mirror_left_handers)]
    findings += examine_values(sequences)
    if training is not None:
        findings += compare(sequences, training, mirror_left_handers)
    return tuple(sorted(findings, key=lambda finding: finding.severity != "warning"))


def examine_for(predictor: Predictor, sequences: Sequences) -> tuple[Finding, ...]:
    """Examine recordings that a run is to be asked about, against its training data.

    Args:
        predictor: The run's models; a note says so where its training data is not with them.
        sequences: The recordings.
    """
    training: Training | None = None
    absent: tuple[Finding, ...] = ()
    try:
        training = Training.load(predictor.root)
    except PredictError as error:
        absent = (Finding("note", str(error)),)
    turned = predictor.turned_subjects
    told = examine(correct_orientation(sequences, turned), training, predictor.mirror_left_handers)
    return (*told, *note_turned(sequences, turned), *absent)


def note_turned(sequences: Sequences, turned_subjects: Collection[str]) -> tuple[Finding, ...]:
    """Return a note where recordings are turned back before the models see them.

    Args:
        sequences: The recordings.
        turned_subjects: Whose the run turned back in its training.
    """
    if sequences.subjects is None:
        return ()
    mask_N = np.isin(sequences.subjects, list(turned_subjects))
    if not mask_N.any():
        return ()
    what = f"turned back half about z ({share_text(mask_N)}): as in training, its subject's device"
    return (Finding("note", f"{what} is worn the other way round", channel="acc"),)


def warnings(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """Return the warnings among findings."""
    return tuple(finding for finding in findings if finding.severity == "warning")


def _count(sequences: Sequences) -> Iterator[Finding]:
    shortest, longest = int(sequences.lengths_N.min()), int(sequences.lengths_N.max())
    each = f"{shortest}" if shortest == longest else f"{shortest} to {longest}"
    yield Finding(
        "note",
        "what was read",
        got=f"{sequences.num_sequences:,} sequences, {int(sequences.offsets[-1]):,} rows, {each} "
        "rows each",
    )


def _sensors(sequences: Sequences) -> Iterator[Finding]:
    presence = sequences.presence()
    for group in SENSOR_GROUPS:
        if group not in presence:
            yield Finding("note", f"no {GROUP_TITLES[group]} in the recording", channel=group)
            continue
        if not presence[group].all():
            absent_N = ~presence[group]
            yield Finding(
                "note",
                f"no {GROUP_TITLES[group]} in {share_text(absent_N)}",
                sequence_id=first_of(absent_N, sequences.sequence_ids),
                channel=group,
            )
        yield from _missing(sequences, group, sequences.arrays[group], presence[group])


def _missing(
    sequences: Sequences, group: str, values_TC: FloatArray, there_N: Mask
) -> Iterator[Finding]:
    """Tell the share of values missing in the sequences that have the sensor at all."""
    missing_T = np.isnan(values_TC).mean(axis=1)
    missing_N = np.add.reduceat(missing_T, sequences.offsets[:-1]) / sequences.lengths_N
    share = float(np.average(missing_N[there_N], weights=sequences.lengths_N[there_N]))
    above_N = there_N & (missing_N > MOST_MISSING[group])
    if above_N.any():
        yield Finding(
            "warning",
            f"much of the {GROUP_TITLES[group]} is missing in {share_text(above_N)}",
            expected=f"at most {MOST_MISSING[group]:.0%} of the values",
            got=f"up to {missing_N[above_N].max():.0%}",
            sequence_id=first_of(above_N, sequences.sequence_ids),
            channel=group,
        )
    else:
        got = f"{share:.1%} of the values missing" if share else "every value"
        yield Finding("note", f"{GROUP_TITLES[group]} present", got=got, channel=group)


def _hands(sequences: Sequences, mirror_left_handers: bool) -> Iterator[Finding]:
    left_N = sequences.right_handed_N == 0
    unknown_N = np.isnan(sequences.right_handed_N)
    if left_N.any():
        then = "mirrored before the models see it" if mirror_left_handers else "used as it is"
        yield Finding(
            "note",
            f"a left hand in {share_text(left_N)}, {then}",
            sequence_id=first_of(left_N, sequences.sequence_ids),
        )
    if unknown_N.any():
        yield Finding(
            "note",
            f"the hand is not known in {share_text(unknown_N)}, taken for a right one",
            sequence_id=first_of(unknown_N, sequences.sequence_ids),
        )
