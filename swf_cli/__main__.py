"""The `swf` process: its signals, its standard streams, its exit. Everything else is loaded from here."""

import gc
import os
import signal
import sys
from io import TextIOWrapper
from types import FrameType

from .errors import Signalled

# Start-up makes many objects and no garbage: collecting among them costs a fifth of a short command's time.
_GC_THRESHOLD = 200_000

_unwound: list[int] = []
"""The signals that `_unwind` heard."""


def main() -> None:
    """Run the command line and end the process, with an exit code or by the signal that asked for it."""
    gc.set_threshold(_GC_THRESHOLD, 50, 50)
    try:
        _obey_signals()
        _open_standard_streams()
        from .cli.app import run

        code = run(sys.argv[1:])
        _let_signals_end_it()
    except Signalled as end:
        _die_of(end.number)
    if code and _unwound:
        # What was raised was lost on the way: in some corners Python puts an error of its own in its place.
        _die_of(_unwound[0])
    _flush_stderr()
    gc.freeze()  # what is left goes with the process, unexamined
    sys.exit(code)


def _obey_signals() -> None:
    """Have the signals that end a process unwind it instead; one that was ignored at the start stays ignored."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _unwind)
    sys.unraisablehook = _hear_again


def _unwind(number: int, frame: FrameType | None) -> None:
    _unwound.append(number)
    raise Signalled(number)


def _hear_again(lost: "sys.UnraisableHookArgs") -> None:
    """Send a signal again that came where Python ignores what is raised: in a destructor, or as an import ends."""
    if not isinstance(lost.exc_value, Signalled):
        sys.__unraisablehook__(lost)
        return
    number = lost.exc_value.number
    signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(number))
    signal.setitimer(signal.ITIMER_REAL, 0.001)


def _let_signals_end_it() -> None:
    """Have the signals end the process at once: nothing is left to unwind, and Python drops our handlers soon."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is _unwind:
            signal.signal(number, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, 0)


def _die_of(number: int) -> None:
    """End by the signal itself, so that a shell loop around this process stops too."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _flush_stderr() -> None:
    """Drop what a full stderr did not take, so that Python does not end with an exit code of its own for it."""
    try:
        sys.stderr.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def _open_standard_streams() -> None:
    """Put something on a standard stream that was closed, so that no socket or file is opened in its place.

    What is put on stdout can't be written to: data that goes nowhere must be an error.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR if descriptor == 2 else os.O_RDONLY)
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8")  # noqa: SIM115 - open as long as the process
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        assert isinstance(stream, TextIOWrapper)  # noqa: S101 - as Python, or the lines above, made it
        if stream is sys.stdout and not stream.isatty():
            stream.reconfigure(encoding="utf-8", errors="surrogatepass")
        else:
            stream.reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    main()
