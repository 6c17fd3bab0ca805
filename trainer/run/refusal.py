"""Refusal: something that is not done, with the reason and the ways on."""


class RefusedError(RuntimeError):
    """A request that would lose or mix results; the message says what to do instead."""
