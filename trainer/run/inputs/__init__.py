"""What a run is trained on: recordings, feature table, frames."""
