"""Turns of threads: one at a time, and nobody waits for long."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from swf_cli.turns import Turns, waiting

LONG = 60.0  # seconds


@pytest.fixture
def start() -> Iterator[Callable[[Callable[[], object]], threading.Thread]]:
    """Return what runs a function in a thread, which has ended when the test ends."""
    with ExitStack() as stack:

        def started(function: Callable[[], object]) -> threading.Thread:
            thread = threading.Thread(target=function)
            thread.start()
            stack.callback(thread.join)
            return thread

        yield started


Start = Callable[[Callable[[], object]], threading.Thread]


def test_one_thread_at_a_time(start: Start) -> None:
    """Threads that take part never run together, however often they wait in between."""
    turns, running, most = Turns(patience=LONG), 0, 0

    def work() -> None:
        nonlocal running, most
        with turns.member():
            for _ in range(200):
                running += 1
                most = max(most, running)
                sum(range(500))
                running -= 1
                with waiting():
                    pass

    for thread in [start(work) for _ in range(4)]:
        thread.join()
    assert most == 1


def test_others_run_while_one_waits(start: Start) -> None:
    """Within `waiting` a thread has no turn, also if it says so twice; after it, it has one again."""
    turns, is_waiting, go_on = Turns(patience=LONG), threading.Event(), threading.Event()
    order: list[str] = []

    def work() -> None:
        with turns.member():
            with waiting(), waiting():
                is_waiting.set()
                assert go_on.wait(LONG)
            order.append("first")

    first = start(work)
    assert is_waiting.wait(LONG)
    with turns.member():
        go_on.set()
        order.append("second")
    first.join()
    assert order == ["second", "first"]


def test_a_thread_that_hangs_is_overtaken(start: Start) -> None:
    """A thread that waits without saying so holds up the next one for a moment, and the others not at all."""
    turns, has_turn, go_on = Turns(patience=0.001), threading.Event(), threading.Event()

    def hang() -> None:
        with turns.member():
            has_turn.set()
            assert go_on.wait(LONG)
            with waiting():
                pass

    hanging = start(hang)
    assert has_turn.wait(LONG)
    for _ in range(2):
        with turns.member(), waiting():
            assert hanging.is_alive()
    go_on.set()
    hanging.join()


def test_the_turn_passes_on_after_an_error() -> None:
    """An exception in a thread, or in what it waits for, leaves nobody waiting."""
    turns = Turns(patience=LONG)
    for _ in range(2):
        with pytest.raises(OSError, match="broken"), turns.member(), waiting():
            raise OSError("broken")
        with pytest.raises(OSError, match="broken"), turns.member():
            raise OSError("broken")


def test_threads_that_take_no_part(start: Start) -> None:
    """Other threads wait as they like."""
    turns, done = Turns(patience=LONG), threading.Event()

    def wait() -> None:
        with waiting():
            done.set()

    with turns.member():
        start(wait)
        assert done.wait(LONG)
