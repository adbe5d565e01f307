"""The cache stays within its bytes, runs equal requests once, and passes errors on without keeping them."""

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pytest

from model_runtime.capture.trace_cache import TraceCache, _Flight

WAIT = 10.0  # seconds; reached only when something is broken


def block(n_bytes: int) -> np.ndarray:
    return np.zeros(n_bytes, dtype=np.uint8)


def wait_until_joined(cache: TraceCache, count: int) -> None:
    end = time.monotonic() + WAIT
    while cache.stats.joined < count:
        assert time.monotonic() < end, f"{cache.stats.joined} of {count} requests joined"
        time.sleep(0.001)


def test_second_request_is_answered_from_the_cache() -> None:
    cache = TraceCache(100)
    first = cache.get("a", lambda: block(10))
    assert cache.get("a", lambda: pytest.fail("computed twice")) is first
    assert (cache.stats.hits, cache.stats.misses, cache.stats.bytes) == (1, 1, 10)


def test_least_recently_used_goes_first_and_bytes_stay_bounded() -> None:
    cache = TraceCache(100)
    for key in "abc":
        cache.get(key, lambda: block(30))
    cache.get("a", lambda: pytest.fail("a was kept"))  # now b is the oldest
    cache.get("d", lambda: block(30))
    assert cache.stats.bytes == 90
    assert cache.stats.evictions == 1
    cache.get("a", lambda: pytest.fail("a was used after b"))
    recomputed = []
    cache.get("b", lambda: recomputed.append(1) or block(30))
    assert recomputed


def test_one_large_value_may_push_out_several() -> None:
    cache = TraceCache(100)
    for key in "abc":
        cache.get(key, lambda: block(30))
    cache.get("large", lambda: block(95))
    assert (cache.stats.entries, cache.stats.bytes, cache.stats.evictions) == (1, 95, 3)


def test_value_larger_than_the_budget_is_returned_and_not_kept() -> None:
    cache = TraceCache(100)
    cache.get("small", lambda: block(60))
    assert cache.get("huge", lambda: block(101)).nbytes == 101
    assert (cache.stats.entries, cache.stats.bytes, cache.stats.too_large) == (1, 60, 1)


def test_budget_of_zero_keeps_nothing() -> None:
    cache = TraceCache(0)
    cache.get("a", lambda: block(1))
    assert cache.stats.entries == 0
    with pytest.raises(ValueError, match="-1"):
        TraceCache(-1)


def test_equal_requests_in_flight_are_computed_once() -> None:
    cache = TraceCache(100)
    release = threading.Event()
    runs = []

    def slow() -> np.ndarray:
        runs.append(threading.get_ident())
        assert release.wait(WAIT)
        return block(10)

    with ThreadPoolExecutor(16) as pool:
        futures = [pool.submit(cache.get, "a", slow) for _ in range(16)]
        wait_until_joined(cache, 15)
        release.set()
        values = [future.result(WAIT) for future in futures]
    assert len(runs) == 1
    assert all(value is values[0] for value in values)


def test_waiters_share_a_value_that_is_too_large_to_keep() -> None:
    cache = TraceCache(0)
    release = threading.Event()

    def slow() -> np.ndarray:
        assert release.wait(WAIT)
        return block(10)

    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(cache.get, "a", slow) for _ in range(4)]
        wait_until_joined(cache, 3)
        release.set()
        values = [future.result(WAIT) for future in futures]
    assert all(value is values[0] for value in values)
    assert cache.stats.misses == 1


def test_other_keys_are_served_while_one_is_computed() -> None:
    cache = TraceCache(100)
    started, release = threading.Event(), threading.Event()

    def slow() -> np.ndarray:
        started.set()
        assert release.wait(WAIT)
        return block(10)

    with ThreadPoolExecutor(2) as pool:
        slow_one = pool.submit(cache.get, "slow", slow)
        assert started.wait(WAIT)
        assert pool.submit(cache.get, "quick", lambda: block(1)).result(WAIT).nbytes == 1
        assert not slow_one.done()
        release.set()
        slow_one.result(WAIT)


def test_error_reaches_all_who_waited_and_is_not_kept() -> None:
    cache = TraceCache(100)
    release = threading.Event()

    def broken() -> np.ndarray:
        assert release.wait(WAIT)
        raise LookupError("no such layer")

    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(cache.get, "a", broken) for _ in range(8)]
        wait_until_joined(cache, 7)
        release.set()
        for future in futures:
            with pytest.raises(LookupError, match="no such layer"):
                future.result(WAIT)
    assert cache.stats.misses == 1
    assert cache.get("a", lambda: block(10)).nbytes == 10


def test_a_stopped_session_does_not_stop_those_who_wait() -> None:
    class SessionStopped(BaseException):
        """Stands for Streamlit's rerun and stop, which are no `Exception`s."""

    cache = TraceCache(100)
    started, release = threading.Event(), threading.Event()

    def stopped() -> np.ndarray:
        started.set()
        assert release.wait(WAIT)
        raise SessionStopped

    def first_session() -> str:
        try:
            cache.get("a", stopped)
        except SessionStopped:
            return "stopped"
        return "went on"

    runs = []
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(first_session)
        assert started.wait(WAIT)
        others = [pool.submit(cache.get, "a", lambda: runs.append(1) or block(10)) for _ in range(3)]
        wait_until_joined(cache, 3)
        release.set()
        assert first.result(WAIT) == "stopped"
        assert [other.result(WAIT).nbytes for other in others] == [10, 10, 10]
    assert len(runs) == 1


@pytest.mark.parametrize("error", [None, TimeoutError("its own")])
def test_a_value_that_comes_when_a_wait_is_over_is_no_time_out(error: Exception | None) -> None:
    class Late(Future):  # type: ignore[type-arg]
        def result(self, timeout: float | None = None) -> object:
            if self.done():
                return super().result(timeout)
            self.set_exception(error) if error else self.set_result(block(1))
            raise TimeoutError

    flight = _Flight()
    flight.result = Late()
    if error is None:
        assert flight.wait(lambda: None).nbytes == 1
    else:
        with pytest.raises(TimeoutError, match="its own"):
            flight.wait(lambda: None)


def test_computing_a_key_from_itself_raises_instead_of_waiting_for_ever() -> None:
    cache = TraceCache(100)
    with pytest.raises(RuntimeError, match="asked for itself"):
        cache.get("a", lambda: cache.get("a", lambda: block(1)))
    assert cache.get("a", lambda: cache.get("b", lambda: block(1))).nbytes == 1


def test_clear_forgets_values() -> None:
    cache = TraceCache(100)
    cache.get("a", lambda: block(10))
    cache.clear()
    assert (cache.stats.entries, cache.stats.bytes) == (0, 0)


def test_many_threads_and_keys_keep_the_books_right() -> None:
    cache = TraceCache(200)

    def work(seed: int) -> None:
        for step in range(200):
            size = (seed * 7 + step * 3) % 50
            assert cache.get(size, lambda size=size: block(size)).nbytes == size
            assert cache.stats.bytes <= 200

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, range(16)))
    stats = cache.stats
    assert stats.hits + stats.misses + stats.joined >= 16 * 200
    assert stats.bytes == sum(size for _, size in cache._kept.values()) <= 200
