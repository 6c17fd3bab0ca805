"""Models: one LightGBM fold, one network fold; they report through a monitor and know no files."""
