"""The memory limit against trees of control groups of both versions."""

from pathlib import Path

import pytest

from emtkit.execute.engines._memory import memory_limit

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
