"""Gestures: 18 of them in 4 postures, and the 102 recordings of one person.

In: nothing. Out: tables of constants.

Body frame, for a right-hander of 1.70 m: origin at the base of the neck, x to the right, y forward,
z towards the crown. Left-handers are the mirror image.
"""

from __future__ import annotations

from dataclasses import dataclass

Vector = tuple[float, ...]

POSTURES = (
    "Seated Straight",
    "Seated Lean Non Dom - FACE DOWN",
    "Lie on Back",
    "Lie on Side - Non Dominant",
)
STRAIGHT, LEAN, BACK, SIDE = range(4)
BEHAVIOURS = ("Moves hand to target location", "Relaxes and moves hand to target location")
PAUSE, PERFORM = "Hand at target location", "Performs gesture"

# kind: Target or Non-target. rows: of a recording on average (competition.md 1.6). thing: half the
# length of the held object. postures: Straight, Lean, Back, siDe; which three the three free
# gestures have, and that six are done sitting straight, is assumed: known is only how many pairs
# there are (competition.md 1.7).
_KINDS = """
gesture                                    | kind | rows | postures | thing cm
Above ear - pull hair                      | T    | 63.6 | SLBD     | 0
Cheek - pinch skin                         | T    | 63   | SLBD     | 0
Eyebrow - pull hair                        | T    | 69.4 | SLBD     | 0
Eyelash - pull hair                        | T    | 62.8 | SLBD     | 0
Forehead - pull hairline                   | T    | 63.8 | SLBD     | 0
Forehead - scratch                         | T    | 63.9 | SLBD     | 0
Neck - pinch skin                          | T    | 63.3 | SLBD     | 0
Neck - scratch                             | T    | 88.5 | SLBD     | 0
Drink from bottle/cup                      | N    | 81   | S        | 9
Feel around in tray and pull out an object | N    | 106  | S        | 3
Glasses on/off                             | N    | 84   | S        | 6
Pinch knee/leg skin                        | N    | 61   | S        | 0
Pull air toward your face                  | N    | 64.4 | SBD      | 0
Scratch knee/leg skin                      | N    | 76.6 | S        | 0
Text on phone                              | N    | 91.3 | SLBD     | 7
Wave hello                                 | N    | 71.9 | SLB      | 0
Write name in air                          | N    | 65.5 | SLD      | 0
Write name on leg                          | N    | 63   | S        | 0
"""

# touches: where the fingertips are. wrist: the direction from there to the wrist. palm: where it
# faces; "head": always to the head. lift: of the elbow, sideways, rad.
_PLACES = """
gesture                                    | touches cm    | wrist %    | palm %     | lift
Above ear - pull hair                      | 7.5 2 21      | 60 30 -55  | head       | 0.35
Cheek - pinch skin                         | 5 9 12        | 35 45 -70  | head       | 0.1
Eyebrow - pull hair                        | 3.5 11.5 20   | 45 55 -60  | head       | 0.2
Eyelash - pull hair                        | 3.3 11.5 18   | 40 60 -65  | head       | 0.15
Forehead - pull hairline                   | 2 10 26.5     | 50 60 -35  | head       | 0.4
Forehead - scratch                         | 1.5 11.5 23.5 | 50 60 -45  | head       | 0.35
Neck - pinch skin                          | 5 5 4         | 45 60 -45  | head       | 0
Neck - scratch                             | 5 1 4.5       | 65 45 -25  | head       | 0.1
Drink from bottle/cup                      | 6 20 2        | 75 5 -45   | -80 -20 10 | 0.3
Feel around in tray and pull out an object | 6 42 -44      | 40 -65 60  | 0 20 -100  | 0.1
Glasses on/off                             | 8 14 14       | 45 35 -70  | head       | 0.2
Pinch knee/leg skin                        | 12 40 -46     | 25 -65 65  | 0 10 -100  | 0
Pull air toward your face                  | 6 36 10       | 40 -20 -85 | 0 -100 20  | 0.1
Scratch knee/leg skin                      | 12 42 -46     | 20 -70 65  | 0 10 -100  | 0
Text on phone                              | 2 30 -20      | 75 -10 -40 | -20 -50 80 | 0
Wave hello                                 | 30 30 20      | 20 -10 -95 | 0 100 10   | 0
Write name in air                          | 14 50 2       | 20 -90 -30 | -30 40 -80 | 0
Write name on leg                          | 11 36 -46     | 30 -60 70  | 0 20 -100  | 0
"""

