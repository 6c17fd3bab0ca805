"""Folds side by side: processes of this machine, or the workers of a Dask cluster."""
