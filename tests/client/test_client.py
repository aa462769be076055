"""Sessions, their two clients, and what a call makes of whatever comes back."""

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import botocore.credentials
import botocore.loaders
import botocore.tokens
import pytest
from botocore.retries.standard import ExponentialBackoff

from swf_cli import api
from swf_cli.client.call import call
from swf_cli.client.session import Session, default_session
from swf_cli.errors import (
    AccessError,
    ExitCode,
    InvalidRequest,
    InvalidResponseError,
    NetworkError,
    ServiceError,
    SwfError,
    ThrottlingError,
)
from tests.helpers.cli import TASK, wait_until
from tests.helpers.stub_service import StubService

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret"}
COUNT, POLL, COMPLETE = "CountPendingActivityTasks", "PollForActivityTask", "RespondActivityTaskCompleted"

SetEnv = Callable[..., None]


@pytest.fixture
def set_env(monkeypatch: pytest.MonkeyPatch) -> SetEnv:
    """Set environment variables by keyword."""

    def set_all(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_all


@pytest.fixture
def session(env: dict[str, str], set_env: SetEnv) -> Session:
    """A session that calls the stub."""
    set_env(**env)
    return Session()


@pytest.fixture(autouse=True)
def _no_waiting_between_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda *_: 0)


def configure(home: Path, text: str) -> None:
    """Write ~/.aws/config."""
    folder = home / ".aws"
    folder.mkdir(exist_ok=True)
    (folder / "config").write_text(text)


def count(session: Session) -> int:
    """Call SWF over the client for calls."""
    return api.count_pending_tasks("l", "d", session.client).count


def complete(session: Session) -> None:
    """Answer a task over the client for calls."""
    api.complete_task("T", client=session.client)


def poll(session: Session) -> Any:
    """Poll once over the client for polling."""

    def no_task() -> None:
        raise AssertionError("read as no task")

    return api.request_task("l", "d", no_tasks_callback=no_task, client=session.poll_client)


# Region, credentials, endpoint


PLACES: list[tuple[str | None, dict[str, str], str]] = [
    ("from-argument-1", {"AWS_REGION": "from-region-1", "AWS_DEFAULT_REGION": "from-default-1"}, "from-argument-1"),
    (None, {"AWS_REGION": "from-region-1", "AWS_DEFAULT_REGION": "from-default-1"}, "from-region-1"),
    (None, {"AWS_DEFAULT_REGION": "from-default-1"}, "from-default-1"),
    (None, {}, "from-profile-1"),
    ("", {"AWS_REGION": "from-region-1"}, "from-region-1"),
    (None, {"AWS_REGION": "", "AWS_DEFAULT_REGION": "from-default-1"}, "from-default-1"),
    (None, {"AWS_REGION": "", "AWS_DEFAULT_REGION": ""}, "from-profile-1"),
]


@pytest.mark.parametrize(("argument", "variables", "region"), PLACES)
def test_the_region_is_looked_for_in_order(
    argument: str | None, variables: dict[str, str], region: str, set_env: SetEnv, tmp_path: Path
) -> None:
    """The argument, AWS_REGION, AWS_DEFAULT_REGION, then the profile; an empty one counts as none."""
    configure(tmp_path, "[default]\nregion = from-profile-1\n")
    set_env(**CREDENTIALS, **variables)
    session = Session(region=argument)
    assert session.client.meta.region_name == region
    assert session.poll_client.meta.region_name == region


@pytest.mark.parametrize(
    "variables",
    [
        pytest.param(CREDENTIALS, id="no region"),
        pytest.param({**CREDENTIALS, "AWS_REGION": "", "AWS_DEFAULT_REGION": ""}, id="empty region"),
        pytest.param({"AWS_REGION": "us-east-1"}, id="no credentials"),
        pytest.param({**dict.fromkeys(CREDENTIALS, ""), "AWS_REGION": "us-east-1"}, id="empty credentials"),
        pytest.param({"AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE"}, id="half of the credentials"),
    ],
)
def test_no_region_or_no_credentials_is_no_access(
    variables: dict[str, str], set_env: SetEnv, stub: StubService
) -> None:
    """Without a region or credentials nothing is sent: exit 7, and a hint that says what to set."""
    set_env(**variables, AWS_ENDPOINT_URL_SWF=stub.url)
    for use in (count, poll):
        with pytest.raises(AccessError) as caught:
            use(Session())
        assert caught.value.exit_code == ExitCode.NO_ACCESS
        assert "AWS_REGION" in str(caught.value.hint) or "AWS_ACCESS_KEY_ID" in str(caught.value.hint)
        assert not caught.value.possibly_executed
    assert stub.requests == []


