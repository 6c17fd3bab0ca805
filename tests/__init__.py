"""Tests: a file per room; `builders` makes small tables in the competition's schema."""
