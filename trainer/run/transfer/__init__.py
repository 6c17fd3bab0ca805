"""Export, import, adoption of a run found elsewhere, verification."""