@pytest.mark.parametrize(
    "variables",
    [
        pytest.param({"AWS_PROFILE": "nobody"}, id="unknown profile"),
        pytest.param({"AWS_ENDPOINT_URL_SWF": "nonsense"}, id="endpoint without a scheme"),
        pytest.param({"AWS_ENDPOINT_URL_SWF": "http://"}, id="endpoint without a host"),
        pytest.param({"AWS_ENDPOINT_URL": "http://a b"}, id="endpoint with a blank"),
        pytest.param({"AWS_ENDPOINT_URL_SWF": "ftp://127.0.0.1"}, id="endpoint of another scheme"),
        pytest.param({"AWS_ENDPOINT_URL_SWF": "http://127.0.0.1:99999"}, id="endpoint port out of range"),
        pytest.param({"AWS_REGION": "us east"}, id="region that is no part of a host"),
        pytest.param({"AWS_DEFAULTS_MODE": "nonsense"}, id="defaults mode"),
    ],
)
def test_a_setting_that_cant_be_used_is_wrong_usage(variables: dict[str, str], set_env: SetEnv) -> None:
    """A setting of the environment that can't be used is exit 2 with a hint, before anything is sent."""
    set_env(**{**CREDENTIALS, "AWS_REGION": "us-east-1", **variables})
    for use in (count, poll):
        with pytest.raises(SwfError) as caught:
            use(Session())
        assert caught.value.exit_code == ExitCode.USAGE
        assert caught.value.hint
        assert not caught.value.possibly_executed


def test_an_unknown_profile_that_was_asked_for_is_wrong_usage(set_env: SetEnv) -> None:
    """A profile that does not exist is exit 2, and named."""
    set_env(**CREDENTIALS, AWS_REGION="us-east-1")
    with pytest.raises(SwfError, match="nobody") as caught:
        count(Session(profile="nobody"))
    assert caught.value.exit_code == ExitCode.USAGE


@pytest.mark.parametrize("profile", [None, ""])
def test_an_empty_profile_counts_as_none(profile: str | None, set_env: SetEnv, tmp_path: Path) -> None:
    """An empty AWS_PROFILE, or profile asked for, is the default profile."""
    configure(tmp_path, "[default]\nregion = from-profile-1\n")
    set_env(**CREDENTIALS, AWS_PROFILE="")
    assert Session(profile=profile).client.meta.region_name == "from-profile-1"


@pytest.mark.parametrize(
    ("argument", "variables", "url"),
    [
        (None, {"AWS_ENDPOINT_URL_SWF": "http://swf.test", "AWS_ENDPOINT_URL": "http://all.test"}, "http://swf.test"),
        (None, {"AWS_ENDPOINT_URL": "http://all.test"}, "http://all.test"),
        ("http://me.test", {"AWS_ENDPOINT_URL_SWF": "http://swf.test"}, "http://me.test"),
        (None, {"AWS_PROFILE": "local"}, "http://profile.test"),
        (None, {"AWS_ENDPOINT_URL_SWF": ""}, "https://swf.us-east-1.amazonaws.com"),
        (None, {}, "https://swf.us-east-1.amazonaws.com"),
    ],
)
def test_the_endpoint_is_taken_as_aws_takes_it(
    argument: str | None, variables: dict[str, str], url: str, set_env: SetEnv, tmp_path: Path
) -> None:
    """The argument, SWF's own variable, the variable of all services, the profile; else SWF's in the region."""
    configure(tmp_path, "[profile local]\nendpoint_url = http://profile.test\n")
    set_env(**CREDENTIALS, AWS_REGION="us-east-1", **variables)
    session = Session(endpoint_url=argument)
    assert [session.client.meta.endpoint_url, session.poll_client.meta.endpoint_url] == [url, url]


