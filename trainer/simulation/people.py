"""People: body, hand, habits, and defects of the device.

In: a seed and a number. Out: ``Person``, which depends on nothing else.

Shapes: G gestures, 5 sensors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trainer.simulation.geometry import Floats
from trainer.simulation.gestures import GESTURES

# By number, so that the first twenty are the same people in every simulation. In the competition,
# of 81: two have a reversed device, two lack sensor 5, 111 recordings are missing.
REVERSED = (6, 15)
WITHOUT_SENSOR_5 = (23, 61)
STOPPED_EARLY = {30: 51, 48: 60}  # number of recordings that are missing

BODY_STREAM, TRIAL_STREAM, NOISE_STREAM, GAP_STREAM = range(4)
HABIT = 0.42  # variation between people; simple features score as on the real recordings
REFERENCE_HEIGHT_CM = 170.0  # of the body that the gestures are described for


@dataclass(frozen=True)
class Person:
    """One person, as a right-hander; recordings of left-handers are mirrored at the end.

    Attributes:
        number: From 0.
        age: Years.
        is_male: As in the demographics.
        is_right_handed: As in the demographics.
        height_cm: Body height.
        shoulder_to_wrist_cm: Length of the arm without the hand.
        elbow_to_wrist_cm: Length of the forearm.
        heading: Where the body faces, rad from north.
        mounting: How the device is turned on the forearm: around it, across it, on it, rad.
        reach_G3: What is added to the direction from fingertips to wrist.
        touch_G3: What is added to where the fingertips are, m.
        stroke_G3: What is added to the movement, of its own length.
        log_rhythm_G: Of the own rhythm over the usual one.
        log_stroke_G: Of the own movement over the usual one.
        roll_G: What is added to the forearm's turn, rad.
        swivel_G: What is added to the elbow's lift, rad.
        ambient_c: What a thermopile shows with nothing in front, degrees Celsius.
        offset_c_5: What each thermopile shows too much, degrees Celsius.
        log_range: Log gain of the time of flight, which is not calibrated.
    """

    number: int
    age: int
    is_male: bool
    is_right_handed: bool
    height_cm: float
    shoulder_to_wrist_cm: int
    elbow_to_wrist_cm: float
    heading: float
    mounting: Floats
    reach_G3: Floats
    touch_G3: Floats
    stroke_G3: Floats
    log_rhythm_G: Floats
    log_stroke_G: Floats
    roll_G: Floats
    swivel_G: Floats
    ambient_c: float
    offset_c_5: Floats
    log_range: float

    @property
    def name(self) -> str:
        """Return the value of the column ``subject``."""
        return f"SUBJ_{self.number:06d}"

    @property
    def scale(self) -> float:
        """Return the height over that of the body the gestures are described for."""
        return self.height_cm / REFERENCE_HEIGHT_CM


def random_stream(seed: int, number: int, stream: int) -> np.random.Generator:
    """Return the random numbers of one purpose of one person."""
    return np.random.default_rng([seed, number, stream])


def make_person(seed: int, number: int) -> Person:
    """Return a person, different for each seed and number.

    Args:
        seed: Not negative.
        number: From 0.
    """
    rng = random_stream(seed, number, BODY_STREAM)
    is_adult = rng.random() < 0.52
    age = int(rng.integers(18, 54) if is_adult else rng.integers(10, 18))
    is_male = bool(rng.random() < 0.6)
    grown_cm = (177.0 if is_male else 164.0) - 4.5 * max(0, 17 - age)
    height_cm = float(np.round(np.clip(rng.normal(grown_cm, 7.0), 130.0, 200.0), 1))
    arm_cm = height_cm * rng.normal(0.306, 0.010)
    num = len(GESTURES)
    lift = HABIT * rng.normal(0, 0.22)
    turn = HABIT * rng.normal(0, 0.25)
    tempo = HABIT * rng.normal(0, 0.22)
    size = HABIT * rng.normal(0, 0.28)
    return Person(
        number=number,
        age=age,
        is_male=is_male,
        is_right_handed=bool(rng.random() < 0.877),
        height_cm=height_cm,
        shoulder_to_wrist_cm=int(arm_cm),
        elbow_to_wrist_cm=float(np.round(arm_cm * rng.normal(0.49, 0.012) * 2) / 2),
        heading=rng.normal(np.radians(130), 0.45),  # competition.md 3.2
        mounting=HABIT * rng.normal(0, 1, 3) * (0.22, 0.07, 0.10),
        reach_G3=HABIT * rng.normal(0, 0.22, (num, 3)),
        touch_G3=HABIT * rng.normal(0, 0.014, (num, 3)),
        stroke_G3=HABIT * rng.normal(0, 0.40, (num, 3)),
        log_rhythm_G=tempo + HABIT * rng.normal(0, 0.22, num),
        log_stroke_G=size + HABIT * rng.normal(0, 0.30, num),
        roll_G=turn + HABIT * rng.normal(0, 0.25, num),
        swivel_G=lift + HABIT * rng.normal(0, 0.18, num),
        ambient_c=rng.normal(31.4, 2.2),
        offset_c_5=rng.normal(0, 0.5, 5),
        log_range=rng.normal(0, 0.12),
    )
