"""What can go wrong, as exceptions, and the exit codes of the command line."""

from enum import IntEnum
from typing import Any, ClassVar, Final, Self

_NO_THREAD: Final = "can't start new thread"
"""What Python says when a limit of the user, or of the machine, is reached."""


class ExitCode(IntEnum):
    """The exit codes of the command line, except those of signals."""

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
    """Cancellation of the current activity task was requested. Not an error: its decider asked for it."""


class SwfError(Exception):
    """Base class of the errors that `swf_cli` raises: every fault of the service and of the network.

    The botocore exception, if there is one, is `__cause__`. A fault without a class of its own is a plain SwfError
    with its `code`.
    """

    exit_code: ClassVar[ExitCode] = ExitCode.REFUSED

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        request_id: str | None = None,
        retry_attempts: int = 0,
        retry_after: float = 0.0,
        possibly_executed: bool = False,
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        """What failed and why, in one line."""
        self.code = code
        """SWF's name of the fault, without its namespace; empty if it is not a fault of SWF."""
        self.request_id = request_id
        """AWS's ID of the request, for a support case; None if there was no response."""
        self.retry_attempts = retry_attempts
        """How many times the call was retried."""
        self.retry_after = retry_after
        """Seconds to wait before the next attempt, as the response asked; 0 if it did not."""
        self.possibly_executed = possibly_executed
        """Whether SWF may have executed one of the attempts although its response was lost."""
        self.hint = hint
        """What to do about it; None if there is nothing to advise."""

    @classmethod
    def from_error(cls, error: "SwfError", message: str | None = None, hint: str | None = None) -> Self:
        """Copy an error as this class, optionally with another message and hint."""
        made = cls(message or error.message)
        vars(made).update(vars(error) | {"message": made.message, "hint": hint or error.hint})
        return made


class UnknownResource(SwfError):
    """SWF does not know this domain, type, execution or open task (UnknownResourceFault)."""


class TaskNotOpen(UnknownResource):
    """The task is not open: it is closed, it timed out, or SWF does not know the token."""

    exit_code = ExitCode.NOT_OPEN


class TaskClosed(TaskNotOpen):
    """The execution's history shows that the task was closed by something else."""


class OutcomeUnknown(SwfError):
    """The response to a request was lost, and the execution's history could not tell whether it was executed."""

    exit_code = ExitCode.UNKNOWN


class AccessError(SwfError):
    """No region, no credentials, expired ones, or not permitted (AccessDenied, OperationNotPermittedFault, …)."""

    exit_code = ExitCode.NO_ACCESS


class CredentialsError(AccessError):
    """There are no credentials, they have expired, or AWS rejects them; others may be accepted."""


class CredentialsUnavailable(CredentialsError):
    """The provider of the credentials failed or can't be reached; the same call may succeed later."""


class ConfigurationError(SwfError):
    """A setting of the environment or of a profile can't be used; nothing was sent."""

    exit_code = ExitCode.USAGE


class ConnectionSettingError(SwfError):
    """The configured CA certificates or proxy can't be used: no connection was made, and a retry would not help."""


class InvalidRequest(SwfError):
    """SWF rejected the request as malformed (ValidationException, SerializationException)."""


class LimitExceededError(SwfError):
    """One of SWF's limits is reached (LimitExceededFault), such as 1,000 pollers per task list."""


class ThrottlingError(SwfError):
    """Over SWF's request rate (ThrottlingException): nothing was done, and the same call may succeed later."""


class ServiceError(SwfError):
    """The service failed (HTTP 5xx), or something in front of it replied in its place, such as a proxy."""


class NetworkError(SwfError):
    """The network failed; `possibly_executed` says whether the request may have reached SWF."""


class InvalidResponseError(NetworkError):
    """The response is cut short or is not SWF's: the request may have been executed."""


class IncompleteTask(SwfError):
    """A poll received a task, but its response is incomplete or malformed, except for the token."""

    def __init__(self, message: str, *, token: str = "", **known: Any) -> None:
        super().__init__(message, **known)
        self.token = token
        """Task token: it is all that closing the task takes."""
        self.key: str | None = None
        """Its key in the ledger; None if the ledger does not have it."""


class NoTaskReceived(SwfError):
    """No task was received within the given time."""

    exit_code = ExitCode.NO_TASK


class CheckFailed(SwfError):
    """A requested check failed."""

    exit_code = ExitCode.CHECK_FAILED


class OutputError(SwfError):
    """The data could not be written to stdout."""


class Signalled(BaseException):
    """A signal asked the process to end: it cleans up on the way out, then dies of that signal."""

    def __init__(self, number: int) -> None:
        super().__init__(f"signal {number}")
        self.number = number


def explain_unexpected(error: Exception) -> tuple[str, str]:
    """Return the message and the hint for an unexpected exception."""
    if isinstance(error, RuntimeError) and str(error) == _NO_THREAD:
        limits = "processes (`ulimit -u`) or memory (`ulimit -v`), or those of the container"
        return "cannot start another thread", f"raise the limit on {limits}"
    return f"unexpected {type(error).__name__}: {error}", "add --debug for a traceback"
