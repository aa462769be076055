"""The `swf` process: its signals, its standard streams, its exit. Everything else is imported from here."""

import gc
import os
import signal
import sys
from io import BufferedWriter, TextIOWrapper
from typing import TYPE_CHECKING

from .errors import Signalled
from .signals import ProcessSignals

if TYPE_CHECKING:
    from .cli.timing import Timing

# Start-up makes many objects and no garbage: collecting among them costs a fifth of a short command's time.
_GC_THRESHOLD = 200_000
_SIZE_DIGITS = 4  # of the columns or lines of a terminal


def main(timing: "Timing | None" = None) -> None:
    """Run the command line and end the process, with an exit code or by the signal that asked for it."""
    gc.set_threshold(_GC_THRESHOLD, 50, 50)
    signals = ProcessSignals()
    try:
        signals.install()
        _open_standard_streams()
        from .cli.app import run

        code = run(sys.argv[1:], timing)
        signals.uninstall()
    except Signalled as end:
        _die_of(end.number)
    if code and signals.arrived:
        # Signalled was lost on the way: in some corners Python replaces it by an error of its own.
        _die_of(signals.arrived[0])
    _flush_stderr()
    gc.freeze()  # what is left ends with the process, unexamined
    sys.exit(code)


def _die_of(number: int) -> None:
    """End by the signal itself, so that a shell loop around this process stops too."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    os._exit(128 + number)  # process 1 does not die of a signal of its own


def _flush_stderr() -> None:
    """Drop what a full stderr did not accept: Python would exit with a code of its own for it."""
    try:
        sys.stderr.flush()
    except OSError:
        from .output.terminal import discard

        discard(2)


def _open_standard_streams() -> None:
    """Open the null device for each standard stream that is closed, so that no socket or file takes its place.

    The one for stdin can't be read and that for stdout can't be written to: an empty result, or losing data, would
    not be an error otherwise. A number of columns or lines that can't be a terminal's is ignored.
    """
    from .output.terminal import RawStdout

    for name in ("COLUMNS", "LINES"):
        size = os.environ.get(name, "1").lstrip("0")
        if not (size.isascii() and size.isdigit() and len(size) <= _SIZE_DIGITS):
            del os.environ[name]
    for descriptor, access in enumerate((os.O_WRONLY, os.O_RDONLY, os.O_RDWR)):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, access)
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8")  # noqa: SIM115 - open as long as the process
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8")  # noqa: SIM115
    assert isinstance(sys.stderr, TextIOWrapper)  # noqa: S101 - as Python, or the line above, made it
    sys.stderr.reconfigure(errors="backslashreplace")
    buffer = BufferedWriter(RawStdout())
    if sys.stdout is not None and sys.stdout.isatty():
        sys.stdout = TextIOWrapper(buffer, sys.stdout.encoding, "backslashreplace", line_buffering=True)
    else:
        sys.stdout = TextIOWrapper(buffer, "utf-8", "surrogatepass")


if __name__ == "__main__":
    main()
