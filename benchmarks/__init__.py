"""Measurements, run by hand; each prints ratios against something in the same run."""
