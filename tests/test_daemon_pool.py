"""Threads that run functions."""

import threading
from functools import partial

import pytest

from swf_cli.daemon_pool import DaemonPool
from tests.helpers.cli import wait_until


def threads(name: str) -> list[threading.Thread]:
    """Return the threads of a pool."""
    return [thread for thread in threading.enumerate() if thread.name == name]


def test_no_more_threads_than_are_needed() -> None:
    """One is started when all are busy, up to the maximum; the functions run in their order; then all end."""
    pool, go, done = DaemonPool("test pool", 2), threading.Event(), list[int]()

    def run(number: int) -> None:
        go.wait(60)
        done.append(number)

    for number in range(4):
        pool.submit(partial(run, number))
        assert len(threads("test pool")) == min(number + 1, 2)
    assert all(thread.daemon for thread in threads("test pool"))
    go.set()
    wait_until(lambda: sorted(done) == [0, 1, 2, 3])
    pool.submit(partial(run, 4))
    wait_until(lambda: len(done) == 5)
    assert len(threads("test pool")) == 2
    pool.close()
    wait_until(lambda: threads("test pool") == [])


def test_a_machine_without_more_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one is needed; after that, those that were started run everything."""
    pool, done = DaemonPool("test pool", 8), threading.Event()
    pool.start_thread()
    release = threading.Event()
    pool.submit(partial(release.wait, 60))

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        pool.submit(done.set)
        with pytest.raises(RuntimeError):
            pool.start_thread()
    release.set()
    assert done.wait(60)
    pool.close()
    wait_until(lambda: threads("test pool") == [])
