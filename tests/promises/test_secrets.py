"""No token, secret key or session token is printed, logged, or sent as text, whoever echoes it."""

import json
from pathlib import Path

import pytest

from tests.helpers.cli import TASK, invoke, run
from tests.helpers.issuer import Issuer
from tests.helpers.operations import CANCEL, COMPLETE, COUNT, FAIL, HEARTBEAT, HISTORY, LIST_OPEN, POLL
from tests.helpers.stub_service import StubService
from tests.helpers.terminal import error_line

KEY = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
SESSION = "IQoJb3JpZ2luX2VjEXAMPLE//////////wEaCXVzLWVhc3QtMSJGMEQCIG=="
TOKEN = "A-token-of-a-service-that-is-not-AWS-and-looks-like-no-other"
LIKE_AWS = "AAAAKgAAAAE" + "b+/=" * 50
SECRETS = (KEY, SESSION, TOKEN, LIKE_AWS)


@pytest.fixture
def secret_env(env: dict[str, str]) -> dict[str, str]:
    """An environment with secrets that are long enough to be told from words."""
    return env | {"AWS_SECRET_ACCESS_KEY": KEY, "AWS_SESSION_TOKEN": SESSION}


def shown_in(text: str) -> list[str]:
    """Return the secrets that a text contains, also as JSON."""
    return [secret for secret in SECRETS if secret in text or json.dumps(secret)[1:-1] in text]


@pytest.mark.parametrize("flag", ["--verbose", "--debug"])
@pytest.mark.parametrize(
    "args",
    [
        ("poll", "-d", "d", "-t", "t"),
        ("pending", "-d", "d", "-t", "t"),
        ("pending", "-d", "d", "-t", "t", "-t", "u"),
        ("tasks", "-d", "d"),
        ("tasks", "-d", "d", "--workflow-id", "w", "--run-id", "r"),
        ("heartbeat", "--token", TOKEN),
        ("heartbeat", "--token", TOKEN, "--every", "1s"),
        ("complete", "--token", TOKEN),
        ("fail", "--token", TOKEN),
        ("cancel", "--token", TOKEN),
    ],
)
def test_what_the_service_echoes(
    stub: StubService, secret_env: dict[str, str], args: tuple[str, ...], flag: str
) -> None:
    """A fault whose code, message and request ID contain them: neither the error nor a log or traceback does."""
    echo = " ".join(SECRETS if TOKEN in args else (KEY, SESSION, LIKE_AWS))
    operations = (POLL, COUNT, "CountOpenWorkflowExecutions", LIST_OPEN, HISTORY, HEARTBEAT, COMPLETE, FAIL, CANCEL)
    for operation in operations:
        stub.fault(operation, f"Fault {echo}", f"Value '{echo}' is wrong", headers=(("x-amzn-RequestId", echo),))
    result = invoke(*args, flag, env=secret_env)
    assert result.code == 1
    assert "is wrong" in result.stderr
    assert ("Traceback" in result.stderr) == (flag == "--debug")
    assert shown_in(result.stdout + result.stderr) == []


@pytest.mark.parametrize("form", ["text", "json"])
def test_what_a_command_prints(stub: StubService, secret_env: dict[str, str], form: str) -> None:
    """Neither a worker's log nor what it sends about a task has them: stderr, reason, details, progress."""
    stub.reply(POLL, {**TASK, "taskToken": TOKEN})
    stub.reply(HEARTBEAT, {"cancelRequested": False})
    stub.reply(FAIL)
    script = (
        'all="$SWF_TASK_TOKEN $AWS_SECRET_ACCESS_KEY $AWS_SESSION_TOKEN";'
        'echo "$all" > "$SWF_HEARTBEAT_FILE"; echo "$all" > "$SWF_REASON_FILE"; echo "$all" >&2;'
        # One stands where a long line is broken, one where the details begin.
        'head -c 4080 /dev/zero | tr \'\\0\' x >&2; echo "$all" >&2; echo "$all" >&2;'
        "head -c 32700 /dev/zero | tr '\\0' y >&2; sleep 0.5; exit 1"
    )
    options = ("--max-tasks", "1", "--heartbeat", "1s", "--log-format", form, "--debug")
    result = run("work", "-d", "d", "-t", "t", *options, "--", "sh", "-c", script, env=secret_env)
    assert result.code == 0, result.stderr
    sent = dict(stub.requests)
    assert sent[FAIL]["reason"] == "TOKEN SECRET SECRET"
    assert sent[FAIL]["details"].endswith("TOKEN SECRET SECRET\n" + "y" * 32_700)
    assert len(sent[FAIL]["details"]) == 32_768
    assert shown_in(json.dumps({**sent[FAIL], "taskToken": ""}) + result.stdout + result.stderr) == []


