"""Refusal: something that is not done, with the reason and the ways on."""


class RefusedError(RuntimeError):
    """Asked for something that would lose, mix or guess; the message says what to do instead."""
