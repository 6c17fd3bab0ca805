"""Bounds: where a value, a share or a distance becomes a warning.

Real recordings (``watch``, an arm band's, the competition's two) and simulated ones cross none of
the bounds of units, lengths and ranges.
"""

from __future__ import annotations

# Acceleration, by the median length of a sequence's vectors.
# A hand at rest has 9.81, vigorous shoulder exercises (watch) up to 21.
WITH_GRAVITY_MPS2 = (7.0, 30.0)
IN_G = (0.85, 1.15)  # in units of the earth's gravity
STEADY = 0.7  # of the median length; random movement about zero reaches 0.5
MIN_CLIPPED_MPS2 = 15.0  # no sensor's range ends below 2 g = 19.6; some headroom for its offset
CLIPPED_STEPS = 4  # equal extreme values in a row

# Orientation.
NORM_TOLERANCE = 0.01  # of a quaternion's length; real devices are off by 0.00006 at most
MAX_ANGLE_DEG = 30.0  # between gravity and acceleration; real devices: 1 to 21 by subject

# Values that the device can give.
ACC_RANGE_MPS2 = (-157.0, 157.0)  # 16 g, the widest setting of the device's chip
ROT_RANGE = (-1.0 - NORM_TOLERANCE, 1.0 + NORM_TOLERANCE)
THM_RANGE_C = (18.0, 40.0)  # others are missing values for the 6th, 10th and 12th place
TOF_RANGE = (-1.0, 254.0)  # -1: nothing in range
MAX_NOTHING_IN_RANGE = 0.98  # share of a time-of-flight sensor's pixels; 0.57 in the competition
STUCK_STEPS = 8  # a channel that is equal for fewer may be a hand at rest

# Share of missing values. The competition: acceleration never missing, orientation in 0.6 % of
# rows; of the others single sensors lack now and then, a fifth of the values each
# (facts/competition.md 1.4).
MAX_MISSING = {"acc": 0.02, "rot": 0.02, "thm": 0.5, "tof": 0.5}

# Pose compared with the training data.
USUAL_PERCENTILE = 95  # of distances within the training data: beyond it a pose is unusual
NEARER = 0.5  # rotated, the pose must be at most half as far