STREAM = """
import json, os, sys, time

json.loads(sys.stdin.readline())
for message in json.loads(os.environ["MESSAGES"]):
    print(json.dumps(message), flush=True)
    if "heartbeat" in message:
        time.sleep(float(os.environ["PAUSE"]))
"""
SCRIPT = """
echo "$PROGRESS" >"$SWF_HEARTBEAT_FILE"
echo "$REASON" >"$SWF_REASON_FILE"
echo "$DETAILS" >&2
sleep "$PAUSE"
exit 1
"""
FORMS = {"command": ["--", "sh", "-c", SCRIPT], "stream": ["--stream", "--", "python3", "-c", STREAM]}


def fail_with_cut_texts(stub: StubService, env: dict[str, str], form: str, secret: str, pause: str) -> dict[str, str]:
    """Run a task that fails; return the texts that SWF got. Each was cut 20 characters into a secret."""
    stub.reply(POLL, {**TASK, "taskToken": TOKEN})
    stub.reply(HEARTBEAT, {"cancelRequested": False})
    stub.reply(FAIL)
    progress, reason, details = f"{'p' * 2_028}{secret}", f"{'r' * 236}{secret}", f"{secret}{'d' * 32_748}"
    failed = {"failed": {"reason": reason, "details": details}}
    messages = json.dumps([{"heartbeat": progress}, failed])
    texts = {"PROGRESS": progress, "REASON": reason, "DETAILS": details, "MESSAGES": messages, "PAUSE": pause}
    options = ("--max-tasks", "1", "--heartbeat", "1s")
    result = invoke("work", "-d", "d", "-t", "t", *options, *FORMS[form], env=env | texts)
    assert result.code == 0, result.stderr
    sent = dict(stub.requests)
    return {"progress": sent.get(HEARTBEAT, {}).get("details", ""), **sent[FAIL]}


@pytest.mark.parametrize(
    ("secret", "name"),
    [(KEY, "SECRET"), (SESSION, "SECRET"), (TOKEN, "TOKEN")],
    ids=["key", "session", "token"],
)
@pytest.mark.parametrize("form", FORMS)
def test_what_a_command_prints_is_cut(
    stub: StubService, secret_env: dict[str, str], form: str, secret: str, name: str
) -> None:
    """What is longer than SWF accepts is cut: if that leaves part of a secret, SWF gets none of it."""
    sent = fail_with_cut_texts(stub, secret_env, form, secret, pause="0")
    assert sent["reason"] == "r" * 236 + name
    # The details of a command are the end of its stderr: with its newline, they are cut one character later.
    assert sent["details"].rstrip("\n") == name + "d" * 32_748


@pytest.mark.parametrize("form", FORMS)
def test_progress_is_cut(stub: StubService, secret_env: dict[str, str], form: str) -> None:
    """So is the progress that a heartbeat carries."""
    assert fail_with_cut_texts(stub, secret_env, form, KEY, pause="1.1")["progress"] == "p" * 2_028 + "SECRET"


