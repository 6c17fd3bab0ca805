"""Export, import, adoption of a run found elsewhere, renaming and deleting, verification."""
