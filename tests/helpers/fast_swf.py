"""A program that is `swf` with short timeouts and delays: those of SWF's 60 s at a sixtieth."""

import time
from typing import Final

from swf_cli.__main__ import main
from swf_cli.cli.timing import Timing

FAST: Final = Timing(
    {"poll_read_timeout": 1.5, "call_read_timeout": 0.5, "clock": lambda: 60 * time.monotonic()}, first_delay=0.01
)

if __name__ == "__main__":
    main(FAST)
