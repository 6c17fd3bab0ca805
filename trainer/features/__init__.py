"""Signals in; the feature table for LightGBM and the frames for the network out."""
