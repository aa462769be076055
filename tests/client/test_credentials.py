"""Credentials: what is wrong is named and never shows a secret; those that changed are used at once."""

import json
import logging
import os
import socket
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from hashlib import sha1
from pathlib import Path
from typing import Any

import pytest
from botocore.utils import ContainerMetadataFetcher

from swf_cli.client.call import call
from swf_cli.client.session import Session
from swf_cli.errors import (
    AccessError,
    CredentialsError,
    CredentialsUnavailable,
    ExitCode,
    SwfError,
)
from swf_cli.redaction import redact
from tests.client.conftest import ROLE_PROFILE, SetEnv, complete, configure, count, poll
from tests.helpers.cli import TASK, wait_until
from tests.helpers.clock import FakeClock
from tests.helpers.issuer import Issuer
from tests.helpers.operations import COMPLETE, COUNT, HEARTBEAT, HISTORY, POLL
from tests.helpers.stub_service import StubService

pytestmark = pytest.mark.usefixtures("no_pauses")

KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "sup3r-secret-key-of-mine"}
PAST = "2020-01-01T00:00:00Z"
SSO_PROFILE = """
[profile sso]
sso_session = corp
sso_account_id = 123456789012
sso_role_name = worker
[sso-session corp]
sso_start_url = https://corp.example
sso_region = us-east-1
"""


def issued(key: str = "AKIDISSUED", expires: str | None = None, secret: str = "s" * 40, token: str = "t") -> bytes:
    """Return credentials as an endpoint issues them; by default they are valid for an hour."""
    end = expires or f"{datetime.now(UTC) + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"
    return json.dumps({"AccessKeyId": key, "SecretAccessKey": secret, "Token": token, "Expiration": end}).encode()


def process(script: str) -> str:
    """Return a configuration whose default profile gets its credentials from a shell script."""
    return f"[default]\ncredential_process = sh -c '{script}'\n"


@pytest.fixture
def stub(stub: StubService, set_env: SetEnv) -> StubService:
    """The service that is called."""
    set_env(AWS_REGION="us-east-1", AWS_ENDPOINT_URL_SWF=stub.url)
    return stub


@pytest.fixture
def issuer(set_env: SetEnv) -> Iterator[Issuer]:
    """The endpoint of a container."""
    service = Issuer(issued())
    set_env(AWS_CONTAINER_CREDENTIALS_FULL_URI=f"{service.url}/role")
    yield service
    service.close()


