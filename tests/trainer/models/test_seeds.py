"""Derived seeds: fixed numbers, different for every use."""

from trainer.models.seeds import derive_seed


def test_a_seed_is_a_function_of_its_use():
    """31 bits of a SHA-256 of the run's seed and the use; fixed forever."""
    assert derive_seed(42, "lgbm", 0, "bagging", 0) == 1715304929
    assert derive_seed(42, "lgbm", 0, "bagging", 25) != derive_seed(42, "lgbm", 0, "bagging", 0)
    assert all(0 <= derive_seed(seed, "x") < 2**31 for seed in range(100))
