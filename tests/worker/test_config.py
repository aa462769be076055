"""The statistics of a worker."""

import pytest

from swf_cli.errors import NetworkError, OutcomeUnknown, TaskNotOpen
from swf_cli.history import End
from swf_cli.responding import Outcome, Settlement
from swf_cli.worker.config import WorkerStats

FAILED = Outcome.failed("exit 3")


@pytest.mark.parametrize(
    ("settlement", "counted"),
    [
        (Settlement("accepted", Outcome("completed", result="done")), "completed"),
        (Settlement("accepted", FAILED), "failed"),
        (Settlement("accepted", Outcome("cancelled")), "cancelled"),
        (Settlement("closed", FAILED, End("completed"), TaskNotOpen("closed")), "closed elsewhere"),
        (Settlement("closed", end=End("timed_out")), "closed elsewhere"),
        (Settlement("not_open", FAILED, error=TaskNotOpen("closed")), "closed elsewhere"),
        (Settlement("undelivered", FAILED, error=NetworkError("reset")), "unconfirmed"),
        (Settlement("unknown", FAILED, error=OutcomeUnknown("lost")), "unconfirmed"),
    ],
)
def test_settlements_are_counted(settlement: Settlement, counted: str) -> None:
    """A task counts as completed, failed or cancelled only if SWF accepted this worker's response."""
    stats = WorkerStats()
    stats.count(settlement)
    assert stats.ended == {counted: 1}
    is_timed_out = settlement.end is not None and settlement.end.state == "timed_out"
    assert stats.failed_here == (counted == "failed" or is_timed_out)
