"""One sequence at a time: what most explanations ask for.

In: ``Sequences``. Out: nothing, or a ``PredictError``.
"""

from __future__ import annotations

from trainer.data.sequences import Sequences
from trainer.predict.bundles import PredictError


def demand_one(sequence: Sequences) -> None:
    """Refuse several sequences.

    Raises:
        PredictError: There is not exactly one.
    """
    if sequence.num_sequences != 1:
        raise PredictError(
            f"expected one sequence to explain, got {sequence.num_sequences}. Select one of them"
        )