def test_calls_go_where_the_environment_says(session: Session, stub: StubService) -> None:
    """AWS_ENDPOINT_URL_SWF is where both clients call."""
    stub.reply(COUNT, {"count": 3})
    stub.reply(POLL, TASK)
    assert count(session) == 3
    assert poll(session).token == "TOKEN"
    assert stub.operations() == [COUNT, POLL]


def test_the_process_has_one_default_session() -> None:
    """Without a client, the functions share one session: credentials are looked for once."""
    assert default_session() is default_session()


# The two clients


def test_the_polling_client_outlasts_swf(session: Session) -> None:
    """The client for polls reads for 70 s at least, over connections that are kept alive."""
    config: Any = session.poll_client.meta.config
    assert config.read_timeout >= 70
    assert config.connect_timeout <= 10
    assert config.tcp_keepalive is True
    assert "swf-cli/" in config.user_agent_extra


def test_the_client_for_calls_does_not_hang(session: Session) -> None:
    """The client for the other calls connects and reads within seconds."""
    config: Any = session.client.meta.config
    assert config.connect_timeout <= 10
    assert config.read_timeout < 60


FAILURES: dict[str, Callable[[StubService, str], None]] = {
    "500": lambda stub, operation: stub.fault(operation, "InternalFailure", status=500),
    "503 page": lambda stub, operation: stub.reply(operation, b"<html>busy</html>", status=503),
    "reset": lambda stub, operation: stub.reply(operation, reset=True),
    "throttled": lambda stub, operation: stub.fault(operation, "ThrottlingException"),
}
"""What may pass when one tries again."""

each_failure = pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
MORE, FEWER = {"AWS_MAX_ATTEMPTS": "7", "AWS_RETRY_MODE": "legacy"}, {"AWS_MAX_ATTEMPTS": "1"}


@each_failure
def test_a_poll_is_never_tried_again(
    failure: Callable[[StubService, str], None], session: Session, stub: StubService, set_env: SetEnv
) -> None:
    """A poll that fails is not repeated, whatever the environment says: its answer may be on its way."""
    set_env(**MORE)
    failure(stub, POLL)
    with pytest.raises(SwfError) as caught:
        poll(session)
    assert stub.operations() == [POLL]
    assert caught.value.retry_attempts == 0


@each_failure
@pytest.mark.parametrize("variables", [MORE, FEWER], ids=["more", "fewer"])
def test_other_calls_are_tried_three_times(
    failure: Callable[[StubService, str], None],
    variables: dict[str, str],
    session: Session,
    stub: StubService,
    set_env: SetEnv,
) -> None:
    """A call that fails in a way that may pass is made three times in all, whatever the environment says."""
    set_env(**variables)
    failure(stub, COUNT)
    with pytest.raises(SwfError):
        count(session)
    assert stub.operations() == [COUNT] * 3
    config: Any = session.client.meta.config
    assert config.retries["mode"] == "standard"


@each_failure
def test_a_failure_that_passes_is_not_seen(
    failure: Callable[[StubService, str], None], session: Session, stub: StubService
) -> None:
    """When the third try succeeds, so does the call."""
    failure(stub, COUNT)
    failure(stub, COUNT)
    stub.reply(COUNT, {"count": 3})
    assert count(session) == 3


def test_a_refusal_is_not_tried_again(session: Session, stub: StubService) -> None:
    """A fault that won't pass comes at once."""
    stub.fault(COUNT, "UnknownResourceFault", "Unknown domain: d")
    with pytest.raises(SwfError, match=r"Unknown domain: d \(UnknownResourceFault\)") as caught:
        count(session)
    assert stub.operations() == [COUNT]
    assert (caught.value.request_id, caught.value.retry_attempts) == ("REQUEST", 0)


