"""The benchmarks' report: a new measurement replaces the section of the earlier one."""

from __future__ import annotations

import importlib

import pytest

from benchmarks.__main__ import NAMES
from benchmarks.report import Row, at_least, at_most, processor_name, write_section


def test_a_benchmark_that_is_run_again_replaces_its_own_section(tmp_path):
    """The other sections keep their figures and dates."""
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
    """An aim is "at most" or "at least": the limit itself counts as met."""
    assert at_most("x", 1.0, 1.0).is_met
    assert at_least("x", 1.0, 1.0).is_met
    assert not at_most("x", 1.01, 1.0).is_met
    assert not at_least("x", 0.99, 1.0).is_met


def test_the_name_of_the_processor_is_read_from_cpuinfo(tmp_path):
    """Figures are only comparable on the same processor."""
    info = tmp_path / "cpuinfo"
    info.write_text("processor\t: 0\nmodel name\t: Quick 9000 @ 3 GHz\n")
    assert processor_name(info) == "Quick 9000 @ 3 GHz"


@pytest.mark.parametrize("name", NAMES)
def test_every_benchmark_can_be_run_by_its_name(name):
    """Every name in the list is a module with a purpose and a measurement."""
    benchmark = importlib.import_module(f"benchmarks.{name}")
    assert benchmark.PURPOSE.endswith(".")
    assert callable(benchmark.measure)
