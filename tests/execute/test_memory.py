"""The memory limit against trees of control groups of both versions."""

from pathlib import Path

import pytest

from emtkit import StudyError
from emtkit.study import rows
from emtkit.study.memory import bytes_text, memory_limit
from emtkit.study.plan import plan_study

GIB = 2**30
BOTH = "4:memory:/job/7\n1:cpu:/\n0::/\n"


@pytest.mark.parametrize(
    ("groups", "file", "limit"),
    [
        ("0::/\n", "memory.max", GIB),
        ("0::/job/7\n", "job/7/memory.max", GIB),
        ("0::/job/7\n", "job/memory.max", GIB),
        (BOTH, "memory/job/7/memory.limit_in_bytes", GIB),
        (BOTH, "memory/job/memory.limit_in_bytes", GIB),
        (BOTH, "memory/other/memory.limit_in_bytes", None),
        ("1:cpu:/job\n", "job/memory.max", None),
    ],
)
def test_least_limit_of_a_group_and_its_parents(
    tmp_path: Path, groups: str, file: str, limit: int | None
) -> None:
    machine = memory_limit(tmp_path)
    assert machine > GIB
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(groups)
    written = tmp_path / "sys/fs/cgroup" / file
    written.parent.mkdir(parents=True)
    written.write_text(f"{GIB}\n")
    assert memory_limit(tmp_path) == (limit or machine)
    written.write_text("max\n")
    assert memory_limit(tmp_path) == machine


def planned(**network):
    return plan_study({"tasks": [{"use": "k_delay"}], "architectures": [network]})


def test_a_network_that_does_not_fit_is_a_mistake_of_the_study():
    """1e6 units of `elman`: W_hh, W_uh, W_r; weights, gradient and two numbers of adam each."""
    count = 10**12 + 2 * 10**6
    with pytest.raises(StudyError) as told:
        planned(use="elman", hidden=1_000_000)
    assert f"{count:,} weights, and needs 16.0 TB ({16 * count:,} bytes" in str(told.value)
    assert f"this machine has {bytes_text(memory_limit())}" in str(told.value)
    assert "architectures[0]" in str(told.value)


@pytest.mark.parametrize(("there", "fits"), [(16 * (3000**2 + 6000), True), (16 * 3000**2, False)])
def test_what_just_fits_is_planned(monkeypatch, there, fits):
    monkeypatch.setattr(rows, "memory_limit", lambda: there)
    monkeypatch.setattr("emtkit.study.memory.memory_limit", lambda: there)
    if fits:
        assert planned(use="elman", hidden=3000).cells
    else:
        with pytest.raises(StudyError, match="9,006,000 weights"):
            planned(use="elman", hidden=3000)