# Hz: frequency of the movement. square: 0 a sine, 3 nearly a square. stroke: half of it.
# second: half of a second movement, at ratio times the frequency.
_RHYTHMS = """
gesture                                    | Hz   | square | stroke mm  | second mm | ratio
Above ear - pull hair                      | 1.15 | 1.2    | 20 5 12    | 3 6 0     | 2
Cheek - pinch skin                         | 1.45 | 0.6    | 3 8 5      | 4 0 3     | 1
Eyebrow - pull hair                        | 1    | 1.4    | 4 16 3     | 3 0 3     | 2
Eyelash - pull hair                        | 0.85 | 1.6    | 3 13 -4    | 2 0 3     | 2
Forehead - pull hairline                   | 1.05 | 1.3    | 5 16 12    | 4 4 0     | 2
Forehead - scratch                         | 2.6  | 0.2    | 6 2 10     | 3 2 0     | 1
Neck - pinch skin                          | 1.4  | 0.6    | 3 8 4      | 4 0 3     | 1
Neck - scratch                             | 2.5  | 0.2    | 4 4 10     | 2 4 0     | 1
Drink from bottle/cup                      | 0.4  | 1.2    | 20 -65 120 | 0 8 8     | 2
Feel around in tray and pull out an object | 0.55 | 1      | 45 26 24   | 16 30 8   | 2.7
Glasses on/off                             | 0.45 | 1.4    | 26 85 -70  | 8 8 8     | 2
Pinch knee/leg skin                        | 1.4  | 0.6    | 3 5 8      | 3 0 2     | 1
Pull air toward your face                  | 1    | 0.5    | 8 62 14    | 0 7 17    | 2
Scratch knee/leg skin                      | 2.5  | 0.2    | 4 14 3     | 5 0 2     | 1
Text on phone                              | 2.2  | 0.3    | 2 2 1      | 1 2 1     | 1.7
Wave hello                                 | 1.7  | 0.3    | 42 7 7     | 0 0 9     | 2
Write name in air                          | 1.1  | 0.3    | 33 4 14    | 10 7 33   | 1.62
Write name on leg                          | 1.2  | 0.3    | 25 6 2     | 8 25 3    | 1.62
"""

# roll: half of the forearm's turn, rad. flex: half of the wrist's bending, rad, which changes
# the time of flight and not the acceleration.
_TURNS = """
gesture                                    | roll | flex
Above ear - pull hair                      | 0.16 | 0.2
Cheek - pinch skin                         | 0.13 | 0.25
Eyebrow - pull hair                        | 0.1  | 0.25
Eyelash - pull hair                        | 0.07 | 0.25
Forehead - pull hairline                   | 0.13 | 0.2
Forehead - scratch                         | 0.09 | 0.35
Neck - pinch skin                          | 0.13 | 0.25
Neck - scratch                             | 0.09 | 0.35
Drink from bottle/cup                      | 0.3  | 0.2
Feel around in tray and pull out an object | 0.2  | 0.25
Glasses on/off                             | 0.3  | 0.2
Pinch knee/leg skin                        | 0.12 | 0.3
Pull air toward your face                  | 0.1  | 0.35
Scratch knee/leg skin                      | 0.06 | 0.35
Text on phone                              | 0.03 | 0.12
Wave hello                                 | 0.15 | 0.1
Write name in air                          | 0.1  | 0.1
Write name on leg                          | 0.08 | 0.15
"""


@dataclass(frozen=True)
class Gesture:
    """One gesture, a row of each table; lengths in m, angles in rad.

    Attributes:
        name: As in the column ``gesture``.
        is_target: Whether it is a body-focused repetitive behaviour.
        mean_rows: Of a recording.
        touches: Where the fingertips are.
        wrist: Direction from there to the wrist.
        palm: Where the palm faces; all zero: to the head.
        lift: How far the elbow is lifted sideways.
        postures: Positions in POSTURES.
        thing_m: Half the length of the held object; 0: none.
        rhythm_hz: Frequency of the movement.
        sharpness: Of its wave.
        stroke: Half of the movement.
        stroke_2: Half of the second movement.
        ratio_2: Of its rhythm to the first.
        roll: Half of the forearm's turn.
        flex: Half of the wrist's bending.
    """

    name: str
    is_target: bool
    mean_rows: float
    touches: Vector
    wrist: Vector
    palm: Vector
    lift: float
    postures: tuple[int, ...]
    thing_m: float
    rhythm_hz: float
    sharpness: float
    stroke: Vector
    stroke_2: Vector
    ratio_2: float
    roll: float
    flex: float


def _rows(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("|")] for line in table.strip().splitlines()[1:]]


def _vector(cell: str, scale: float) -> Vector:
    return tuple(float(part) * scale for part in cell.split())


def _gesture(kinds: list[str], places: list[str], rhythms: list[str], turns: list[str]) -> Gesture:
    name, kind, rows, postures, thing_cm = kinds
    _, touches, wrist, palm, lift = places
    _, rhythm_hz, sharpness, stroke, stroke_2, ratio = rhythms
    _, roll, flex = turns
    return Gesture(
        name=name,
        is_target=kind == "T",
        mean_rows=float(rows),
        touches=_vector(touches, 0.01),
        wrist=_vector(wrist, 0.01),
        palm=(0.0, 0.0, 0.0) if palm == "head" else _vector(palm, 0.01),
        lift=float(lift),
        postures=tuple("SLBD".index(letter) for letter in postures),
        thing_m=float(thing_cm) * 0.01,
        rhythm_hz=float(rhythm_hz),
        sharpness=float(sharpness),
        stroke=_vector(stroke, 0.001),
        stroke_2=_vector(stroke_2, 0.001),
        ratio_2=float(ratio),
        roll=float(roll),
        flex=float(flex),
    )


# In class order: targets first, both kinds alphabetical.
GESTURES = tuple(map(_gesture, *(_rows(t) for t in (_KINDS, _PLACES, _RHYTHMS, _TURNS))))

# (initial behaviour, posture, gesture) of every recording of one person: 2 x 51 = 102
DESIGN = tuple(
    (behaviour, posture, number)
    for behaviour in range(len(BEHAVIOURS))
    for number, gesture in enumerate(GESTURES)
    for posture in gesture.postures
)