@pytest.mark.parametrize("flag", [(), ("--debug",)])
@pytest.mark.parametrize(
    ("variable", "name"),
    [
        ("AWS_SECRET_ACCESS_KEY", "secret key"),
        ("AWS_SESSION_TOKEN", "session token"),
        ("AWS_ACCESS_KEY_ID", "access key ID"),
    ],
)
@pytest.mark.parametrize("bad", ["\n", "\r\nX-Evil: 1", "é", "\x7f"])
def test_a_secret_with_an_invalid_character(
    stub: StubService, secret_env: dict[str, str], variable: str, name: str, bad: str, flag: tuple[str, ...]
) -> None:
    """It is refused by its name before anything is sent, and not printed: neither whole nor in part."""
    value = f"{KEY[:20]}{bad}{KEY[20:]}"
    result = invoke("pending", "-d", "d", "-t", "t", *flag, env=secret_env | {variable: value})
    assert result.code == 7
    assert f"the {name} in the environment variable {variable} contains" in result.stderr
    assert KEY[:20] not in result.stderr
    assert KEY[20:] not in result.stderr
    assert stub.requests == []
    if not flag:
        error_line(result, 7, name)


@pytest.mark.parametrize(
    ("printed", "words"),
    [
        (f'{{"Version": 1, "SecretAccessKey": "{KEY}"}}', "credential_process"),
        (f'{{"Version": 1, "AccessKeyId": ["{KEY}"], "SecretAccessKey": "{KEY}"}}', "access key ID"),
        (f"{KEY} {SESSION}", "credential_process"),
    ],
)
def test_a_process_that_prints_something_else(
    secret_env: dict[str, str], tmp_path: Path, printed: str, words: str
) -> None:
    """What a credential process prints that is not credentials may hold a secret: it is not shown."""
    path = tmp_path / "config"
    path.write_text(f"[profile p]\nregion = us-east-1\ncredential_process = printf '%s' '{printed}'\n")
    for name in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID"):
        del secret_env[name]
    for flag in ((), ("--debug",)):
        environ = secret_env | {"AWS_CONFIG_FILE": str(path)}
        result = invoke("pending", "-d", "d", "-t", "t", "--profile", "p", *flag, env=environ)
        assert result.code == 7, result.stderr
        assert words in result.stderr
        assert shown_in(result.stderr) == []


@pytest.mark.usefixtures("no_pauses")
def test_what_authorizes_at_a_containers_endpoint(bare_env: dict[str, str], tmp_path: Path) -> None:
    """Neither the URL's query nor the token in a file is shown, also not by what botocore and urllib3 log."""
    token = "the-token-of-this-container"
    (tmp_path / "token").write_text(token)
    issuer = Issuer(f"not a good token: {token}".encode(), 403)
    try:
        env = {
            **bare_env,
            "AWS_REGION": "us-east-1",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{issuer.url}/role?token={KEY}",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(tmp_path / "token"),
        }
        result = invoke("pending", "-d", "d", "-t", "t", "--debug", env=env)
    finally:
        issuer.close()
    assert result.code == 7
    assert f"container endpoint {issuer.url}/role: it responded with status 403" in result.stderr
    assert KEY in issuer.requests[0][0]
    assert issuer.requests[0][1]["authorization"] == token
    assert "not a good token: SECRET" in result.stderr
    assert KEY not in result.stderr
    assert token not in result.stderr


@pytest.mark.parametrize(
    "url",
    ["http://hush@h", "http://h?X-Token=hush", "http://us:er:p@ss:hush/rd@h", "hush:hush@h", "http://hu sh:hush@h"],
)
@pytest.mark.parametrize("place", ["argument", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SWF"])
def test_an_endpoint_with_a_secret(place: str, url: str, aws_env: dict[str, str]) -> None:
    """A URL that can't be used is not shown if it may hold one, also with --debug."""
    options, env = ([f"--endpoint-url={url}"], aws_env) if place == "argument" else ([], {**aws_env, place: url})
    result = invoke("pending", "-d", "d", "-t", "t", "--debug", *options, env=env)
    assert result.code == 2
    assert "the endpoint is not a URL such as http://127.0.0.1:5000: it has a user name, a query" in result.stderr
    assert "hush" not in result.stderr
