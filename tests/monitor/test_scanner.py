"""Which executions of a domain are read, and in how many calls."""

import threading
import time
from datetime import timedelta
from typing import Any

import pytest

from swf_cli.errors import AccessError, InvalidRequest, SwfError, UnknownResource
from swf_cli.history import ActivityTask
from swf_cli.ledger.records import Holding
from swf_cli.local.clock import Clock
from swf_cli.local.quotas import RateLimits
from swf_cli.models import ExecutionId
from swf_cli.monitor.scanner import DomainScanner, RateLimiter, Stuck, find_stuck
from tests.helpers.big_domain import Recorder, big_domain, decide, lengthen, open_task, start
from tests.helpers.flow import Flow, decision
from tests.helpers.local_service import Service, local_service
from tests.helpers.stub_service import StubService

HISTORY = "get_workflow_execution_history"
DESCRIBE = "describe_workflow_execution"
LIST = "list_open_workflow_executions"


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


@pytest.fixture
def flow(service: Service) -> Flow:
    """An empty domain."""
    return service.flow("media")


@pytest.fixture
def client(service: Service) -> Recorder:
    """A client that remembers its calls."""
    return Recorder.of(service.url)


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> int:
    """Pages of ten, so that few events and executions are many pages."""
    monkeypatch.setattr("swf_cli.monitor.scanner.PAGE", 10)
    return 10


def survey_of(client: Any, **settings: Any) -> DomainScanner:
    """DomainScanner the domain as fast as it goes."""
    return DomainScanner(client, "media", **{"rate": 1000.0, **settings})


def open_ids(survey: DomainScanner) -> dict[str, list[str]]:
    """Give the activity ids of the open tasks of each workflow that was read, and hold that each was read once."""
    found: dict[str, list[str]] = {}

    def see(execution: ExecutionId, tasks: list[ActivityTask]) -> None:
        assert execution.id not in found
        found[execution.id] = [task.id for task in tasks if task.is_open]

    survey.open_tasks(see)
    return found


def run_of(tasks: Recorder, run_id: str) -> list[str]:
    """Name the calls that were about a run."""
    return [name for name, arguments in tasks.calls if arguments.get("execution", {}).get("runId") == run_id]


class TestPlan:
    """Of each execution only what is needed is read."""

    def test_a_history_that_fits_a_page_needs_one_call(self, flow: Flow, client: Recorder) -> None:
        """Two executions, with and without an open task: the list, and a page of each history; nothing else."""
        start(flow, "one", open_task())
        start(flow, "none")
        assert open_ids(survey_of(client)) == {"one": ["resize-1"], "none": []}
        assert client.operations() == {LIST: 1, HISTORY: 2}

    @pytest.mark.parametrize("more", [3, 4, 5, 6])
    def test_a_history_just_as_long_as_a_page_needs_nothing_else(
        self, flow: Flow, client: Recorder, small_pages: int, more: int
    ) -> None:
        """Histories of nine to twelve events, in pages of ten: only one with a second page is described."""
        run = start(flow, "w", open_task("a"))
        execution = {"workflowId": "w", "runId": run}
        lengthen(flow, "w", more)
        events = len(flow.history(execution))
        assert open_ids(survey_of(client)) == {"w": ["a"]}
        assert client.operations()[DESCRIBE] == (events > small_pages)

    def test_a_page_token_beyond_the_first_event_is_not_followed(self, stub: StubService) -> None:
        """SWF may give a token with the page that holds the first event: there is nothing behind it."""
        first = {"eventId": 1, "eventTimestamp": 1, "eventType": "WorkflowExecutionStarted"}
        stub.reply("GetWorkflowExecutionHistory", {"events": [first], "nextPageToken": "T"})
        assert survey_of(Recorder.of(stub.url)).tasks(ExecutionId("w", "RUN"), everything=True) == []
        assert stub.operations() == ["GetWorkflowExecutionHistory"]

    def test_a_long_history_is_read_back_to_its_open_tasks(
        self, flow: Flow, client: Recorder, small_pages: int
    ) -> None:
        """Of a long history one page is read when its open tasks are in it, more only until they are found."""
        newest = start(flow, "newest")
        oldest = start(flow, "oldest", open_task("a"), open_task("b"))
        none = start(flow, "none")
        for workflow in ("newest", "oldest", "none"):
            lengthen(flow, workflow, 4 * small_pages)
        decide(flow, "newest", open_task("c"))
        middle = start(flow, "middle")
        lengthen(flow, "middle", 15)
        decide(flow, "middle", open_task("d"))
        lengthen(flow, "middle", 15)
        found = open_ids(survey_of(client))
        assert found == {"newest": ["c"], "oldest": ["a", "b"], "none": [], "middle": ["d"]}
        assert run_of(client, newest) == [HISTORY, DESCRIBE]
        assert run_of(client, none) == [HISTORY, DESCRIBE]
        assert run_of(client, oldest) == [HISTORY, DESCRIBE, *[HISTORY] * 4]
        assert run_of(client, middle) == [HISTORY, DESCRIBE, HISTORY]
        assert set(client.pages().values()) == {1}

    def test_all_tasks_of_an_execution_need_no_description(
        self, flow: Flow, client: Recorder, small_pages: int
    ) -> None:
        """To read every task, each page is read once and nothing is described."""
        run = start(flow, "w", open_task("a"))
        lengthen(flow, "w", 2 * small_pages)
        assert len(survey_of(client).tasks(ExecutionId("w", run), everything=True)) == 1
        assert client.operations() == {HISTORY: 3}


