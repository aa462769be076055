"""A task and a poll to put in a ledger."""

from swf_cli.ledger.records import PollSource, Taker
from swf_cli.ledger.store import Ledger
from swf_cli.models import ActivityId, ExecutionId, WorkerTask

SOURCE = PollSource("video", "resize", "me@here", "west", "us-east-1", "http://swf.test")
TASK = WorkerTask("TOKEN", "resize-1", ActivityId("resize", "2"), ExecutionId("video-7", "RUN"), 6, "PRIVATE INPUT")


def record_task(
    ledger: Ledger, task: WorkerTask = TASK, source: PollSource = SOURCE, taken_by: Taker = "poll"
) -> str:
    """Put a task in the ledger as its poll does, and return its key."""
    with ledger.record_poll(source, taken_by) as record:
        assert record.assign(task)
    return record.key
