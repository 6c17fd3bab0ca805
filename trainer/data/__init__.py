"""Raw tables in the competition's schema in, checked ``Sequences`` and ``Signals`` out."""
