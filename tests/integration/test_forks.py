"""Two processes on one thread, on real servers."""

from __future__ import annotations

from tests.contract.test_forks import test_two_processes_on_one_thread_fork_it

__all__ = ["test_two_processes_on_one_thread_fork_it"]