def test_an_error_tells_how_often_it_was_tried(session: Session, stub: StubService) -> None:
    """After three tries an error says that there were two retries."""
    stub.fault(COUNT, "ThrottlingException", "Rate exceeded")
    with pytest.raises(ThrottlingError) as caught:
        count(session)
    assert (caught.value.retry_attempts, caught.value.request_id) == (2, "REQUEST")


# Replies that are not SWF's


BROKEN: dict[str, dict[str, Any]] = {
    "cut": {"body": TASK, "cut": True},
    "cut after the object": {"body": b'{"startedEventId": 0, "count": 0}' + b" " * 50, "cut": True},
    "cut to nothing": {"body": b"{", "cut": True},
    "page": {"body": b"<html>sign in to this network</html>"},
    "half an object": {"body": b'{"taskToken": "TOK'},
    "empty": {"body": b""},
    "list": {"body": b"[]"},
    "null": {"body": b"null"},
    "not UTF-8": {"body": b"\xff\xfe{\x00}\x00"},
    "no content": {"status": 204},
}


@pytest.mark.parametrize("reply", BROKEN.values(), ids=BROKEN)
def test_a_broken_reply_to_a_poll_is_never_no_task(
    reply: dict[str, Any], session: Session, stub: StubService
) -> None:
    """A reply that is cut short, or isn't SWF's, may have held a task: that is an InvalidResponseError."""
    stub.reply(POLL, **reply)
    with pytest.raises(InvalidResponseError) as caught:
        poll(session)
    assert caught.value.possibly_executed
    assert stub.operations() == [POLL]


@pytest.mark.parametrize("reply", BROKEN.values(), ids=BROKEN)
def test_a_broken_reply_to_a_call_is_told(reply: dict[str, Any], session: Session, stub: StubService) -> None:
    """Nor is such a reply a count, or a heartbeat that brought no news."""
    for operation in (COUNT, "RecordActivityTaskHeartbeat"):
        stub.reply(operation, **reply)
    with pytest.raises(InvalidResponseError):
        count(session)
    with pytest.raises(InvalidResponseError):
        api.send_heartbeat("T", client=session.client)


@pytest.mark.parametrize("body", [None, {}, {"new": "key"}])
def test_an_answer_needs_no_body_in_its_reply(body: Any, session: Session, stub: StubService) -> None:
    """SWF answers an answer with an empty body, which is fine."""
    stub.reply(COMPLETE, body)
    complete(session)
    assert stub.operations() == [COMPLETE]


@pytest.mark.parametrize("reply", [{"body": b"<html>hello</html>"}, {"body": b"{", "cut": True}])
def test_a_page_in_place_of_an_empty_reply_is_told(
    reply: dict[str, Any], session: Session, stub: StubService
) -> None:
    """A page of something in between is no proof that SWF took the answer."""
    stub.reply(COMPLETE, **reply)
    with pytest.raises(InvalidResponseError) as caught:
        complete(session)
    assert caught.value.possibly_executed


LATIN = "<!DOCTYPE html><p>passerelle erronée".encode("latin-1")


@pytest.mark.parametrize("status", [302, 400, 407, 502])
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"<html>no</html>", id="page"),
        pytest.param(b"<!DOCTYPE html><p>no", id="longer page"),
        pytest.param(LATIN, id="page that is not UTF-8"),
        pytest.param(b"[]", id="list"),
        pytest.param(b"null", id="null"),
        pytest.param(b'"no"', id="text"),
        pytest.param(b'{"__type": 5, "message": ["no"]}', id="odd types"),
    ],
)
def test_a_refusal_of_something_in_between_is_an_error_of_the_tree(
    status: int, body: bytes, session: Session, stub: StubService
) -> None:
    """A proxy's refusal, whatever its body, is an SwfError of one line; in the 500s SWF may have acted."""
    stub.reply(COMPLETE, body, status=status)
    with pytest.raises(SwfError) as caught:
        complete(session)
    error = caught.value
    assert isinstance(error, ServiceError) == (status >= 500)
    assert error.possibly_executed == (status >= 500)
    assert error.exit_code == ExitCode.REFUSED
    assert len(stub.requests) == (3 if status >= 500 else 1)
    assert len(error.message) < 300
    assert "\n" not in error.message


