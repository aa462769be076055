"""One task of a worker, from its start to its answer: the command runs, is shown, is ended, and tells the answer."""

import os
import signal
from contextlib import suppress
from typing import Final

from ..models import TaskReference, WorkerTask
from ..polling import ReceivedTask
from ..processes import start_id
from ..responding import Answer, failure
from .command import Job, UnfitResult
from .context import Setting
from .heartbeat import Heart
from .responder import Closed

_TICK: Final = 0.2  # seconds between looks at a running command
_WORKER_STOPPED: Final = "worker stopped"


class Errand:
    """A task that was taken, and what a worker does about it. `run` it, once."""

    def __init__(self, setting: Setting, taken: ReceivedTask) -> None:
        self._setting = setting
        self._taken = taken
        self._task: WorkerTask = taken.task
        self._heart = Heart(
            setting.session, setting.origin.domain, taken.task, setting.plan.heartbeat, self._tell, setting.clock
        )

    def run(self) -> Closed:
        """Run the command, and answer; tells what became of the task."""
        task, began = self._task, self._setting.clock()
        activity, execution = task.activity, task.execution
        what = f"{activity.name} {activity.version}, workflow {execution.id}, run {execution.run_id}"
        self._setting.reporter.tell(f"{task.id} started: {what}")
        try:
            closed = self._close(self._run_command())
        finally:
            self._heart.stop()
            if self._heart.notes is not None:
                with suppress(OSError):
                    os.unlink(self._heart.notes)
        words = f"{task.id} {closed.words} after {self._setting.clock() - began:.1f} s: {what}"
        self._setting.reporter.tell(self._without_token(words))
        return closed

    def _without_token(self, text: str) -> str:
        return text.replace(self._task.token, "TOKEN")

    def _tell(self, line: str) -> None:
        self._setting.reporter.tell(self._without_token(f"{self._task.id}: {line}"))

    def _run_command(self) -> Answer | None:
        """Run the command on the task; give the answer, or None when the task is not open any more."""
        plan, task = self._setting.plan, self._task
        if self._setting.terminating.is_set():
            return failure(_WORKER_STOPPED)
        try:
            self._heart.notes = f"{self._setting.folder.path()}/{id(self):x}"
            job = Job(plan.command, self._environment(), task.input or "", plan.executable)
        except (OSError, ValueError) as error:
            return failure(f"can't run {plan.command[0]}: {error}")
        try:
            self._setting.ledger.set_command(self._taken.key, job.group, start_id(job.group))
            return self._attend(job)
        except Exception as error:
            # Whatever it is, neither the command nor the task is left behind.
            return failure(f"the worker failed: {type(error).__name__}: {error}")
        finally:
            job.close()

    def _environment(self) -> dict[str, str]:
        task, origin = self._task, self._setting.origin
        return {
            **self._setting.environ,
            "SWF_TASK_TOKEN": task.token,
            "SWF_TASK_ID": task.id,
            "SWF_ACTIVITY_NAME": task.activity.name,
            "SWF_ACTIVITY_VERSION": task.activity.version,
            "SWF_WORKFLOW_ID": task.execution.id,
            "SWF_RUN_ID": task.execution.run_id,
            "SWF_DOMAIN": origin.domain,
            "SWF_TASK_LIST": origin.task_list,
            "SWF_HEARTBEAT_FILE": self._heart.notes or "",
        }

    def _attend(self, job: Job) -> Answer | None:
        """Stay with the command until it ends; give the answer, or None when the task is not open any more."""
        reason: str | None = None  # why the command is asked to end before it is done
        while reason is None and not job.wait(_TICK):
            self._show(job)
            if self._heart.is_due():
                self._heart.start()
            reason = _WORKER_STOPPED if self._setting.terminating.is_set() else self._heart.news
        if reason is not None:
            self._end(job)
        self._show(job, ended=True)
        if reason is None or (reason == "cancelled" and job.status() == 0):
            return _answer_of(job)
        if reason == "closed":
            return None
        if reason == "cancelled":
            return Answer("cancelled", details=job.last_words() or None)
        return failure(reason, job.last_words())

    def _end(self, job: Job) -> None:
        """End the command and its children: TERM, and after the grace, or when it is time to kill, KILL."""
        job.signal(signal.SIGTERM)
        kill_at = self._setting.clock() + self._setting.plan.grace
        while not job.wait(_TICK) or job.leaves_some():
            self._show(job)
            if self._setting.killing.wait(_TICK / 4) or self._setting.clock() >= kill_at:
                break
        job.signal(signal.SIGKILL)
        while not job.wait(_TICK):
            job.signal(signal.SIGKILL)

    def _show(self, job: Job, *, ended: bool = False) -> None:
        for line in job.new_lines(ended=ended):
            self._setting.reporter.show(self._task.id, self._without_token(line))

    def _close(self, answer: Answer | None) -> Closed:
        """Close the task; it is kept alive until SWF has the answer."""
        task = self._task
        started = task.task_started_execution_history_event_id
        reference = TaskReference(task.token, self._setting.origin.domain, task.execution, started)
        if answer is None:
            end = self._setting.closer.find_end(reference, self._setting.killing)
            return Closed("lost", f"was closed by another end{f': {end}' if end else ''}", end is not None)

        def tell(line: str) -> None:
            self._heart.start()
            self._tell(line)

        return self._setting.closer.close(reference, answer, stop=self._setting.killing, tell=tell)


def _answer_of(job: Job) -> Answer:
    """Give the answer that a command's own end makes."""
    if job.status() != 0:
        return failure(job.failure(), job.last_words())
    try:
        return Answer("completed", result=job.result())
    except UnfitResult as error:
        return failure(str(error), job.last_words())