def test_a_big_domain_under_quotas() -> None:
    """Under SWF's quotas, and with a spent one: as few calls as the plan says, nothing fails, nothing is missed."""
    executions, working, long, events = 120, 20, 4, 2500
    with local_service(clock=Clock(speed=2)) as service:
        flow = service.flow("media")
        client = Recorder.of(service.url)
        big_domain(flow, executions, working, long, events)
        service.advance(1200)
        service.server.engine._rate_limits = buckets = RateLimits()

        def spend(operation: str, arguments: Any) -> None:
            if operation == HISTORY and client.operations()[HISTORY] == 1:
                buckets._levels["GetWorkflowExecutionHistory"] = -200.0, service.server.engine.clock.now()

        client.before = spend
        survey = survey_of(client)
        rows = find_stuck(survey, (), older_than=600)
        asked = client.operations()
        throttles = survey.progress.throttles
        assert throttles > 0
        service.server.engine._rate_limits = None
        pages = client.pages()
        # A page of each, and two more of each long one whose task is among its oldest events.
        assert len(pages) == executions + 2 * (long // 2)
        assert asked == {LIST: 1, HISTORY: len(pages) + throttles, DESCRIBE: long}
        assert (survey.progress.executions, survey.progress.tasks) == (executions, working)
        assert survey.progress.calls == sum(asked.values())

        everything = []
        for info in flow.call("ListOpenWorkflowExecutions", domain="media", startTimeFilter={"oldestDate": 0})[
            "executionInfos"
        ]:
            execution = ExecutionId.from_api(info["execution"])
            tasks = survey.tasks(execution, everything=True)
            everything += [(execution, task) for task in tasks if task.is_open]
        assert len(rows) == working
        assert sorted([(row.execution, row.task) for row in rows], key=str) == sorted(everything, key=str)


class TestChange:
    """A domain does not stand still while it is read."""

    def test_an_execution_that_closes_between_list_and_read(self, flow: Flow, client: Recorder) -> None:
        """Its tasks are closed with it: it counts as read, and nothing of it is stuck."""
        start(flow, "w", open_task())

        def close(operation: str, arguments: Any) -> None:
            if operation == HISTORY:
                flow.call("TerminateWorkflowExecution", domain="media", workflowId="w")

        client.before = close
        said: list[str] = []
        survey = survey_of(client, tell=said.append)
        assert open_ids(survey) == {"w": []}
        assert (said, survey.progress.skipped, client.operations()) == ([], 0, {LIST: 1, HISTORY: 1})

    def test_an_execution_that_is_gone_before_it_is_read(self, stub: StubService) -> None:
        """One that SWF does not know any more has closed: nothing is told."""
        stub.reply("ListOpenWorkflowExecutions", {"executionInfos": [_info("w", "RUN", 1000)]})
        stub.fault("GetWorkflowExecutionHistory", "UnknownResourceFault")
        said: list[str] = []
        assert open_ids(survey_of(Recorder.of(stub.url), tell=said.append)) == {"w": []}
        assert said == []

    def test_a_long_execution_that_is_over_is_not_described(
        self, flow: Flow, client: Recorder, small_pages: int
    ) -> None:
        """The end of the execution, in the newest page, ends all of its tasks."""
        run = start(flow, "w", open_task())
        lengthen(flow, "w", 2 * small_pages)
        flow.call("TerminateWorkflowExecution", domain="media", workflowId="w")
        assert survey_of(client).tasks(ExecutionId("w", run)) == []
        assert client.operations() == {HISTORY: 1}

    @pytest.mark.parametrize("decider", ["slow", "quick", "gone"])
    def test_a_task_that_ends_before_the_open_ones_are_counted_hides_none(
        self, flow: Flow, client: Recorder, small_pages: int, decider: str
    ) -> None:
        """The count is then of fewer tasks than were seen: the older open task is found all the same."""
        run = start(flow, "w", open_task("old"))
        lengthen(flow, "w", 2 * small_pages)
        decide(flow, "w", open_task("new-1", "other"), open_task("new-2", "other"))
        tokens = [flow.poll("other")["taskToken"] for _ in range(2)]
        if decider == "gone":
            lengthen(flow, "w", 1)  # a decision task waits from then on

        def end_some(operation: str, arguments: Any) -> None:
            if operation == DESCRIBE:
                for token in tokens[: 1 if decider == "slow" else 2]:
                    flow.call("RespondActivityTaskCompleted", taskToken=token)
                if decider == "quick":
                    decide(flow, "w", open_task("newer", "other"))

        client.before = end_some
        assert [task.id for task in survey_of(client).tasks(ExecutionId("w", run))] == ["old", "new-1", "new-2"]
        assert set(client.pages().values()) == {1}

    def test_an_execution_that_closes_before_the_open_ones_are_counted(
        self, flow: Flow, client: Recorder, small_pages: int
    ) -> None:
        """What was open in its newest page is closed with it."""
        run = start(flow, "w", open_task("old"))
        lengthen(flow, "w", 2 * small_pages)
        decide(flow, "w", open_task("new"))

        def close(operation: str, arguments: Any) -> None:
            if operation == DESCRIBE:
                flow.call("TerminateWorkflowExecution", domain="media", workflowId="w")

        client.before = close
        assert survey_of(client).tasks(ExecutionId("w", run)) == []

    def test_a_task_that_comes_before_the_open_ones_are_counted_hides_none(
        self, flow: Flow, client: Recorder, small_pages: int
    ) -> None:
        """The count is then of one more than the pages show: what they show is found."""
        run = start(flow, "w", open_task("old"))
        lengthen(flow, "w", 3 * small_pages)

        def add_one(operation: str, arguments: Any) -> None:
            if operation == DESCRIBE:
                decide(flow, "w", open_task("new"))

        client.before = add_one
        assert [task.id for task in survey_of(client).tasks(ExecutionId("w", run))] == ["old"]
        assert set(client.pages().values()) == {1}

    def test_a_history_that_grows_between_pages(self, flow: Flow, client: Recorder, small_pages: int) -> None:
        """New events move no page: each is read once, and the tasks are those of the first page's time."""
        run = start(flow, "w", open_task("old"))
        lengthen(flow, "w", 3 * small_pages)

        def grow(operation: str, arguments: Any) -> None:
            if operation == HISTORY:
                lengthen(flow, "w", small_pages)

        client.before = grow
        assert [task.id for task in survey_of(client).tasks(ExecutionId("w", run))] == ["old"]

    def test_a_list_whose_page_token_has_expired_goes_on(
        self, service: Service, flow: Flow, client: Recorder, small_pages: int
    ) -> None:
        """SWF takes a page token for a day: the list goes on from where it was, and each execution is read once."""
        for number in range(3 * small_pages):
            start(flow, f"w{number}", open_task())
            service.advance(0.05)
        expired: list[Any] = []

        def wait(operation: str, arguments: Any) -> None:
            if operation == LIST and "nextPageToken" in arguments and not expired:
                expired.append(arguments)
                service.advance(25 * 3600)

        client.before = wait
        assert len(open_ids(survey_of(client))) == 3 * small_pages
        assert len(expired) == 1
        assert set(client.pages().values()) == {1}

    def test_a_history_whose_page_token_has_expired_is_read_anew(
        self, service: Service, flow: Flow, client: Recorder, small_pages: int
    ) -> None:
        """The tasks of a history are found although a page token expires half-way."""
        run = start(flow, "w", open_task("old"))
        lengthen(flow, "w", 3 * small_pages)
        tokens = []

        def wait(operation: str, arguments: Any) -> None:
            if operation == HISTORY:
                tokens.append(arguments.get("nextPageToken"))
                if len(tokens) == 3:
                    service.advance(25 * 3600)

        client.before = wait
        assert [task.id for task in survey_of(client).tasks(ExecutionId("w", run))] == ["old"]
        assert [token is None for token in tokens[:5]] == [True, False, False, True, False]

    def test_a_token_that_is_never_taken_ends_it(self, stub: StubService) -> None:
        """A service that refuses every page token is not asked for ever."""
        page = {"executionInfos": [_info("w", "RUN", 1000)], "nextPageToken": "T"}
        for _ in range(2):
            stub.reply("ListOpenWorkflowExecutions", page)
            stub.fault("ListOpenWorkflowExecutions", "ValidationException", "has exceeded its maximum lifetime")
        stub.reply("GetWorkflowExecutionHistory", {"events": []})
        survey = survey_of(Recorder.of(stub.url))
        assert open_ids(survey) == {"w": []}
        assert isinstance(survey.failure, InvalidRequest)


def _info(workflow_id: str, run_id: str, started: float) -> dict[str, Any]:
    return {"execution": {"workflowId": workflow_id, "runId": run_id}, "startTimestamp": started}


class TestFaults:
    """What goes wrong costs as little as it can."""

    def test_one_execution_that_cannot_be_read_is_told_and_passed_over(self, flow: Flow, client: Recorder) -> None:
        """The rest is read, and a line names the one that was not."""
        for name in ("a", "b", "c"):
            start(flow, name, open_task())

        def refuse(operation: str, arguments: Any) -> None:
            if operation == HISTORY and arguments["execution"]["workflowId"] == "b":
                raise InvalidRequest("not today")

        client.before = refuse
        said: list[str] = []
        survey = survey_of(client, tell=said.append)
        assert sorted(open_ids(survey)) == ["a", "c"]
        assert (survey.progress.executions, survey.progress.skipped, survey.failure) == (2, 1, None)
        assert len(said) == 1
        assert "workflow b, run " in said[0]
        assert said[0].endswith(" is passed over: not today")

    def test_a_history_that_makes_no_sense_is_told_and_passed_over(self, stub: StubService) -> None:
        """A reply without events, or with events that are none, is no reason to stop, and never read as empty."""
        stub.reply("ListOpenWorkflowExecutions", {"executionInfos": [_info(n, f"RUN-{n}", 1000) for n in "ab"]})
        bad = {"eventId": 1, "eventTimestamp": 1, "eventType": "ActivityTaskScheduled"}
        stub.reply("GetWorkflowExecutionHistory", {"events": [bad]})
        stub.reply("GetWorkflowExecutionHistory", {"events": []})
        said: list[str] = []
        assert len(open_ids(survey_of(Recorder.of(stub.url), tell=said.append))) == 1
        assert "makes no sense" in said[0]

    def test_when_none_can_be_read_that_is_a_failure(self, flow: Flow, client: Recorder) -> None:
        """A domain of which nothing could be read is never shown as one where nothing is stuck."""
        start(flow, "a", open_task())

        def refuse(operation: str, arguments: Any) -> None:
            if operation == HISTORY:
                raise SwfError("not today")

        client.before = refuse
        with pytest.raises(SwfError, match="not today"):
            open_ids(survey_of(client))

    def test_no_permission_ends_it_at_once(self, flow: Flow, client: Recorder) -> None:
        """Without permission no execution can be read: it is one error, not one a line for each of them."""
        for number in range(60):
            start(flow, f"w{number}", open_task())

        def refuse(operation: str, arguments: Any) -> None:
            if operation == HISTORY:
                raise AccessError("not you")

        client.before = refuse
        said: list[str] = []
        with pytest.raises(AccessError):
            open_ids(survey_of(client, tell=said.append))
        assert (said, client.operations()[HISTORY] < 30) == ([], True)

    def test_a_service_that_goes_away_ends_it_with_what_was_found(self, flow: Flow, client: Recorder) -> None:
        """When execution after execution fails, it stops, and keeps what it has."""
        for number in range(200):
            start(flow, f"w{number}", open_task())
        served = []

        def fail(operation: str, arguments: Any) -> None:
            if operation == HISTORY:
                served.append(operation)
                if len(served) > 20:
                    raise SwfError("gone")

        client.before = fail
        survey = survey_of(client)
        assert len(open_ids(survey)) == 20
        assert str(survey.failure) == "gone"
        assert client.operations()[HISTORY] < 80

    def test_what_may_pass_is_tried_again(self, stub: StubService) -> None:
        """Throttling is waited out, a failure of the service's is tried again: neither fails a survey."""
        stub.fault("ListOpenWorkflowExecutions", "ThrottlingException", "Rate exceeded")
        stub.reply("ListOpenWorkflowExecutions", {"executionInfos": [_info("w", "RUN", 1000)]})
        stub.reply("GetWorkflowExecutionHistory", b"<html>sorry</html>", status=502)
        stub.reply("GetWorkflowExecutionHistory", {"events": []})
        survey = survey_of(Recorder.of(stub.url))
        assert open_ids(survey) == {"w": []}
        assert (survey.progress.throttles, survey.progress.calls) == (1, 4)

    def test_an_unknown_domain_is_raised(self, service: Service) -> None:
        """A domain that SWF does not know is an error, not an empty one."""
        with pytest.raises(UnknownResource, match="media"):
            open_ids(survey_of(Recorder.of(service.url)))

    def test_a_domain_with_nothing_open(self, flow: Flow, client: Recorder) -> None:
        """Nothing open: nothing is read, nothing is wrong."""
        assert open_ids(survey_of(client)) == {}
        assert client.operations() == {LIST: 1}

    def test_told_to_stop_it_keeps_what_it_has(self, flow: Flow, client: Recorder) -> None:
        """Stopped half-way, it starts no new call, and gives what it has read."""
        for number in range(100):
            start(flow, f"w{number}", open_task())
        stop = threading.Event()

        def count(operation: str, arguments: Any) -> None:
            if client.operations()[HISTORY] == 20:
                stop.set()

        client.before = count
        survey = survey_of(client, stop=stop)
        found = open_ids(survey)
        assert 10 <= len(found) <= 30
        assert survey.failure is None
        assert client.operations()[HISTORY] <= 30


class TestTime:
    """The service's time counts, and the rate is held."""

    @pytest.mark.parametrize("off", [-300.0, 300.0])
    def test_a_clock_that_is_minutes_off(self, flow: Flow, client: Recorder, off: float) -> None:
        """Each reply tells the service's time: a task that was scheduled just now is not ten minutes old."""
        start(flow, "w", open_task())
        survey = survey_of(client, clock=lambda: time.time() + off)
        assert find_stuck(survey, (), older_than=60) == []
        assert abs(survey.now() - time.time()) < 5
        assert abs(survey.ahead + off) < 5

    def test_a_task_is_judged_by_the_time_that_it_was_read(
        self, service: Service, flow: Flow, client: Recorder
    ) -> None:
        """In a survey that takes an hour, what was young when it was read has not waited for an hour."""
        start(flow, "old", open_task(task_list="old"))
        service.advance(1000)
        start(flow, "young", open_task(task_list="young"))
        read = []

        def later(operation: str, arguments: Any) -> None:
            if operation == HISTORY:
                read.append(operation)
                if len(read) == 2:
                    service.advance(3600)

        client.before = later
        rows = find_stuck(survey_of(client, rate=5), (), older_than=600)
        assert [row.task.task_list for row in rows] == ["old"]

    def test_the_rate_is_held(self) -> None:
        """History reads are spaced out evenly, however many threads ask; throttling puts them off."""
        now, waited = 100.0, []

        def wait(seconds: float) -> None:
            waited.append(round(seconds, 3))

        pace = RateLimiter(10.0, clock=lambda: now, wait=wait)
        for _ in range(4):
            pace.acquire()
        assert waited == [0.1, 0.2, 0.3]
        pace.slow_down(2.0)
        pace.acquire()
        assert waited[-1] == 2.0


class TestFind:
    """A workflow id without a run id."""

    def test_the_open_run_else_the_newest(self, service: Service, flow: Flow, client: Recorder) -> None:
        """The open run is found; when none is open, the one that started last."""
        survey = survey_of(client)
        first = start(flow, "w")
        flow.call("TerminateWorkflowExecution", domain="media", workflowId="w")
        service.advance(10)
        assert survey.find("w").run_id == first
        second = start(flow, "w")
        assert survey.find("w").run_id == second
        service.advance(10)
        flow.call("TerminateWorkflowExecution", domain="media", workflowId="w")
        assert survey.find("w").run_id == second
        with pytest.raises(UnknownResource, match="nobody"):
            survey.find("nobody")

    def test_an_empty_page_is_not_the_last(self, stub: StubService) -> None:
        """SWF may give an empty page and a token: the search goes on."""
        stub.reply("ListOpenWorkflowExecutions", {"executionInfos": []})
        stub.reply("ListClosedWorkflowExecutions", {"executionInfos": [], "nextPageToken": "T"})
        stub.reply("ListClosedWorkflowExecutions", {"executionInfos": [_info("w", "RUN", 1000)]})
        assert survey_of(Recorder.of(stub.url)).find("w") == ExecutionId("w", "RUN")
        assert stub.requests[-1][1]["nextPageToken"] == "T"


class TestStuck:
    """What is shown of a survey."""

    @pytest.fixture
    def rows(self, service: Service, flow: Flow, client: Recorder) -> list[Stuck]:
        """A domain with a task that waits, one that is worked on, and one that never ends."""
        start(flow, "waits", open_task(task_list="waits"))
        start(flow, "runs", open_task(task_list="runs", startToCloseTimeout="86400"))
        start(flow, "endless", open_task(task_list="endless"), open_task("b", "endless"))
        for task_list in ("runs", "endless", "endless"):
            flow.poll(task_list, identity="host:1")
        service.advance(1200)
        return find_stuck(survey_of(client), (), older_than=600)

    def test_worst_first(self, rows: list[Stuck]) -> None:
        """Rows come by severity; a task that is worked on normally has none."""
        assert [(row.diagnosis.reason, row.execution.id) for row in rows] == [
            ("endless", "endless"),
            ("endless", "endless"),
            ("unclaimed", "waits"),
        ]

    @pytest.mark.usefixtures("rows")
    def test_lists_and_activity_choose(self, client: Recorder) -> None:
        """With task lists, or an activity's name, only their tasks are shown."""

        def names(**wanted: Any) -> list[str]:
            return [row.execution.id for row in find_stuck(survey_of(client), (), older_than=600, **wanted)]

        assert names(task_lists=["waits"]) == ["waits"]
        assert names(task_lists=["waits", "endless"]) == ["endless", "endless", "waits"]
        assert names(activity="resize") == ["endless", "endless", "waits"]
        assert names(activity="encode") == names(task_lists=["Waits"]) == []

    @pytest.mark.usefixtures("rows")
    def test_what_is_held_here_is_known(self, flow: Flow, client: Recorder) -> None:
        """A task in this machine's ledger whose worker died is found by its run and its start."""
        survey = survey_of(client)
        run = survey.find("runs")
        (task,) = survey.tasks(run)
        held = Holding("abcd", time.time(), "runs", "host:1", run.run_id, task.started_event_id, False)
        rows = find_stuck(survey, [held], older_than=600, task_lists=["runs"])
        assert [row.diagnosis.reason for row in rows] == ["holder-gone"]


def test_every_event_that_cancels_counts(flow: Flow, client: Recorder, service: Service) -> None:
    """A task that waits and is asked to cancel is closed at once; one that runs is cancelling."""
    start(flow, "w", open_task("runs", "runs"), open_task("waits", "waits"))
    flow.poll("runs", identity="host:1")
    decide(
        flow,
        "w",
        *(decision("RequestCancelActivityTask", activityId=activity_id) for activity_id in ("runs", "waits")),
    )
    service.advance(timedelta(minutes=11).total_seconds())
    rows = find_stuck(survey_of(client), (), older_than=600)
    assert [(row.task.id, row.task.state, row.diagnosis.reason) for row in rows] == [
        ("runs", "cancelling", "cancelling")
    ]
