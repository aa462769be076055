"""Stop signals: requests to stop, their duplicates, and events that a signal handler may set."""

import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from swf_cli.errors import Signalled
from swf_cli.polling import STOP_NOTICE
from swf_cli.signals import (
    STOP_SIGNALS,
    ProcessSignals,
    SignalSafeEvent,
    StopRequest,
    defer_stop_signals,
    handle_stop_signals,
    raise_on_stop_signals,
    signal_waiter,
)
from tests.helpers.clock import FakeClock

each_stop_signal = pytest.mark.parametrize("number", STOP_SIGNALS, ids=lambda number: number.name)


@pytest.fixture(autouse=True)
def _default_handlers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Set each signal to its default action for the test, also under nohup, and restore the handlers after it."""
    numbers = (*STOP_SIGNALS, signal.SIGALRM, signal.SIGCHLD)
    before = {number: signal.signal(number, signal.SIG_DFL) for number in numbers}
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number, handler in before.items():
        signal.signal(number, handler)


def send(number: int) -> None:
    """Send a signal to this process, whose main thread handles it at once."""
    os.kill(os.getpid(), number)


# --- an event that a handler may set


def test_a_handler_may_set_an_event_that_its_thread_waits_for() -> None:
    """Handlers that interrupt the wait at any moment, and each other, end the wait and never block."""
    for delay in range(1, 200):
        event = SignalSafeEvent()
        signal.signal(signal.SIGALRM, lambda *_, event=event: event.set())
        # Not just one signal: Python runs no handler for one that arrives right before the wait begins to block.
        signal.setitimer(signal.ITIMER_REAL, delay * 1e-6, 1e-4)
        assert event.wait(30)
        assert event.is_set()


def test_setting_an_event_wakes_every_thread() -> None:
    """All threads that wait for it go on, and so does whoever waits for it later, any number of times."""
    event, woken = SignalSafeEvent(), []
    threads = [threading.Thread(target=lambda: woken.append(event.wait(30))) for _ in range(20)]
    for thread in threads:
        thread.start()
    event.set()
    for thread in threads:
        thread.join(30)
    assert woken == [True] * 20
    event.set()
    assert [event.wait(), event.wait(0), event.wait(-1)] == [True] * 3


@pytest.mark.parametrize("timeout", [0, -1, 0.001])
def test_a_wait_ends_at_its_timeout(timeout: float) -> None:
    """An event that is not set ends a wait after its timeout; a time that is past counts as none."""
    event = SignalSafeEvent()
    assert not event.wait(timeout)
    assert not event.is_set()


def test_an_event_with_many_open_files() -> None:
    """A process with more than 1,024 descriptors, such as a worker, waits, and a handler wakes it."""
    script = """
import os, resource, signal
from swf_cli.processes import raise_open_file_limit
from swf_cli.signals import SignalSafeEvent

assert raise_open_file_limit(2_000)
descriptors = [os.dup(0) for _ in range(1_500)]
assert max(descriptors) > 1_024
event = SignalSafeEvent()
assert not event.wait(0.001)
signal.signal(signal.SIGALRM, lambda *_: event.set())
signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
print(event.wait(60))
"""
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 2_000:
        pytest.skip("this machine allows too few open files")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("True\n", "")


# --- handlers


@each_stop_signal
def test_each_stop_signal_is_handled(number: signal.Signals) -> None:
    """SIGINT, SIGTERM and SIGHUP reach the handler; afterwards each does what it did before."""
    arrived: list[int] = []
    before = signal.signal(number, lambda *_: None)
    with handle_stop_signals(arrived.append):
        send(number)
    assert arrived == [number]
    assert signal.signal(number, before) is not signal.SIG_DFL


def test_a_duplicate_within_a_fifth_of_a_second_is_dropped() -> None:
    """`timeout` sends its signal to the process and to its group: that is one request to stop."""
    clock, arrived = FakeClock(), list[int]()
    with handle_stop_signals(arrived.append, clock):
        for wait, number in [
            (0, signal.SIGTERM),
            (0.1, signal.SIGTERM),
            (0.09, signal.SIGINT),
            (0.02, signal.SIGINT),
        ]:
            clock.now += wait
            send(number)
    assert arrived == [signal.SIGTERM, signal.SIGINT]


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    """Under nohup SIGHUP is ignored, and no handler takes its place; the others are restored even after an error."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    arrived: list[int] = []

    def fail() -> None:
        with handle_stop_signals(arrived.append):
            send(signal.SIGHUP)
            send(signal.SIGINT)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert arrived == [signal.SIGINT]
    assert [signal.getsignal(number) for number in STOP_SIGNALS] == [
        signal.default_int_handler,
        signal.SIG_DFL,
        signal.SIG_IGN,
    ]