def test_a_long_page_is_cut(session: Session, stub: StubService) -> None:
    """Of a whole page of a proxy's, a message takes a line."""
    stub.reply(COMPLETE, b"<!DOCTYPE html>\n" + b"<p>no\n" * 10_000, status=400)
    with pytest.raises(SwfError) as caught:
        complete(session)
    assert len(caught.value.message) < 300
    assert "\n" not in caught.value.message


# Whether it may have been done


@contextmanager
def refusing() -> Iterator[str]:
    """The URL of a port that is taken, but where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


def test_a_refused_connection_did_nothing(session: Session, set_env: SetEnv) -> None:
    """When nobody listens, nothing can have been done."""
    with refusing() as url:
        set_env(AWS_ENDPOINT_URL_SWF=url)
        for use in (complete, poll):
            with pytest.raises(NetworkError) as caught:
                use(session)
            assert not caught.value.possibly_executed


@pytest.mark.parametrize(
    ("failures", "possibly_executed"),
    [
        (["reset"], True),
        (["500"], True),
        (["503 page"], True),
        (["throttled"], False),
        (["refused"], False),
        (["reset", "refused"], True),
        (["reset", "throttled"], True),
        (["500", "throttled"], True),
        (["500", "refused"], True),
        (["throttled", "refused"], False),
        (["throttled", "reset"], True),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else None,
)
def test_an_answer_may_have_been_taken_by_any_of_its_tries(
    failures: list[str], possibly_executed: bool, session: Session, stub: StubService
) -> None:
    """One try whose end is unheard is enough: the refusal of a later one does not say that nothing was done."""
    for failure in failures:
        if failure == "refused":
            stub.fault(COMPLETE, "UnknownResourceFault")
        else:
            FAILURES[failure](stub, COMPLETE)
    with pytest.raises(SwfError) as caught:
        complete(session)
    assert caught.value.possibly_executed == possibly_executed


def test_a_later_refused_connection_does_not_undo_a_reset(
    session: Session, stub: StubService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first try that was cut off may have been taken, though nobody listens any more at the second."""
    stub.reply(COMPLETE, reset=True)

    def between_the_tries(*_: Any) -> float:
        stub.close()
        return 0

    monkeypatch.setattr(ExponentialBackoff, "delay_amount", between_the_tries)
    with pytest.raises(NetworkError, match="Could not connect") as caught:
        complete(session)
    assert len(stub.requests) == 1
    assert caught.value.possibly_executed


def test_what_one_call_left_unclear_is_not_held_against_the_next(session: Session, stub: StubService) -> None:
    """Each call is judged by its own tries."""
    stub.reply(COMPLETE, reset=True)
    with pytest.raises(NetworkError):
        complete(session)
    stub.fault(COUNT, "ThrottlingException")
    with pytest.raises(ThrottlingError) as caught:
        count(session)
    assert not caught.value.possibly_executed


def test_calls_of_other_threads_are_not_mixed_in(session: Session, stub: StubService) -> None:
    """A call is judged by its own tries, whatever befalls another thread's meanwhile."""
    gate = threading.Event()
    refusal = {"__type": "com.amazonaws.swf.base.model#UnknownResourceFault"}
    stub.reply(COUNT, refusal, status=400, wait=gate)
    stub.reply(COMPLETE, reset=True)
    assert session.client
    with ThreadPoolExecutor(1) as pool:
        counting = pool.submit(count, session)
        wait_until(lambda: stub.operations() == [COUNT])
        with pytest.raises(NetworkError) as lost:
            complete(session)
        gate.set()
        refused = counting.exception(10)
    assert isinstance(refused, SwfError)
    assert (lost.value.possibly_executed, refused.possibly_executed) == (True, False)


@pytest.mark.filterwarnings("ignore:this client stops reading")
def test_a_poll_that_is_not_answered_in_time_may_have_taken_a_task(
    env: dict[str, str], set_env: SetEnv, stub: StubService
) -> None:
    """A read that timed out says nothing of what SWF did."""
    set_env(**env)
    gate = threading.Event()
    stub.reply(POLL, TASK, wait=gate)
    with pytest.raises(NetworkError) as caught:
        poll(Session(poll_read_timeout=0.2))
    gate.set()
    assert caught.value.possibly_executed
    assert stub.operations() == [POLL]


