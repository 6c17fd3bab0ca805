"""Features of your own: how fast the acceleration changes (jerk), over the whole recording."""

import numpy as np

from trainer.extend import Signals, TimeAxis, feature_block

WORDS = {
    "acc.jerk.mean": "mean change of the acceleration per step",
    "acc.jerk.max": "largest change of the acceleration per step",
    "acc.jerk.late_share": "share of the last 40 % of the recording in all changes",
}


@feature_block("jerk", WORDS)
def jerk(signals: Signals, axis: TimeAxis) -> dict[str, np.ndarray]:
    acc_T3 = np.nan_to_num(signals.motion_TS[:, :3]).astype(np.float64)  # m/s2, with gravity
    jerk_T = np.linalg.norm(np.diff(acc_T3, axis=0, prepend=acc_T3[:1]), axis=1)
    jerk_T[axis.position_T == 0] = 0.0  # the step before belongs to another sequence
    total_N = axis.whole.total(jerk_T)[:, 0]
    late_N = axis.early_and_late.total(jerk_T)[:, 1]
    return {
        "acc.jerk.mean": total_N / np.diff(axis.offsets),
        "acc.jerk.max": axis.whole.reduce(np.maximum, jerk_T)[:, 0],
        "acc.jerk.late_share": late_N / np.maximum(total_N, 1e-9),
    }
