"""The benchmarks' report: what is measured again replaces what was measured before."""

from __future__ import annotations

import importlib

import pytest

from benchmarks.__main__ import NAMES
from benchmarks.report import Row, at_least, at_most, processor_name, write_section


def test_a_benchmark_that_is_run_again_replaces_its_own_section(tmp_path):
    """The others keep their figures, and their dates with them."""
    path = tmp_path / "benchmarks.md"
    write_section("features", "Reading.", [at_most("all", 4.0, 5.0, " s")], 0.5, path)
    write_section("boosting", "Trees.", [Row("rounds", "7")], 0.0, path)
    first = path.read_text()
    write_section("features", "Reading.", [at_most("all", 6.0, 5.0, " s")], 1.5, path)
    second = path.read_text()
    assert "| all | 4.00 s | at most 5 s | yes |" in first
    assert "| all | 6.00 s | at most 5 s | no |" in second
    assert "4.00 s" not in second
    assert first.count("## features") == second.count("## features") == 1
    assert second.count("| rounds | 7 |  |  |") == 1
    assert "load before 1.5" in second


def test_a_limit_itself_is_met():
    """An aim says at most, or at least: the figure itself is good."""
    assert at_most("x", 1.0, 1.0).is_met
    assert at_least("x", 1.0, 1.0).is_met
    assert not at_most("x", 1.01, 1.0).is_met
    assert not at_least("x", 0.99, 1.0).is_met


def test_the_processor_has_its_name_from_the_system(tmp_path):
    """A figure without its machine says nothing."""
    info = tmp_path / "cpuinfo"
    info.write_text("processor\t: 0\nmodel name\t: Quick 9000 @ 3 GHz\n")
    assert processor_name(info) == "Quick 9000 @ 3 GHz"


@pytest.mark.parametrize("name", NAMES)
def test_every_benchmark_can_be_run_by_its_name(name):
    """What the one command lists is there, and says what it measures."""
    benchmark = importlib.import_module(f"benchmarks.{name}")
    assert benchmark.PURPOSE.endswith(".")
    assert callable(benchmark.measure)