def test_an_answer_that_is_not_heard_in_time_may_have_been_taken(
    session: Session, stub: StubService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same goes for an answer, however often it was tried."""
    monkeypatch.setattr("swf_cli.client.session.CALL_READ_TIMEOUT", 0.1)
    gate = threading.Event()
    stub.reply(COMPLETE, wait=gate)
    with pytest.raises(NetworkError) as caught:
        complete(session)
    gate.set()
    assert caught.value.possibly_executed


def test_what_botocore_refuses_to_send_did_nothing(session: Session, stub: StubService) -> None:
    """Arguments that botocore refuses are an InvalidRequest, and nothing was sent."""
    with pytest.raises(InvalidRequest) as caught:
        call(session.client, "count_pending_activity_tasks", domain="d")
    assert not caught.value.possibly_executed
    assert stub.requests == []


# SWF's model, and other services'


def test_no_service_is_searched_for(session: Session, stub: StubService, monkeypatch: pytest.MonkeyPatch) -> None:
    """Making the clients does not look through the folders of every service, which takes long."""

    def search(*_: Any) -> Any:
        raise AssertionError("looked through every service")

    monkeypatch.setattr(botocore.loaders.Loader, "list_available_services", search)
    stub.reply(COUNT, {"count": 3})
    assert count(session) == 3
    assert session.poll_client


def write_model(folder: Path, service: str) -> None:
    """Write a small service model of a later date than any."""
    model = {
        "version": "2.0",
        "metadata": {
            "apiVersion": "2999-01-01",
            "endpointPrefix": service,
            "jsonVersion": "1.0",
            "protocol": "json",
            "serviceFullName": service,
            "serviceId": service.upper(),
            "signatureVersion": "v4",
            "targetPrefix": service,
        },
        "operations": {},
        "shapes": {},
    }
    place = folder / service / "2999-01-01"
    place.mkdir(parents=True)
    (place / "service-2.json").write_text(json.dumps(model))


def test_models_of_the_users_own_are_found(session: Session, set_env: SetEnv, tmp_path: Path) -> None:
    """AWS_DATA_PATH goes on to count: for SWF's model, and for other services'."""
    write_model(tmp_path / "models", "swf")
    write_model(tmp_path / "models", "quiz")
    set_env(AWS_DATA_PATH=str(tmp_path / "models"))
    assert session.client.meta.service_model.api_version == "2999-01-01"
    services = session._session.get_available_services()
    assert {"quiz", "sts", "sso", "swf"} <= set(services)
    assert session._session.get_service_model("quiz").api_version == "2999-01-01"
    assert session._session.get_service_model("sts").service_name == "sts"


# Roles and SSO


def access_key(session: Session) -> str:
    """Tell as whom a session calls SWF."""
    credentials = session._session.get_credentials()
    assert credentials
    return credentials.access_key


class Issuer:
    """A service on loopback that hands out credentials: it notes each request, and gives one reply to all."""

    def __init__(self, reply: bytes, status: int = 200) -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        """Path, headers and body of each request."""
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                issuer.requests.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(status)
                self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            do_GET = do_POST

            def log_message(self, *args: Any) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


LATER = datetime.now(UTC) + timedelta(hours=1)
ROLE_REPLY = f"""
<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>
<AssumedRoleUser><Arn>arn:aws:sts::123456789012:assumed-role/worker/s</Arn><AssumedRoleId>A:s</AssumedRoleId></AssumedRoleUser>
<Credentials><AccessKeyId>AKIDROLE</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>
<Expiration>{LATER:%Y-%m-%dT%H:%M:%SZ}</Expiration></Credentials>
</AssumeRoleResult></AssumeRoleResponse>""".encode()
ROLE_PROFILE = """
[profile base]
aws_access_key_id = AKIDEXAMPLE
aws_secret_access_key = secret
[profile worker]
role_arn = arn:aws:iam::123456789012:role/worker
source_profile = base
region = eu-west-3
"""


@pytest.fixture
def issuer(request: pytest.FixtureRequest) -> Iterator[Issuer]:
    """A service that hands out credentials; the test says what it replies."""
    service = Issuer(*request.param)
    yield service
    service.close()


@pytest.mark.parametrize("issuer", [(ROLE_REPLY,)], indirect=True, ids=["sts"])
@pytest.mark.parametrize(("argument", "region"), [(None, "eu-west-3"), ("ap-south-1", "ap-south-1")])
def test_a_role_is_assumed_once(
    argument: str | None, region: str, issuer: Issuer, stub: StubService, set_env: SetEnv, tmp_path: Path
) -> None:
    """A profile with a role asks STS for it in SWF's region; the next process takes it from `aws`'s cache."""
    configure(tmp_path, ROLE_PROFILE)
    set_env(AWS_ENDPOINT_URL_STS=issuer.url, AWS_ENDPOINT_URL_SWF=stub.url)
    stub.reply(COUNT, {"count": 3})
    for _ in range(2):
        session = Session(profile="worker", region=argument)
        assert count(session) == 3
        assert session.client.meta.region_name == region
        assert access_key(session) == "AKIDROLE"
    [(_, headers, body)] = issuer.requests
    asked = parse_qs(body.decode())
    assert asked["Action"] == ["AssumeRole"]
    assert asked["RoleArn"] == ["arn:aws:iam::123456789012:role/worker"]
    assert f"/{region}/sts/aws4_request" in headers["authorization"]
    assert len(list((tmp_path / ".aws/cli/cache").iterdir())) == 1


@pytest.mark.parametrize("issuer", [(ROLE_REPLY,)], indirect=True, ids=["sts"])
def test_an_mfa_code_is_asked_for_once(issuer: Issuer, set_env: SetEnv, tmp_path: Path) -> None:
    """A role that needs an MFA code asks for it in the first process, and not in the next."""
    configure(tmp_path, f"{ROLE_PROFILE}mfa_serial = arn:aws:iam::123456789012:mfa/me\n")
    set_env(AWS_ENDPOINT_URL_STS=issuer.url, AWS_PROFILE="worker")
    code = "from swf_cli.client.session import Session; print(Session().client.meta.region_name)"
    for typed in ("123456\n", ""):
        done = subprocess.run(
            [sys.executable, "-c", code],
            input=typed,
            capture_output=True,
            text=True,
            start_new_session=True,  # without a terminal, the code is read from stdin
            check=False,
        )
        assert (done.stdout, done.returncode) == ("eu-west-3\n", 0)
    [(_, _, body)] = issuer.requests
    assert parse_qs(body.decode())["TokenCode"] == ["123456"]


def test_an_mfa_code_that_nobody_types_is_no_access(set_env: SetEnv, tmp_path: Path) -> None:
    """Where nobody can type the MFA code, that is an error of the tree, exit 7, and STS is not asked."""
    configure(tmp_path, f"{ROLE_PROFILE}mfa_serial = arn:aws:iam::123456789012:mfa/me\n")
    code = (
        "from swf_cli.client.session import Session\nfrom swf_cli.errors import AccessError\n"
        "try: Session(profile='worker').client\nexcept AccessError: print('no access')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        start_new_session=True,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("no access\n", 0), done.stderr[-500:]


DENIED = b"<ErrorResponse><Error><Code>AccessDenied</Code><Message>not you</Message></Error></ErrorResponse>"
BROKEN_STS = b"<ErrorResponse><Error><Code>InternalFailure</Code><Message>oops</Message></Error></ErrorResponse>"


@pytest.mark.parametrize(
    ("issuer", "exit_code"),
    [((DENIED, 403), ExitCode.NO_ACCESS), ((BROKEN_STS, 500), ExitCode.REFUSED)],
    indirect=["issuer"],
    ids=["denied", "failing"],
)
def test_a_role_that_is_not_given_is_no_call_to_swf(
    issuer: Issuer, exit_code: ExitCode, stub: StubService, set_env: SetEnv, tmp_path: Path
) -> None:
    """When STS does not give the role, SWF was not called, and nobody thinks that it may have been."""
    configure(tmp_path, ROLE_PROFILE)
    set_env(AWS_ENDPOINT_URL_STS=issuer.url, AWS_ENDPOINT_URL_SWF=stub.url)
    for use in (complete, poll):
        with pytest.raises(SwfError, match="AssumeRole") as caught:
            use(Session(profile="worker"))
        assert caught.value.exit_code == exit_code
        assert not caught.value.possibly_executed
    assert stub.requests == []


SSO_REPLY = json.dumps(
    {
        "roleCredentials": {
            "accessKeyId": "AKIDSSO",
            "secretAccessKey": "s",
            "sessionToken": "t",
            "expiration": int(LATER.timestamp() * 1000),
        }
    }
).encode()
SSO_PROFILE = """
[sso-session corp]
sso_start_url = https://corp.awsapps.com/start
sso_region = eu-central-1
sso_registration_scopes = sso:account:access
[profile worker]
sso_session = corp
sso_account_id = 123456789012
sso_role_name = Worker
region = eu-west-3
"""


def sign_in(home: Path, until: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave what `aws sso login` leaves."""
    folder = home / ".aws/sso/cache"
    folder.mkdir(parents=True)
    token = {"accessToken": "SSOTOKEN", "expiresAt": f"{until:%Y-%m-%dT%H:%M:%SZ}"}
    (folder / f"{sha1(b'corp').hexdigest()}.json").write_text(json.dumps(token))
    # botocore finds the home folder when it is imported, before the test had one of its own.
    for provider in (botocore.credentials.SSOProvider, botocore.tokens.SSOTokenProvider):
        monkeypatch.setattr(provider, "_SSO_TOKEN_CACHE_DIR", str(folder))


@pytest.mark.parametrize("issuer", [(SSO_REPLY,)], indirect=True, ids=["sso"])
def test_an_sso_profile_signs_in(
    issuer: Issuer, stub: StubService, set_env: SetEnv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A profile of `aws sso login` gets its role's credentials from SSO, with the token that the login left."""
    configure(tmp_path, SSO_PROFILE)
    sign_in(tmp_path, LATER, monkeypatch)
    set_env(AWS_ENDPOINT_URL_SSO=issuer.url, AWS_ENDPOINT_URL_SWF=stub.url, AWS_PROFILE="worker")
    stub.reply(COUNT, {"count": 3})
    session = Session()
    assert count(session) == 3
    assert access_key(session) == "AKIDSSO"
    [(path, headers, _)] = issuer.requests
    assert urlsplit(path).path == "/federation/credentials"
    assert parse_qs(urlsplit(path).query) == {"role_name": ["Worker"], "account_id": ["123456789012"]}
    assert headers["x-amz-sso_bearer_token"] == "SSOTOKEN"


@pytest.mark.parametrize("issuer", [(b'{"__type": "UnauthorizedException"}', 401)], indirect=True, ids=["sso"])
@pytest.mark.parametrize("signed_in", ["refused", "expired", "never"])
def test_an_sso_sign_in_that_is_over_is_no_access(
    signed_in: str,
    issuer: Issuer,
    stub: StubService,
    set_env: SetEnv,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An SSO sign-in that is over, or never was, is exit 7 with a hint to sign in, and SWF is not called."""
    configure(tmp_path, SSO_PROFILE)
    sign_in(tmp_path, LATER if signed_in == "refused" else LATER - timedelta(days=1), monkeypatch)
    if signed_in == "never":
        for file in (tmp_path / ".aws/sso/cache").iterdir():
            file.unlink()
    set_env(AWS_ENDPOINT_URL_SSO=issuer.url, AWS_ENDPOINT_URL_SWF=stub.url)
    with pytest.raises(AccessError) as caught:
        count(Session(profile="worker"))
    assert "aws sso login" in str(caught.value.hint)
    assert len(issuer.requests) == (signed_in == "refused")
    assert stub.requests == []
