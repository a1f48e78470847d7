"""Running torch on one thread: calls overlap, and the last to end puts back what was."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import torch
from threadpoolctl import threadpool_info, threadpool_limits

from galfit_ml.simulate.threads import one_thread


def test_what_was_comes_back_also_after_overlapping_calls() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        meet = Barrier(2)

        def work(_: int) -> int:
            with one_thread():
                meet.wait()
                inside = torch.get_num_threads()
                meet.wait()
            return inside

        with ThreadPoolExecutor(2) as pool:
            assert list(pool.map(work, range(2))) == [1, 1]
            assert list(pool.map(lambda _: torch.get_num_threads(), range(2))) == [3, 3]
        with one_thread(), one_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def blas_threads() -> set[int]:
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_linear_algebra_of_numpy_and_scipy_too() -> None:
    with threadpool_limits(3, user_api="blas"):
        with one_thread():
            with one_thread():
                assert blas_threads() == {1}
            assert blas_threads() == {1}
        assert blas_threads() == {3}
