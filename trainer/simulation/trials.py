"""Trials: the parameters of every recording of a person, drawn once.

In: a person. Out: ``Trials``, arrays with one entry per recording.

Shapes: N recordings.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.simulation.geometry import Floats, unit
from trainer.simulation.gestures import DESIGN, GESTURES, STRAIGHT
from trainer.simulation.people import (
    STOPPED_EARLY,
    TRIAL_STREAM,
    Person,
    random_stream,
)

Ints = NDArray[np.int64]

RATE_HZ = 10.0
MIN_ROWS, MAX_ROWS = 29, 700
MIN_GESTURE_ROWS, MAX_GESTURE_ROWS = 3, 71
HAND_M = 0.15  # from the wrist to the fingertips that touch

# Where a resting wrist is and where its palm faces, by posture; body frame of gestures.py.
_REST_M = ((0.15, 0.30, -0.44), (0.12, 0.34, -0.36), (0.24, 0.10, -0.48), (0.12, 0.30, -0.30))
_REST_PALM = ((-0.2, 0.2, -1.0), (-0.4, 0.2, -1.0), (-0.4, -0.9, 0.0), (-0.9, 0.0, -0.4))
_TREMORS = 3


@dataclass(frozen=True)
class Trials:
    """The parameters of N recordings; times in seconds from the first row, angles in rad.

    Attributes:
        behaviour_N, posture_N, gesture_N: Positions in the tables of ``gestures``.
        lead_N, pause_N, perform_N: Rows of each part.
        leaves_N: 1 where the hand is at the target first and relaxes, else 0.
        leave_s_N, arrive_s_N, move_s_N: Start of leaving and of arriving; duration of each.
        rest_N3, target_N3, arc_N3: Where the wrist rests and works, and the detour between, m.
        rest_palm_N3, palm_N3: Where the palm faces; zero: to the head.
        swivel_N, roll_N: Of elbow and forearm, rad.
        rhythm_hz_N, wander_N, wander_hz_N, phase_N, sharpness_N: Of the movement.
        stroke_N3, stroke_2_N3, ratio_N: Its two parts, m, and the ratio of their rhythms.
        roll_swing_N, flex_N, flex_swing_N: What turns and bends with it.
        bout_hz_N, bout_phase_N, bout_depth_N: Of the bouts of the movement.
        sway_N33, sway_hz_N3, sway_phase_N3: Tremor and sway by axis, m.
        heading_N, tilt_N3: Orientation of the body in the world.
        head_N3: What is added to the place of the head, m.
        thing_m_N: Half the length of the held object.
    """

    behaviour_N: Ints
    posture_N: Ints
    gesture_N: Ints
    lead_N: Ints
    pause_N: Ints
    perform_N: Ints
    leaves_N: Floats
    leave_s_N: Floats
    arrive_s_N: Floats
    move_s_N: Floats
    rest_N3: Floats
    target_N3: Floats
    arc_N3: Floats
    rest_palm_N3: Floats
    palm_N3: Floats
    swivel_N: Floats
    roll_N: Floats
    rhythm_hz_N: Floats
    wander_N: Floats
    wander_hz_N: Floats
    phase_N: Floats
    sharpness_N: Floats
    stroke_N3: Floats
    stroke_2_N3: Floats
    ratio_N: Floats
    roll_swing_N: Floats
    flex_N: Floats
    flex_swing_N: Floats
    bout_hz_N: Floats
    bout_phase_N: Floats
    bout_depth_N: Floats
    sway_N33: Floats
    sway_hz_N3: Floats
    sway_phase_N3: Floats
    heading_N: Floats
    tilt_N3: Floats
    head_N3: Floats
    thing_m_N: Floats

    @property
    def rows_N(self) -> Ints:
        """Return the rows of each recording."""
        return self.lead_N + self.pause_N + self.perform_N

    def take(self, trial_idx: Ints) -> Trials:
        """Return the parameters of the given recordings, or of the recording of each row."""
        parts = {part.name: getattr(self, part.name) for part in dataclasses.fields(self)}
        return Trials(**{name: values[trial_idx] for name, values in parts.items()})


def make_trials(seed: int, person: Person) -> Trials:
    """Return all recordings of a person, in the order in which they were made."""
    rng = random_stream(seed, person.number, TRIAL_STREAM)
    design_N3 = np.array(DESIGN)[_recorded(rng, person.number)]
    behaviour_N, posture_N, gesture_N = design_N3.T
    lead_N, pause_N, perform_N = _lengths(rng, behaviour_N, gesture_N)
    num = len(design_N3)
    move_s_N = np.clip(rng.normal(0.95, 0.2, num), 0.6, 1.6)
    arrive_s_N = lead_N / RATE_HZ - move_s_N * rng.uniform(0.8, 1.0, num)
    return Trials(
        behaviour_N=behaviour_N,
        posture_N=posture_N,
        gesture_N=gesture_N,
        lead_N=lead_N,
        pause_N=pause_N,
        perform_N=perform_N,
        leaves_N=behaviour_N.astype(np.float64),
        leave_s_N=rng.uniform(0.0, 0.3, num) * np.maximum(arrive_s_N, 0),
        arrive_s_N=arrive_s_N,
        move_s_N=move_s_N,
        **_places(rng, person, posture_N, gesture_N),
        **_rhythms(rng, person, gesture_N),
        bout_hz_N=rng.uniform(0.15, 0.45, num),
        bout_phase_N=rng.uniform(0, 2 * np.pi, num),
        bout_depth_N=rng.uniform(0, 0.9, num) ** 2,
        sway_N33=rng.normal(0, 1, (num, 3, _TREMORS)) * (0.006, 0.0012, 0.00012),
        sway_hz_N3=rng.uniform(0.75, 1.25, (num, _TREMORS)) * (0.25, 1.1, 6.0),
        sway_phase_N3=rng.uniform(0, 2 * np.pi, (num, _TREMORS)),
        heading_N=person.heading + rng.normal(0, 0.12, num),
        tilt_N3=rng.normal(0, 0.10, (num, 3)),
        head_N3=rng.normal(0, 0.012, (num, 3)),
    )


def _recorded(rng: np.random.Generator, number: int) -> Ints:
    """Return which recordings of the design were made, shuffled; those missing are similar."""
    num_missing = STOPPED_EARLY.get(number, 0)
    # straight first, so that a posture is missing after an early stop; then by initial behaviour
    order = sorted(range(len(DESIGN)), key=lambda i: DESIGN[i][1] != STRAIGHT)
    if num_missing == len(DESIGN) // 2:
        order = sorted(range(len(DESIGN)), key=lambda i: DESIGN[i][0])
    return rng.permutation(np.array(order)[: len(DESIGN) - num_missing])


def _lengths(
    rng: np.random.Generator, behaviour_N: Ints, gesture_N: Ints
) -> tuple[Ints, Ints, Ints]:
    """Return the rows of lead, pause and gesture."""
    num = len(gesture_N)
    perform_N = np.rint(31.3 + rng.laplace(0, 2.1, num)).astype(np.int64)
    odd_N = rng.integers(MIN_GESTURE_ROWS, MAX_GESTURE_ROWS + 1, num)
    perform_N = np.where(rng.random(num) < 0.01, odd_N, perform_N)
    perform_N = np.clip(perform_N, MIN_GESTURE_ROWS, MAX_GESTURE_ROWS)
    pause_N = np.rint(8.2 * np.exp(rng.normal(0, 0.82, num))).astype(np.int64)
    mean_rows = np.array([gesture.mean_rows for gesture in GESTURES])
    slow_N = ((mean_rows[gesture_N] - 31.4) / 39.1) ** 0.8  # 31.4 of the 70.5 rows are the gesture
    median_N = np.where(behaviour_N == 0, 28.5, 12.5)
    stretch_N = np.exp(rng.normal(0, np.where(behaviour_N == 0, 0.72, 0.60)))
    stretch_N *= np.where(rng.random(num) < 0.012, 6.0, 1.0)  # interrupted
    lead_N = np.rint(median_N * slow_N * stretch_N).astype(np.int64)
    least_N = np.maximum(6, MIN_ROWS - pause_N - perform_N)
    return np.clip(lead_N, least_N, MAX_ROWS - pause_N - perform_N), pause_N, perform_N


def _places(
    rng: np.random.Generator, person: Person, posture_N: Ints, gesture_N: Ints
) -> dict[str, Floats]:
    """Return the positions of the wrist at rest and at its target, and the pose of the arm."""
    num = len(gesture_N)
    touches, wrist, palm = (
        np.array([getattr(gesture, name) for gesture in GESTURES])[gesture_N]
        for name in ("touches", "wrist", "palm")
    )
    touch_N3 = touches + person.touch_G3[gesture_N] + rng.normal(0, 0.008, (num, 3))
    reach_N3 = unit(wrist + person.reach_G3[gesture_N] + rng.normal(0, 0.09, (num, 3)))
    is_free = np.abs(palm).sum(axis=1, keepdims=True) > 0
    free_N3 = palm + rng.normal(0, 0.15, (num, 3))
    rest_N3 = np.array(_REST_M)[posture_N] + rng.normal(0, 0.045, (num, 3))
    swivel = np.array([gesture.lift for gesture in GESTURES])[gesture_N]
    objects = np.array([gesture.thing_m for gesture in GESTURES])[gesture_N]
    return {
        "rest_N3": rest_N3 * person.scale,
        "target_N3": (touch_N3 + HAND_M * reach_N3) * person.scale,
        "arc_N3": rng.normal((0.03, 0.06, 0.0), 0.03, (num, 3)),
        "rest_palm_N3": np.array(_REST_PALM)[posture_N] + rng.normal(0, 0.20, (num, 3)),
        "palm_N3": np.where(is_free, free_N3, 0.0),
        "swivel_N": swivel + person.swivel_G[gesture_N] + rng.normal(0, 0.12, num),
        "roll_N": person.roll_G[gesture_N] + rng.normal(0, 0.15, num),
        "thing_m_N": objects,
    }


def _rhythms(rng: np.random.Generator, person: Person, gesture_N: Ints) -> dict[str, Floats]:
    """Return the movement of the hand at its target."""
    num = len(gesture_N)

    def column(name: str) -> Floats:
        values: Floats = np.array([getattr(gesture, name) for gesture in GESTURES])[gesture_N]
        return values

    size_N = np.exp(person.log_stroke_G[gesture_N] + rng.normal(0, 0.22, num))
    stroke_N3 = column("stroke")
    length_N1 = np.linalg.norm(stroke_N3, axis=1, keepdims=True)
    bent_N3 = stroke_N3 + length_N1 * (person.stroke_G3[gesture_N] + rng.normal(0, 0.2, (num, 3)))
    tempo_N = np.exp(person.log_rhythm_G[gesture_N] + rng.normal(0, 0.13, num))
    return {
        "rhythm_hz_N": np.minimum(column("rhythm_hz") * tempo_N, 4.0),
        "wander_N": rng.uniform(0.2, 1.2, num),
        "wander_hz_N": rng.uniform(0.1, 0.5, num),
        "phase_N": rng.uniform(0, 2 * np.pi, num),
        "sharpness_N": column("sharpness") * rng.uniform(0.5, 1.5, num),
        "stroke_N3": bent_N3 * size_N[:, None],
        "stroke_2_N3": column("stroke_2") * size_N[:, None] * rng.uniform(0.5, 1.5, (num, 1)),
        "ratio_N": column("ratio_2"),
        "roll_swing_N": column("roll") * size_N * rng.uniform(0.4, 1.6, num),
        "flex_N": rng.normal(0.25, 0.2, num),
        "flex_swing_N": column("flex") * rng.uniform(0.5, 1.5, num),
    }
