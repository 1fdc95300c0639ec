"""The benchmarks run: at their smallest, for they use what no other test calls in their way."""

import torch

from benchmarks import scale
from benchmarks.__main__ import programs_of
from benchmarks.cases import CASES
from emtkit import Registry


def test_every_program_does_the_iterations_it_is_asked_for():
    threads = torch.get_num_threads()
    programs = programs_of(CASES[-1], 2, Registry.installed())
    assert {"nn.RNN", "products", "dense", "dense fixed", "vmap"} <= programs.keys()
    assert all(program(1) >= 1 for program in programs.values())
    torch.set_num_threads(threads)


def test_cells_are_planned_stored_and_read_by_number():
    found = scale.measure(20)
    assert found["cells"] == 20
    assert {"plan_s", "run_s", "rerun_s", "frame_s", "store_mb"} <= found.keys()
