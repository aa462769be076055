"""Starting commands on a machine on which that may fail."""

import errno
import logging
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from swf_cli.retry import Retrier
from swf_cli.worker.handlers import StartError
from swf_cli.worker.start_gate import StartGate, check_process_slots
from tests.helpers.clock import FakeClock

LOG = logging.getLogger("swf_cli.test")
NO_SPACE = StartError(errno.ENOSPC, "No space left on device", "/tmp/x")
NO_SLOTS = StartError(errno.EAGAIN, "Resource temporarily unavailable")


class Harness:
    """A gate with a grace of 10 s, whose waits move its clock."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.given_up: list[OSError] = []
        self.slots: Iterator[OSError | None] = iter(())
        """What each look for process slots raises."""
        self.gate = StartGate(
            10.0,
            self.given_up.append,
            check_slots=self.check_slots,
            retrier=partial(Retrier, clock=self.clock, jitter=lambda: 1.0),
            clock=self.clock,
            sleep=self.clock.advance,
        )

    def check_slots(self) -> None:
        """Raise the next error."""
        error = next(self.slots)
        if error is not None:
            raise error

    def start(self, *errors: OSError | None, is_over: Callable[[], bool] = lambda: False) -> str | None:
        """Start a command that raises these errors, one at a time, and starts at None."""
        attempts = iter(errors)

        def attempt() -> str:
            error = next(attempts)
            if error is not None:
                raise error
            return "started"

        return self.gate.start(attempt, is_over=is_over, log=LOG)


@pytest.fixture
def harness(log: pytest.LogCaptureFixture) -> Harness:
    """A harness; its log is captured."""
    return Harness()


def test_a_command_that_starts(harness: Harness, log: pytest.LogCaptureFixture) -> None:
    """Nothing is said."""
    assert harness.start(None) == "started"
    assert log.messages == []


def test_a_failure_that_passes(harness: Harness, log: pytest.LogCaptureFixture) -> None:
    """The start is tried again, and the log says when polling is suspended and goes on."""
    assert harness.start(NO_SPACE, NO_SPACE, None) == "started"
    assert log.messages == [
        "commands cannot be started, so polling is suspended: No space left on device: /tmp/x",
        "cannot start the command: No space left on device: /tmp/x; retrying in 0.2 s",
        "cannot start the command: No space left on device: /tmp/x; retrying in 0.4 s",
        "commands can be started again",
    ]
    assert harness.given_up == []


def test_a_failure_that_lasts(harness: Harness) -> None:
    """After the grace period the error is raised, and reported once; another start then fails at once."""
    with pytest.raises(StartError):
        harness.start(*[NO_SPACE] * 20)
    assert harness.clock.now == 1_010
    assert harness.given_up == [NO_SPACE]
    with pytest.raises(StartError):
        harness.start(NO_SPACE)
    assert harness.given_up == [NO_SPACE]


def test_a_failure_that_passes_at_the_very_end(harness: Harness) -> None:
    """The last attempt is made when the grace period is over."""
    assert harness.start(*[NO_SPACE] * 8, None) == "started"
    assert (harness.clock.now, harness.given_up) == (1_010, [])


def test_a_task_that_is_over_needs_no_command(harness: Harness) -> None:
    """There is no further attempt."""
    over = iter([False, True])
    assert harness.start(NO_SPACE, is_over=lambda: next(over, True)) is None


def test_polling_goes_on_once_no_start_is_retried(harness: Harness, log: pytest.LogCaptureFixture) -> None:
    """If the last task whose command can't be started is over, only another task shows whether commands start."""
    over = iter([False, True])
    assert harness.start(NO_SPACE, is_over=lambda: next(over, True)) is None
    waiting = threading.Thread(target=harness.gate.wait_until_open, args=(threading.Event(),), daemon=True)
    waiting.start()
    waiting.join(60)
    assert not waiting.is_alive()
    assert log.messages[-1] == "the tasks whose commands could not be started are over"


def test_another_program_that_starts_does_not_open_it(harness: Harness, log: pytest.LogCaptureFixture) -> None:
    """Slots wait as long as the start of one program is retried: tasks for it would fail."""
    messages: list[list[str]] = []

    def fail_and_start() -> str:
        if not messages:
            messages.append([])
            raise NO_SPACE
        assert harness.start(None) == "started"
        messages.append([*log.messages])
        return "started"

    assert harness.gate.start(fail_and_start, is_over=lambda: False, log=LOG) == "started"
    assert "commands can be started again" not in messages[1]
    assert log.messages[-1] == "commands can be started again"


def test_slots_wait_while_it_is_closed(harness: Harness) -> None:
    """They return when commands can be started again, or at a stop."""
    stop = threading.Event()
    harness.gate.wait_until_open(stop)
    waiting: list[threading.Thread] = []

    def fail_and_wait() -> str:
        if not waiting:
            waiting.append(threading.Thread(target=harness.gate.wait_until_open, args=(stop,)))
            raise NO_SPACE
        if len(waiting) == 1:
            waiting[0].start()
            waiting.append(waiting[0])
            assert waiting[0].is_alive()
            raise NO_SPACE
        return "started"

    assert harness.gate.start(fail_and_wait, is_over=lambda: False, log=LOG) == "started"
    waiting[0].join(60)
    assert not waiting[0].is_alive()


def test_process_slots_are_checked_after_a_shortage(harness: Harness) -> None:
    """For a minute after a start failed for lack of them: a shell would start, and its own commands would not."""
    harness.slots = iter([NO_SLOTS, None, None])
    assert harness.start(NO_SLOTS, None) == "started"
    assert harness.start(None) == "started"
    assert list(harness.slots) == []
    harness.clock.advance(61)
    assert harness.start(None) == "started"


def test_this_machine_has_process_slots() -> None:
    """A shell can start three processes."""
    check_process_slots()


def test_a_machine_without_a_shell(tmp_path: Path) -> None:
    """Process slots can't be checked there: commands are started as ever."""
    check_process_slots(str(tmp_path / "sh"))


def test_a_shell_that_cannot_start_commands(tmp_path: Path) -> None:
    """It is a shortage of process slots."""
    shell = tmp_path / "sh"
    shell.write_text("#!/bin/sh\nexit 2\n")
    shell.chmod(0o755)
    with pytest.raises(StartError, match="Resource temporarily unavailable"):
        check_process_slots(str(shell))


def test_a_shell_that_cannot_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason is that of the command itself, without the number of the error."""

    def run(command: list[str], **options: Any) -> None:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(StartError) as caught:
        check_process_slots()
    assert str(caught.value) == "Resource temporarily unavailable"