Problem = tuple[str, dict[str, str], list[str]]
PROBLEMS: dict[str, Problem] = {
    "no token file": (
        "",
        {"AWS_WEB_IDENTITY_TOKEN_FILE": "/no/token", "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/x"},
        ["web identity token file /no/token: No such file or directory"],
    ),
    "no such process": (
        "[default]\ncredential_process = /no/such/program --secret hush-hush\n",
        {},
        ["credential_process /no/such/program of profile default: No such file or directory"],
    ),
    "a process that fails": (
        process("echo hush-hush; echo please sign in >&2; exit 3"),
        {},
        ["credential_process sh of profile default: please sign in"],
    ),
    "a process that prints garbage": (
        process("echo hush-hush"),
        {},
        ["credential_process sh of profile default", "something other than credentials"],
    ),
    "a process that prints a list": (
        process('echo "[\\"hush-hush\\"]"'),
        {},
        ["credential_process sh of profile default", "something other than credentials"],
    ),
    "a process that prints nothing": (process("true"), {}, ["credential_process sh of profile default"]),
    "a process that prints bytes that are not UTF-8": (
        process(r"printf \"\\377hush-hush\""),
        {},
        ["credential_process sh of profile default"],
    ),
    "a process without a version": (
        process('echo "{\\"AccessKeyId\\": \\"hush-hush\\"}"'),
        {},
        ["credential_process sh of profile default"],
    ),
    "a process whose keys have expired": (
        process(
            'echo "{\\"Version\\": 1, \\"AccessKeyId\\": \\"A\\", \\"SecretAccessKey\\": \\"hush-hush\\",'
            f' \\"Expiration\\": \\"{PAST}\\"}}"'
        ),
        {},
        ["credential_process sh of profile default: they have expired"],
    ),
    "keys of the environment that have expired": (
        "",
        {**KEYS, "AWS_CREDENTIAL_EXPIRATION": PAST},
        ["AWS_ACCESS_KEY_ID", "they have expired"],
    ),
    "an expiration that is no time": ("", {**KEYS, "AWS_CREDENTIAL_EXPIRATION": "soon"}, ["AWS_ACCESS_KEY_ID"]),
    "a session token with a line break": (
        "",
        {**KEYS, "AWS_SESSION_TOKEN": "hush-\nhush"},
        ["the session token in the environment variable AWS_SESSION_TOKEN contains a line break"],
    ),
    "a key with a line break": (
        "",
        {**KEYS, "AWS_ACCESS_KEY_ID": "hush-\rhush"},
        ["the access key ID", "contains a line break or another invalid character"],
    ),
    "a secret key that is not ASCII": (
        "",
        {**KEYS, "AWS_SECRET_ACCESS_KEY": "hush-hush\xe9"},
        ["the secret key", "contains a line break or another invalid character"],
    ),
    "a process that prints what may be a secret": (
        process("echo token hush1HUSH2hush3HUSH4 for /opt/signed-in/helper2 is bad >&2; exit 3"),
        {},
        ["credential_process sh of profile default: token SECRET for /opt/signed-in/helper2 is bad"],
    ),
    "a process whose command line is not closed": (
        '[default]\ncredential_process = "hush-hush\n',
        {},
        ["credential_process of profile default in ~/.aws/config: its command line is empty, or a quotation mark"],
    ),
    "a process without a command line": (
        "[default]\ncredential_process =\n",
        {},
        ["credential_process of profile default in ~/.aws/config: its command line is empty"],
    ),
    "a process whose key is null": (
        process('echo "{\\"Version\\": 1, \\"AccessKeyId\\": null, \\"SecretAccessKey\\": \\"hush-hush\\"}"'),
        {},
        ["the access key ID from credential_process sh of profile default is missing"],
    ),
    "a process whose key is a number": (
        process('echo "{\\"Version\\": 1, \\"AccessKeyId\\": 7, \\"SecretAccessKey\\": \\"hush-hush\\"}"'),
        {},
        ["the access key ID from credential_process sh of profile default is not a string"],
    ),
    "a container's endpoint on another host": (
        "",
        {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://hush:hush@example.invalid/x?token=hush"},
        ["container endpoint http://example.invalid/x: Unsupported host 'example.invalid'"],
    ),
    "a container's endpoint that is no URL": (
        "",
        {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "::::"},
        ["container endpoint ::::: the URL has no host"],
    ),
    "a container's token with a line break": (
        "",
        {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:9/x?hush",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": "hush\nhush",
        },
        ["container endpoint http://127.0.0.1:9/x: Auth token value is not a legal header value"],
    ),
    "a container's endpoint that is not there": (
        "",
        {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:9/x?token=hush"},
        ["container endpoint http://127.0.0.1:9/x: ", "127.0.0.1:9/x"],
    ),
    "no secret key": ("", {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE"}, ["AWS_SECRET_ACCESS_KEY"]),
    "an SSO profile that is not signed in": (SSO_PROFILE, {"AWS_PROFILE": "sso"}, ["SSO sign-in of profile sso"]),
    "nothing": ("", {}, ["no AWS credentials were found"]),
    "a profile without any": (
        "[profile video]\nregion = us-east-1\n",
        {"AWS_PROFILE": "video"},
        ["no AWS credentials were found for profile video"],
    ),
}


@pytest.mark.parametrize(("config", "variables", "words"), PROBLEMS.values(), ids=PROBLEMS)
def test_what_is_wrong_is_named(
    config: str, variables: dict[str, str], words: list[str], stub: StubService, set_env: SetEnv, tmp_path: Path
) -> None:
    """The error is one of access; it names file, profile or process, and shows no secret; nothing is sent."""
    configure(tmp_path, config)
    set_env(**variables)
    with pytest.raises(CredentialsError) as raised:
        count(Session())
    message = raised.value.message
    assert [word for word in words if word not in message] == []
    assert raised.value.exit_code == ExitCode.NO_ACCESS
    assert not any(secret in f"{message} {raised.value.hint}" for secret in ("hush", "sup3r", "\n"))
    assert "hush1HUSH2" not in "".join(traceback.format_exception(raised.value))
    assert stub.requests == []


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"accessToken": 7}'], ids=repr)
def test_a_damaged_sso_cache(content: bytes, stub: StubService, set_env: SetEnv, tmp_path: Path) -> None:
    """It counts as not signed in."""
    configure(tmp_path, SSO_PROFILE)
    set_env(AWS_PROFILE="sso")
    cache = tmp_path / ".aws" / "sso" / "cache"
    cache.mkdir(parents=True)
    (cache / f"{sha1(b'corp', usedforsecurity=False).hexdigest()}.json").write_bytes(content)
    with pytest.raises(CredentialsError, match="SSO sign-in of profile sso"):
        count(Session())
    assert stub.requests == []


@pytest.mark.usefixtures("instant_retries")
@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'{"Credentials": 7}'], ids=repr)
def test_a_damaged_role_cache(content: bytes, stub: StubService, set_env: SetEnv, tmp_path: Path) -> None:
    """It is an error of access that names the role, or the role is assumed anew."""
    configure(tmp_path, ROLE_PROFILE)
    set_env(AWS_PROFILE="role", AWS_ENDPOINT_URL_STS="http://127.0.0.1:9")
    cache = tmp_path / ".aws" / "cli" / "cache"
    cache.mkdir(parents=True)
    with pytest.raises(CredentialsError, match="role arn:aws:iam::123456789012:role/worker of profile role"):
        count(Session())
    name = "0" * 40
    (cache / f"{name}.json").write_bytes(content)
    for path in cache.iterdir():
        path.write_bytes(content)
    with pytest.raises(CredentialsError, match="role arn:aws:iam::123456789012:role/worker of profile role"):
        count(Session())
    assert stub.requests == []


# What a file of profiles may hold, and what is said of it. The damaged lines hold a secret.
DAMAGED: dict[str, tuple[bytes, str]] = {
    "a line outside of sections": (b"hush-hush\n[default]\n", "line 1 is not valid"),
    "a line without a value": (b"[default]\nregion = us-east-1\nhush-hush\n", "line 3 is not valid"),
    "a section twice": (b"[default]\nregion = us-east-1\n[default]\n", "line 3 repeats a section or a setting"),
    "a setting twice": (b"[default]\nhush = 1\nhush = 2\n", "line 3 repeats a section or a setting"),
    "another encoding": (b"[default]\nregion = hush\xff\n", "it is not valid UTF-8"),
}


@pytest.mark.parametrize("variables", [{}, KEYS], ids=["keys in the file", "keys in the environment"])
@pytest.mark.parametrize(("content", "why"), DAMAGED.values(), ids=DAMAGED)
@pytest.mark.parametrize("name", ["credentials", "config"])
def test_files_that_cannot_be_parsed(
    name: str,
    content: bytes,
    why: str,
    variables: dict[str, str],
    stub: StubService,
    set_env: SetEnv,
    tmp_path: Path,
) -> None:
    """The file and the line are named, not what is in it; nothing is sent, whatever is done first."""
    set_env(**variables)
    path = tmp_path / ".aws" / name
    path.parent.mkdir()
    path.write_bytes(content)
    for use in (count, poll, lambda session: session.profile):
        with pytest.raises(CredentialsError) as raised:
            use(Session())
        assert raised.value.message == f"cannot parse {path}: {why}"
        assert "hush" not in "".join(traceback.format_exception(raised.value))
    assert stub.requests == []


def test_a_nested_setting_that_cannot_be_parsed(stub: StubService, set_env: SetEnv, tmp_path: Path) -> None:
    """The file is named; botocore does not say in which line it is."""
    configure(tmp_path, "[default]\ns3 =\n  hush\n")
    set_env(**KEYS)
    with pytest.raises(CredentialsError) as raised:
        count(Session())
    assert raised.value.message == f"cannot parse {tmp_path}/.aws/config"
    assert stub.requests == []


@pytest.mark.parametrize("variables", [{}, KEYS], ids=["no keys", "keys in the environment"])
@pytest.mark.parametrize("by_variable", [True, False])
def test_an_unknown_profile(
    by_variable: bool, variables: dict[str, str], stub: StubService, set_env: SetEnv, tmp_path: Path
) -> None:
    """A profile that does not exist is named, also where the keys would be those of the environment."""
    configure(tmp_path, "[default]\nregion = us-east-1\n")
    set_env(**variables, **({"AWS_PROFILE": "nobody"} if by_variable else {}))
    for use in (count, poll, lambda session: session.profile):
        with pytest.raises(CredentialsError, match=r"^profile nobody was not found$") as raised:
            use(Session(profile=None if by_variable else "nobody"))
        assert raised.value.exit_code == ExitCode.NO_ACCESS
        assert "AWS_PROFILE" in str(raised.value.hint)
    assert stub.requests == []


def make_folder(path: Path) -> str:
    """Put a folder in the place of a file; return why that can't be read."""
    path.mkdir(parents=True)
    return "Is a directory"


def make_unreadable(path: Path) -> str:
    """Make a file that nobody but root can read; return why not."""
    path.parent.mkdir()
    path.write_text("[default]\nregion = us-east-1\n[profile video]\n")
    path.chmod(0)
    return "Permission denied"


@pytest.mark.parametrize(
    "make",
    [
        make_folder,
        pytest.param(make_unreadable, marks=pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")),
    ],
)
@pytest.mark.parametrize(
    ("variables", "what"),
    [
        ({}, "no AWS credentials were found"),
        ({"AWS_PROFILE": "video"}, "profile video was not found"),
        ({**KEYS, "AWS_REGION": ""}, "no region is set"),
    ],
    ids=["credentials", "profile", "region"],
)
@pytest.mark.parametrize("name", ["credentials", "config"])
def test_files_that_cannot_be_read(
    name: str,
    variables: dict[str, str],
    what: str,
    make: Callable[[Path], str],
    stub: StubService,
    set_env: SetEnv,
    tmp_path: Path,
) -> None:
    """A file that can't be read is named, with what was not found for that."""
    set_env(**variables)
    why = make(tmp_path / ".aws" / name)
    with pytest.raises(AccessError) as raised:
        count(Session())
    assert raised.value.message == f"{what}: cannot read ~/.aws/{name}: {why}"
    assert stub.requests == []


def test_an_empty_variable_names_no_file(stub: StubService, set_env: SetEnv, tmp_path: Path) -> None:
    """It counts as unset: the files in the home directory are read."""
    configure(tmp_path, "[profile video]\nregion = eu-west-3\n")
    (tmp_path / ".aws" / "credentials").write_text("[video]\naws_access_key_id = A\naws_secret_access_key = s\n")
    set_env(AWS_CONFIG_FILE="", AWS_SHARED_CREDENTIALS_FILE="", AWS_REGION="", AWS_PROFILE="video")
    stub.reply(COUNT, {"count": 3})
    session = Session()
    assert count(session) == 3
    assert session.client.meta.region_name == "eu-west-3"


def test_a_file_that_is_not_needed_need_not_be_readable(stub: StubService, set_env: SetEnv, tmp_path: Path) -> None:
    """As with `aws`, settings in the environment are enough."""
    make_folder(tmp_path / ".aws" / "config")
    set_env(**KEYS)
    stub.reply(COUNT, {"count": 3})
    assert count(Session()) == 3


def test_a_secret_is_registered_before_it_can_be_shown(stub: StubService, set_env: SetEnv) -> None:
    """A reply that repeats the session token is shown without it."""
    token = "IQoJb3JpZ2luX2VjE" + "aB3+" * 80
    set_env(**KEYS, AWS_SESSION_TOKEN=token)
    stub.fault(COUNT, "ValidationException", f"odd header: {token}")
    with pytest.raises(SwfError) as raised:
        count(Session())
    assert redact(raised.value.message).endswith("odd header: SECRET (ValidationException)")


class RedactedLog(logging.Filter):
    """Keeps what is logged, redacted at that moment."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep a record's message."""
        self.messages.append(redact(record.getMessage()))
        return True


def test_the_secrets_of_a_refresh_are_registered(
    issuer: Issuer, stub: StubService, caplog: pytest.LogCaptureFixture
) -> None:
    """What botocore fetched to sign a request is redacted, also in its own log; so is what it used before."""
    soon = datetime.now(UTC) + timedelta(minutes=11)
    first, second = ("first-secret-key", "first-session-token"), ("second-secret-key", "second-session-token")
    issuer.reply = issued("AKIDFIRST", f"{soon:%Y-%m-%dT%H:%M:%SZ}", *first)
    clock = FakeClock()
    session = Session(clock=clock)
    stub.reply(COUNT, {"count": 1})
    count(session)
    issuer.reply = issued("AKIDSECOND", None, *second)
    clock.advance(5)
    count(session)  # it starts the refresh
    wait_until(lambda: count(session) and stub.access_keys[-1] == "AKIDSECOND")
    stub.reset()
    stub.fault(COUNT, "ValidationException", f"odd header: {' '.join(first + second)}")
    caplog.set_level(logging.DEBUG, "botocore.auth")
    log = RedactedLog()
    with caplog.filtering(log), pytest.raises(SwfError, match="odd header: SECRET SECRET SECRET SECRET"):
        count(session)
    assert stub.access_keys == ["AKIDSECOND"]
    assert "x-amz-security-token:SECRET" in "\n".join(log.messages)


# --- rotation


REJECTIONS = [
    "ExpiredTokenException",
    "ExpiredToken",
    "RequestExpired",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
]


def heartbeat(session: Session) -> None:
    """Send a heartbeat."""
    call(session.single_attempt_client, "record_activity_task_heartbeat", taskToken="T")


def history(session: Session) -> None:
    """Read a history."""
    execution = {"workflowId": "w", "runId": "r"}
    call(session.client, "get_workflow_execution_history", domain="d", execution=execution)


CALLS: dict[str, tuple[Callable[[Session], Any], Any]] = {
    POLL: (poll, TASK),
    COMPLETE: (complete, None),
    HEARTBEAT: (heartbeat, {"cancelRequested": False}),
    HISTORY: (history, {"events": []}),
    COUNT: (count, {"count": 1, "truncated": False}),
}


def write_keys(home: Path, key: str) -> None:
    """Write ~/.aws/credentials."""
    (home / ".aws").mkdir(exist_ok=True)
    text = f"[default]\naws_access_key_id = {key}\naws_secret_access_key = secret\n"
    (home / ".aws" / "credentials").write_text(text)


@pytest.mark.parametrize("operation", CALLS)
@pytest.mark.parametrize("rejection", REJECTIONS)
def test_rotated_keys_are_used_at_once(operation: str, rejection: str, stub: StubService, tmp_path: Path) -> None:
    """A call whose key is rejected is sent again with the new one, without a wait."""
    use, reply = CALLS[operation]
    write_keys(tmp_path, "AKIDOLD")
    session = Session()
    stub.reply(operation, reply)
    use(session)
    write_keys(tmp_path, "AKIDNEW")
    stub.reset()
    stub.fault(operation, rejection, "The security token included in the request is expired")
    stub.reply(operation, reply)
    use(session)
    assert stub.access_keys == ["AKIDOLD", "AKIDNEW"]


def test_keys_that_are_rejected_while_their_file_is_damaged(stub: StubService, tmp_path: Path) -> None:
    """The rejection is the error, and the keys are used once the file is whole again."""
    write_keys(tmp_path, "AKIDOLD")
    clock = FakeClock()
    session = Session(clock=clock)
    for _ in range(2):
        stub.fault(COUNT, "ExpiredTokenException", "The security token included in the request is expired")
    stub.reply(COUNT, {"count": 3})
    assert session.client.meta
    (tmp_path / ".aws" / "credentials").write_text("aws_access_key_id = AKI")
    with pytest.raises(CredentialsError, match="ExpiredTokenException"):
        count(session)
    write_keys(tmp_path, "AKIDNEW")
    clock.advance(5)
    assert count(session) == 3
    assert stub.access_keys == ["AKIDOLD", "AKIDOLD", "AKIDNEW"]


CHANGES: dict[str, tuple[str, str]] = {
    "half a file": ("credentials", "[default]\naws_access_key_id = AKI\naws_sec"),
    "half a setting": ("config", "[default]\nregion"),
    "another profile": ("config", "[profile other]\nregion = us-east-1\n"),
    "no region": ("config", "[default]\n"),
    "no region's name": ("config", "[default]\nregion = us east 1\n"),
    "no URL": ("config", "[default]\nregion = us-east-1\nendpoint_url = not a url\n"),
    "no process": ("config", "[default]\nregion = us-east-1\ncredential_process = 'unfinished\n"),
}
"""Files of settings that somebody is changing."""


@pytest.mark.parametrize(("name", "content"), CHANGES.values(), ids=CHANGES)
def test_settings_that_are_being_changed(
    name: str, content: str, stub: StubService, set_env: SetEnv, tmp_path: Path
) -> None:
    """The session keeps the keys and clients that it has: nothing is lost if the keys work again."""
    set_env(AWS_ENDPOINT_URL_SWF="", AWS_REGION="", AWS_PROFILE="default")
    configure(tmp_path, f"[default]\nregion = us-east-1\nendpoint_url = {stub.url}\n")
    write_keys(tmp_path, "AKIDOLD")
    clock = FakeClock()
    session = Session(clock=clock)
    stub.fault(POLL, "ExpiredTokenException", "expired")
    stub.reply(POLL, {})
    stub.fault(POLL, "ExpiredTokenException", "expired")
    stub.reply(POLL, {})
    assert session.poll_client.meta
    write_keys(tmp_path, "AKIDOTHER")
    if name == "credentials" or "process" in content:
        (tmp_path / ".aws" / "credentials").unlink()
    (tmp_path / ".aws" / name).write_text(content)
    with pytest.raises(CredentialsError, match="ExpiredTokenException") as raised:
        poll(session)
    assert not raised.value.possibly_executed
    poll(session)
    configure(tmp_path, f"[default]\nregion = us-east-1\nendpoint_url = {stub.url}\n")
    write_keys(tmp_path, "AKIDNEW")
    clock.advance(5)
    poll(session)
    assert stub.access_keys == ["AKIDOLD", "AKIDOLD", "AKIDOLD", "AKIDNEW"]


def test_keys_that_did_not_change_are_rejected_once(stub: StubService, tmp_path: Path) -> None:
    """There is no second attempt with the same key."""
    write_keys(tmp_path, "AKIDOLD")
    stub.fault(COUNT, "ExpiredTokenException", "expired")
    with pytest.raises(CredentialsError):
        count(Session())
    assert stub.access_keys == ["AKIDOLD"]


def test_a_process_is_asked_again(stub: StubService, set_env: SetEnv, tmp_path: Path) -> None:
    """Keys of a credential_process that were rejected before they expire are renewed by it."""
    (tmp_path / "key").write_text("AKIDOLD")
    script = (
        f'echo "{{\\"Version\\": 1, \\"AccessKeyId\\": \\"$(cat {tmp_path}/key)\\", \\"SecretAccessKey\\": \\"s\\"}}"'
    )
    configure(tmp_path, process(script))
    session = Session()
    stub.reply(COUNT, {"count": 1})
    count(session)
    (tmp_path / "key").write_text("AKIDNEW")
    stub.reset()
    stub.fault(COUNT, "ExpiredTokenException", "expired")
    stub.reply(COUNT, {"count": 1})
    count(session)
    assert stub.access_keys == ["AKIDOLD", "AKIDNEW"]


def test_a_slow_process_keeps_no_other_call_waiting(stub: StubService, set_env: SetEnv, tmp_path: Path) -> None:
    """While one thread waits for other keys, the calls of others are made, also over clients that are new."""
    keys = 'echo "{\\"Version\\": 1, \\"AccessKeyId\\": \\"AKIDOLD\\", \\"SecretAccessKey\\": \\"s\\"}"'
    wait = f"if [ -e {tmp_path}/slow ]; then : > {tmp_path}/asked; cat {tmp_path}/slow; fi"
    configure(tmp_path, process(f"{wait}; {keys}"))
    session = Session()
    stub.reply(COUNT, {"count": 1})
    count(session)
    os.mkfifo(tmp_path / "slow")
    with ThreadPoolExecutor() as pool:
        renewal = pool.submit(session.renew, session.generation)
        try:
            wait_until((tmp_path / "asked").exists)
            request = {"domain": "d", "taskList": {"name": "l"}}
            pool.submit(call, session.with_timeout(3), "count_pending_activity_tasks", **request).result(60)
            assert not renewal.done()
        finally:
            (tmp_path / "slow").write_text("")
        assert not renewal.result(60)


# --- endpoints that issue credentials


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_endpoint_that_fails_is_transient(status: int, issuer: Issuer, stub: StubService) -> None:
    """The error names the endpoint, and not what it sent; the next call gets its credentials."""
    issuer.status = status
    stub.reply(COUNT, {"count": 1})
    session = Session()
    with pytest.raises(CredentialsUnavailable) as raised:
        count(session)
    assert raised.value.message.endswith(f"container endpoint {issuer.url}/role: it responded with status {status}")
    issuer.status = 200
    count(session)
    assert stub.access_keys == ["AKIDISSUED"]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_keys_that_are_rejected_while_their_endpoint_fails(status: int, issuer: Issuer, stub: StubService) -> None:
    """That is transient: the error names the endpoint too, and a later call gets other keys."""
    clock = FakeClock()
    session = Session(clock=clock)
    for _ in range(2):
        stub.fault(COUNT, "ExpiredTokenException", "expired")
    stub.reply(COUNT, {"count": 1})
    assert session.client.meta
    issuer.status = status
    with pytest.raises(CredentialsUnavailable) as raised:
        count(session)
    assert raised.value.message == (
        "CountPendingActivityTasks: expired (ExpiredTokenException); cannot get credentials from container endpoint "
        f"{issuer.url}/role: it responded with status {status}"
    )
    issuer.status, issuer.reply = 200, issued("AKIDNEW")
    clock.advance(5)
    count(session)
    assert stub.access_keys == ["AKIDISSUED", "AKIDISSUED", "AKIDNEW"]


@pytest.mark.parametrize(
    ("status", "kind"), [(200, CredentialsError), (503, CredentialsUnavailable)], ids=["the same", "none"]
)
def test_an_endpoint_is_asked_every_few_seconds(
    status: int, kind: type[SwfError], issuer: Issuer, stub: StubService
) -> None:
    """While keys are rejected and there are no others, all threads share the outcome of one lookup for 5 s."""
    clock = FakeClock()
    session = Session(clock=clock)
    stub.fault(COUNT, "ExpiredTokenException", "expired")
    assert session.client.meta
    issuer.status = status
    asked = 1 if status == 200 else ContainerMetadataFetcher.RETRY_ATTEMPTS
    for lookups in (1, 2):
        with ThreadPoolExecutor() as pool:
            errors = [call.exception() for call in [pool.submit(count, session) for _ in range(8)]]
        assert {type(error) for error in errors} == {kind}
        assert len(issuer.requests) == 1 + lookups * asked
        clock.advance(5)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_an_endpoint_that_refuses_is_not(status: int, issuer: Issuer, stub: StubService) -> None:
    """Trying again would not help."""
    issuer.status = status
    with pytest.raises(CredentialsError, match=f"it responded with status {status}") as raised:
        count(Session())
    assert not isinstance(raised.value, CredentialsUnavailable)
    assert stub.requests == []


def test_an_endpoint_that_is_not_there_is_transient(stub: StubService, set_env: SetEnv) -> None:
    """It may be starting."""
    set_env(AWS_CONTAINER_CREDENTIALS_FULL_URI="http://127.0.0.1:9/role")
    with pytest.raises(CredentialsUnavailable, match=r"container endpoint http://127\.0\.0\.1:9/role"):
        count(Session())
    assert stub.requests == []


@pytest.fixture
def metadata_service(set_env: SetEnv) -> Iterator[Issuer]:
    """The metadata service of an instance."""
    service = Issuer(issued("AKIDINSTANCE"))
    set_env(AWS_EC2_METADATA_DISABLED="false", AWS_EC2_METADATA_SERVICE_ENDPOINT=service.url)
    yield service
    service.close()


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_metadata_service_that_fails_is_transient(status: int, metadata_service: Issuer, stub: StubService) -> None:
    """An instance without a role would have no credentials at all: the error names the service instead."""
    metadata_service.status = status
    stub.reply(COUNT, {"count": 1})
    session = Session()
    with pytest.raises(CredentialsUnavailable) as raised:
        count(session)
    reason = f"it responded with status {status}"
    assert raised.value.message == f"cannot get credentials from the instance metadata service: {reason}"
    assert raised.value.hint is not None
    assert raised.value.hint.startswith("unless this is an EC2 instance, run `aws configure`")
    metadata_service.status = 200
    count(session)
    assert stub.access_keys == ["AKIDINSTANCE"]


def test_a_metadata_service_that_hangs_is_transient(
    metadata_service: Issuer, set_env: SetEnv, stub: StubService
) -> None:
    """It accepts connections: this is an instance."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        set_env(AWS_EC2_METADATA_SERVICE_ENDPOINT=f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(CredentialsUnavailable, match="the instance metadata service: it did not respond"):
            count(Session())


@pytest.mark.parametrize(
    ("status", "reply", "message"),
    [
        (404, b"", "no AWS credentials were found"),
        (200, b"<html>", "instance metadata service: it returned something other than credentials"),
        (200, b'{"Code": "X", "Message": "hush-hush"}', "it returned something other than credentials"),
    ],
)
def test_a_metadata_service_without_credentials(
    status: int, reply: bytes, message: str, metadata_service: Issuer, stub: StubService
) -> None:
    """Trying again would not help an instance without a role, or with one that it may not have."""
    metadata_service.status, metadata_service.reply = status, reply
    with pytest.raises(CredentialsError, match=message) as raised:
        count(Session())
    assert not isinstance(raised.value, CredentialsUnavailable)
    assert "hush-hush" not in str(raised.value)


def test_a_machine_without_a_metadata_service(metadata_service: Issuer, set_env: SetEnv, stub: StubService) -> None:
    """It is not named: most machines have none."""
    set_env(AWS_EC2_METADATA_SERVICE_ENDPOINT="http://127.0.0.1:9")
    with pytest.raises(CredentialsError, match=r"^no AWS credentials were found$"):
        count(Session())
