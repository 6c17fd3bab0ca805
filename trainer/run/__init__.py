"""Runs: the order of the stages, control, workers, transfer."""


class RefusedError(RuntimeError):
    """A request that would lose or mix results; the message names the alternatives."""


class LibraryError(RefusedError):
    """A library that a run needs cannot be imported; the message names it and the way on."""
