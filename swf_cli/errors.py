"""What can go wrong, as exceptions that build their own message, and the exit codes they lead to."""

from enum import IntEnum
from typing import ClassVar, Self


class ExitCode(IntEnum):
    """What the command line's exit codes mean."""

    DONE = 0
    REFUSED = 1
    USAGE = 2
    NO_TASK = 3
    CANCEL_REQUESTED = 4
    NOT_OPEN = 5
    UNKNOWN = 6
    NO_ACCESS = 7
    CHECK_FAILED = 8


class Cancelled(Exception):
    """Current activity task has been cancelled: its decider asked for it, and nothing went wrong."""


class SwfError(Exception):
    """Something went wrong between us and SWF.

    Raised for every fault of the service and of the network; the botocore exception, where there is one, is
    `__cause__`. An SWF fault that has no class of its own is a plain SwfError with its `code`.
    """

    exit_code: ClassVar[ExitCode] = ExitCode.REFUSED

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        request_id: str | None = None,
        retry_attempts: int = 0,
        possibly_executed: bool = False,
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        """What happened, in one sentence."""
        self.code = code
        """SWF's name of the fault, without its namespace; empty when it is none of SWF's."""
        self.request_id = request_id
        """AWS's id of the request, for a support case; None when no answer came."""
        self.retry_attempts = retry_attempts
        """How many times the call was tried again."""
        self.possibly_executed = possibly_executed
        """Whether one of the tries may have done its work although its answer was lost."""
        self.hint = hint
        """What to do about it; None when there is nothing to advise."""

    @classmethod
    def of(cls, error: "SwfError", message: str | None = None, hint: str | None = None) -> Self:
        """Make an error of this kind from one of another: the same facts, in other words if there are any."""
        return cls(
            message or error.message,
            code=error.code,
            request_id=error.request_id,
            retry_attempts=error.retry_attempts,
            possibly_executed=error.possibly_executed,
            hint=hint or error.hint,
        )


class UnknownResource(SwfError):
    """SWF knows no such thing: a domain, a type, an execution, or an open task (UnknownResourceFault)."""


class TaskNotOpen(UnknownResource):
    """The task is not open: it is closed, it timed out, or SWF does not know the token."""

    exit_code = ExitCode.NOT_OPEN


class TaskClosed(TaskNotOpen):
    """History shows the task closed, by another end than the one that was asked for."""


class OutcomeUnknown(SwfError):
    """An answer was sent and its reply was lost: the task may be closed by it, or may not."""

    exit_code = ExitCode.UNKNOWN


class AccessError(SwfError):
    """No region, no credentials, expired ones, or not permitted (AccessDenied, OperationNotPermittedFault…)."""

    exit_code = ExitCode.NO_ACCESS


class ConfigurationError(SwfError):
    """A setting of the environment or of a profile can't be used; nothing was sent."""

    exit_code = ExitCode.USAGE


class InvalidRequest(SwfError):
    """SWF refused the request as malformed (ValidationException, SerializationException)."""


class LimitExceededError(SwfError):
    """One of SWF's limits is reached (LimitExceededFault), such as 1,000 pollers on a task list."""


class ThrottlingError(SwfError):
    """Over SWF's request rate (ThrottlingException): nothing was done, and the same call may go through later."""


class ServiceError(SwfError):
    """The service, or something before it, failed (HTTP 5xx)."""


class NetworkError(SwfError):
    """The network failed: `possibly_executed` tells whether the request may have reached SWF."""


class InvalidResponseError(NetworkError):
    """A reply came that is cut short or isn't SWF's: whatever was asked may have been done."""


class NoTaskReceived(SwfError):
    """No task came in the time given."""

    exit_code = ExitCode.NO_TASK


class CheckFailed(SwfError):
    """A check that was asked for did not hold."""

    exit_code = ExitCode.CHECK_FAILED


class OutputError(SwfError):
    """The data could not be written to stdout."""


class Signalled(BaseException):
    """A signal asked the process to end: it tidies up on the way out, then dies of that signal."""

    def __init__(self, number: int) -> None:
        super().__init__(f"signal {number}")
        self.number = number