def test_deferred_signals_are_collected() -> None:
    """A step that must not be interrupted learns afterwards which signals arrived, in their order."""
    with defer_stop_signals() as arrived:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
            send(number)
    assert arrived == [signal.SIGTERM, signal.SIGINT, signal.SIGTERM]


@each_stop_signal
def test_a_signal_can_be_raised(number: signal.Signals) -> None:
    """Within `raise_on_stop_signals` a stop signal is an exception that `except Exception` does not catch."""
    with raise_on_stop_signals(), pytest.raises(Signalled) as caught:
        send(number)
    assert caught.value.number == number


# --- requests to stop


@each_stop_signal
def test_a_signal_sets_a_request(number: signal.Signals) -> None:
    """A request is set by the first signal, and knows which one it was."""
    with StopRequest().on_signal() as request:
        assert not request.event.is_set()
        send(number)
        assert request.event.wait()
    assert request.number == number


@each_stop_signal
def test_the_first_signal_requests_a_stop_and_the_second_quits(
    number: signal.Signals, log: pytest.LogCaptureFixture
) -> None:
    """The first signal only sets the request, which is logged; the second raises Signalled at once."""
    clock = FakeClock()
    with StopRequest().on_signal(STOP_NOTICE, clock) as request:
        send(number)
        assert (request.event.is_set(), request.number) == (True, number)
        clock.now += 0.3
        with pytest.raises(Signalled) as caught:
            send(number)
    assert caught.value.number == number
    assert log.messages == [f"{number.name}: {STOP_NOTICE}"]


def test_duplicates_do_not_quit(log: pytest.LogCaptureFixture) -> None:
    """Two signals at the same moment are one request: nothing is raised, and it is logged once."""
    clock = FakeClock()
    with StopRequest().on_signal("stopping", clock) as request:
        for _ in range(3):
            send(signal.SIGTERM)
            clock.now += 0.09
        assert request.event.is_set()
    assert log.messages == ["SIGTERM: stopping"]


# --- waiting for a signal


@pytest.mark.parametrize("numbers", [(), (signal.SIGCHLD,)], ids=["with a handler", "without"])
def test_a_waiter_returns_for_a_signal_that_has_arrived(numbers: tuple[signal.Signals, ...]) -> None:
    """A signal that arrives before the wait ends it all the same, whether it has a handler or the waiter adds one."""
    number = signal.SIGCHLD if numbers else signal.SIGTERM
    if not numbers:
        signal.signal(number, lambda *_: None)
    before = signal.getsignal(number)
    with signal_waiter(*numbers) as wait:
        send(number)
        assert wait()
    assert signal.getsignal(number) is before
    assert signal.set_wakeup_fd(-1) == -1


# --- the process


@each_stop_signal
def test_the_process_unwinds_on_a_stop_signal(number: signal.Signals) -> None:
    """Outside of commands that handle them, stop signals are raised, and noted; after `uninstall` they are not."""
    signals = ProcessSignals()
    signals.install()
    with pytest.raises(Signalled):
        send(number)
    assert signals.arrived == [number]
    signals.uninstall()
    assert {signal.getsignal(each) for each in STOP_SIGNALS} == {signal.SIG_DFL}


def test_the_process_keeps_ignored_signals_and_the_handlers_of_others() -> None:
    """What was ignored stays ignored, and `uninstall` leaves a handler that something else installed."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signals = ProcessSignals()
    signals.install()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signals.uninstall()
    assert [signal.getsignal(number) for number in STOP_SIGNALS] == [
        signal.default_int_handler,
        signal.SIG_DFL,
        signal.SIG_IGN,
    ]


LOST = """
import contextlib, signal, sys, time
from swf_cli.errors import Signalled
from swf_cli.signals import ProcessSignals, raise_on_stop_signals

class Lost:
    def __del__(self):
        signal.raise_signal(int(sys.argv[1]))

ProcessSignals().install()
try:
    with {manager}:
        Lost()
        time.sleep(30)
except Signalled as end:
    print(end.number)
"""


@each_stop_signal
@pytest.mark.parametrize("manager", ["contextlib.nullcontext()", "raise_on_stop_signals()"])
def test_a_signal_in_a_destructor_is_not_lost(number: signal.Signals, manager: str) -> None:
    """Where Python drops exceptions, such as in a destructor, the signal is raised again, and is no duplicate."""
    command = [sys.executable, "-c", LOST.replace("{manager}", manager), str(int(number))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == (f"{int(number)}\n", "")


def test_other_errors_in_a_destructor_are_reported() -> None:
    """Python reports whatever else is raised in a destructor, as always."""
    script = LOST.replace("signal.raise_signal(int(sys.argv[1]))", "raise ValueError('oops')").replace("(30)", "(0)")
    script = script.replace("{manager}", "contextlib.nullcontext()")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert "ValueError: oops" in done.stderr
