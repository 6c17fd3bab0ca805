"""Meanings of feature names, in words.

In: ``sensor.signal.statistic``. Out: a phrase such as "mean of the turn about the vertical in time
bin 2". Every name of the feature table has one; a name of another version of the table may not.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from trainer.features.feature_table import FeatureError, parse_name
from trainer.features.grid import GridRegion, find_region
from trainer.own_description import words_of

_VECTORS = {
    "acc": "the acceleration (with gravity)",
    "linear": "the acceleration (without gravity)",
    "gravity": "gravity",
    "omega": "the turn",
}
_ALONG = {
    "acc": "the acceleration along {} (with gravity)",
    "linear": "the acceleration along {} (without gravity)",
    "gravity": "gravity along {}",
    "omega": "the turn about {}",
}
_SIGNALS = {
    **{f"{name}_{axis}": of.format(axis) for name, of in _ALONG.items() for axis in "xyz"},
    **{f"rot_{part}": f"part {part} of the orientation's quaternion" for part in "wxyz"},
    "acc_norm": "the size of the acceleration (with gravity)",
    "linear_norm": "the size of the acceleration (without gravity)",
    "omega_norm": "the speed of turning",
    "vertical": "the acceleration upwards (without gravity)",
    "horizontal_norm": "the size of the acceleration along the ground",
    "turn_rate": "the turn about the vertical",
    "tilt_rate": "the turn about the horizontal",
    "heading": "the heading of the arm, from its mean",
    "forward": "the acceleration forward along the ground",
    "sideways": "the acceleration sideways along the ground",
    "temperature": "the temperature",
    "range_mean": "the mean range of an image",
    "range_std": "the spread of the ranges of an image",
    "range_min": "the nearest range of an image",
    "range_max": "the farthest range of an image",
    "in_range_share": "the share of pixels in range",
    "image": "an image",
}
_LATE = "the last 40 % of the recording"
_OF_ONE = {
    "mean": "mean of {}",
    "std": "spread of {}",
    "min": "lowest value of {}",
    "max": "highest value of {}",
    "range": "range of {}",
    "first": "first value of {}",
    "last": "last value of {}",
    "delta": "last minus first value of {}",
    "median": "median of {}",
    "iqr": "width of the middle half of {}",
    "num_mean_crossings": "how often {} crosses its mean",
    "step_mean": "mean size of the steps of {}",
    "step_std": "spread of the sizes of the steps of {}",
    "step_max": "largest step of {}",
    "step_skewness": "skewness of the steps of {}: above 0, rises are steeper than falls",
    "num_turns": "how often {} turns from rising to falling or back",
    "late_minus_early": f"mean of {{}} in {_LATE}, minus the mean before",
    "late_to_early_std": f"spread of {{}} in {_LATE}, as a multiple of the spread before",
    "dominant_frequency": "strongest frequency of {}, cycles per step",
    "dominant_share": "share of the strongest frequency in all of {}",
    "spectral_centroid": "mean frequency of {}, cycles per step",
    "spectral_entropy": "how evenly {} is spread over all frequencies, 0 to 1",
    "max_at": "when {} is highest, 0 the first step, 1 the last",
    "min_at": "when {} is lowest, 0 the first step, 1 the last",
    "energy_at": "when {} is farthest from its mean, 0 the first step, 1 the last",
    "present_share": "share of the steps with {}",
    "variance_share": "share of {} in the variance of all three axes",
}
_OF_TWO = {
    "correlation": "correlation of {} and {}",
    "leading": "correlation of {} with {} two steps later",
    "following": "correlation of {} with {} two steps before",
    "step_correlation": "correlation of {} with how fast {} changes",
    "size_correlation": "correlation of {} with the size of {}",
    "area": "signed area swept by {} and {}: above 0, the first is ahead",
    "scaled_area": "signed area swept by {} and {}, per spread of both: above 0, the first is "
    "ahead",
}
_OF_A_VECTOR = "share of principal axis {} in the variance of {}"
_LAG = re.compile(r"autocorr(\d+)")
_BAND = re.compile(r"band(\d+)_share")
_BIN = re.compile(r"bin(\d+)_(\w+)")
_AXES = re.compile(r"(\w+)_([xyz])([xyz])")
_PRINCIPAL = re.compile(r"principal(\d)_share")


def meaning_of(feature: str) -> str:
    """Describe a feature in words; "" where this version of the table has no such name.

    Features of the user's own code have the words that it gives them.
    """
    return _our_meaning(feature) or words_of(feature)


def _our_meaning(feature: str) -> str:
    try:
        name = parse_name(feature)
    except FeatureError:
        return ""
    if name.signal == "length":
        return "length of the recording, steps"
    region = find_region(name.sensor, name.signal)
    if region is not None:
        return _of_region(region, name.statistic)
    if name.signal.startswith("minus_"):
        signals = [f"the temperature minus that of {name.signal.removeprefix('minus_')}"]
    elif name.signal in _VECTORS and (principal := _PRINCIPAL.fullmatch(name.statistic)):
        return _OF_A_VECTOR.format(principal[1], _VECTORS[name.signal])
    else:
        signals = [_SIGNALS[signal] for signal in motion_names(name.signal, _SIGNALS)]
    if name.statistic in _OF_TWO:
        return _OF_TWO[name.statistic].format(*(signals * 2)[:2]) if signals else ""
    return _of_one(name.statistic, signals[0]) if len(signals) == 1 else ""


def motion_names(signal: str, known: Collection[str]) -> list[str]:
    """Return the motion signals of a feature: one, two that it relates, or a vector's three."""
    if signal in known:
        return [signal]
    related = [(one, signal.removeprefix(f"{one}_")) for one in known if signal.startswith(one)]
    both = [pair for pair in related if pair[1] in known]
    if both:
        return list(both[0])
    axes = _AXES.fullmatch(signal)
    stem, letters = (axes[1], axes[2] + axes[3]) if axes else (signal, "xyz")
    return [name for name in (f"{stem}_{letter}" for letter in letters) if name in known]


def _of_one(statistic: str, signal: str) -> str:
    if statistic in _OF_ONE:
        return _OF_ONE[statistic].format(signal)
    if in_bin := _BIN.fullmatch(statistic):
        return f"{_of_one(in_bin[2], signal)} in time bin {in_bin[1]}"
    if statistic.startswith("late_"):
        return f"{_of_one(statistic.removeprefix('late_'), signal)} in {_LATE}"
    if lag := _LAG.fullmatch(statistic):
        steps = "one step" if lag[1] == "1" else f"{lag[1]} steps"
        return f"correlation of {signal} with itself {steps} later"
    if band := _BAND.fullmatch(statistic):
        return f"share of frequency band {band[1]} in all of {signal}"
    return ""


def _of_region(region: GridRegion, statistic: str) -> str:
    quantity = {
        "late_mean": "mean range",
        "late_min": "nearest range",
        "late_in_range_share": "share of pixels in range",
    }.get(statistic)
    rows, columns = (f"{span[0]} to {span[-1]}" for span in (region.rows, region.columns))
    return f"{quantity} in rows {rows}, columns {columns}, in {_LATE}" if quantity else ""
