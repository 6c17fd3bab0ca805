"""Quality checks of recordings, used by the Data page, the Predict page and ``predict``.

In: ``Sequences``. Out: ``Check``s and ``Finding``s. Nothing is changed in the recordings. What
cannot be used at all was refused before, by ``raw_table``, with row and column.
"""
