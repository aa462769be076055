"""`swf help`: commands, and topics that agree with the code."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from botocore import xform_name
from botocore.session import Session

import swf_cli
from swf_cli.cli.app import SECTIONS
from swf_cli.cli.topics import SUMMARIES, TEXTS
from swf_cli.client import session
from swf_cli.errors import ExitCode
from swf_cli.monitor.diagnosis import REASONS
from tests.cli.conftest import InProcess
from tests.helpers.cli import Result, invoke
from tests.helpers.local_service import Service
from tests.helpers.operations import COUNT
from tests.helpers.stub_service import StubService

COMMANDS = [name for section in SECTIONS.values() for name in section]
PACKAGE = Path(swf_cli.__file__).parent
OPERATIONS = {xform_name(name): name for name in Session().get_service_model("swf").operation_names}
"""SWF's operations, by the names of botocore's methods."""


def _iam_entries() -> list[str]:
    """Return the entries of the topic `iam`, each from the name of its command on."""
    return re.findall(r"^  (?=\w)(.*(?:\n   .*)*)", TEXTS["iam"], re.MULTILINE)


def test_help_alone_is_the_help_of_swf(in_process: InProcess) -> None:
    """`swf help` prints what `swf --help` prints, with every topic."""
    result = in_process("help")
    assert result == in_process("--help")
    assert result.code == 0
    for name, line in SUMMARIES.items():
        assert re.search(rf"^  {name} +{re.escape(line)}$", result.stdout, re.MULTILINE)


@pytest.mark.parametrize("words", [["poll"], ["local"], ["local", "schedule"], ["help"]])
def test_help_of_a_command_is_that_of_the_command(in_process: InProcess, words: list[str]) -> None:
    """`swf help COMMAND` prints what `swf COMMAND --help` prints, also for a command of a group."""
    assert in_process("help", *words) == in_process(*words, "--help")


@pytest.mark.parametrize("name", TEXTS)
def test_a_topic_is_plain_text_for_80_columns(in_process: InProcess, name: str) -> None:
    """`swf help TOPIC` prints its text: no line over 80 columns, no tab, no blank at a line's end.

    If a command has the topic's name, its help follows.
    """
    usage = "\n" + in_process(name, "--help").stdout if name in COMMANDS else ""
    assert in_process("help", name) == Result(TEXTS[name] + usage, "", 0)
    for line in TEXTS[name].splitlines():
        assert len(line) <= 80, line
        assert line == line.rstrip()
        assert line.isprintable()


def test_each_topic_has_a_summary_and_a_text() -> None:
    """The topics are the promised ones, and none is a command too."""
    assert list(SUMMARIES) == list(TEXTS) == ["exit-codes", "environment", "iam", "scripting", "stuck", "glossary"]
    assert not set(SUMMARIES) & (set(COMMANDS) - {"stuck"})


def test_exit_codes_are_all_there() -> None:
    """Every exit code has a line."""
    codes = [int(code) for code in re.findall(r"^  (\d+) ", TEXTS["exit-codes"], re.MULTILINE)]
    assert codes == [*map(int, ExitCode), 129, 130, 143]


def test_every_variable_of_the_code_is_there() -> None:
    """Every environment variable that the package names, as a whole string, is in the topic."""
    source = "\n".join(path.read_text("utf-8") for path in PACKAGE.rglob("*.py") if path.name != "topics.py")
    found = set(re.findall(r"[\"'`]((?:SWF|AWS|XDG)_[A-Z_]+[A-Z]|NO_COLOR|NO_PROXY)[\"'`]", source))
    assert {"SWF_DOMAIN", "SWF_STATE_DIR", "SWF_HEARTBEAT_FILE", "XDG_STATE_HOME", "AWS_REGION"} <= found
    # What `swf local` removes from the environment of its commands is not read.
    found -= {"AWS_DEFAULT_PROFILE", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"}
    assert sorted(name for name in found if name not in TEXTS["environment"]) == []


def _sources() -> list[str]:
    """Return the text of each module, but for those of the local SWF."""
    modules = (path for path in PACKAGE.rglob("*.py") if "local" not in path.relative_to(PACKAGE).parts)
    return [path.read_text("utf-8") for path in modules]


def test_every_command_is_in_the_iam_topic() -> None:
    """Every command has an entry that begins a line, and every action is an operation of SWF."""
    assert sorted(text.split()[0] for text in _iam_entries()) == sorted(COMMANDS)
    actions = set(re.findall(r" swf:(\w+)", TEXTS["iam"]))
    assert actions <= set(OPERATIONS.values())
    sources = _sources()
    called = {OPERATIONS[name] for text in sources for name in re.findall(r'"([a-z_]+)"', text) if name in OPERATIONS}
    assert "CountPendingActivityTasks" in called
    assert called - actions == set()


def test_every_call_of_a_command_is_in_its_iam_entry(
    service: Service, service_env: dict[str, str], tmp_path: Path
) -> None:
    """What each command calls, by its own log, is among the actions of its entry."""
    entries = {text.split()[0]: set(re.findall(r" swf:(\w+)", text)) for text in _iam_entries()}
    for _ in range(5):
        service.schedule("video", "resize")
    workflow = service.schedule("video", "typo")
    service.advance(1)
    task, stuck = str(tmp_path / "task.json"), ("stuck", "--older-than", "0s", "--color", "always")
    named: dict[str, tuple[str, ...]] = {name: (name, "--task", task) for name in ("heartbeat", "complete", "fail")}
    commands: list[tuple[str, ...]] = []
    for name in ("heartbeat", "complete", "fail", "cancel"):
        commands += [
            ("poll", "-t", "resize", "--timeout", "1s"),
            named.get(name, ("cancel", "--task", task, "--retry-for", "0")),
        ]
    commands += [
        ("work", "-t", "resize", "--max-tasks", "1", "--idle-exit", "1s", "--", "true"),
        stuck,
        ("held", "--prune"),
    ]
    commands += [("tasks",), ("tasks", "--workflow-id", workflow), ("pending", "-t", "resize")]
    for name, *args in commands:
        result = invoke(name, "-d", "video", "-v", *args, env=service_env)
        if name == "poll":
            Path(task).write_text(result.stdout)
        called = set(re.findall(r"^swf: (\w+): \w+ \(", result.stderr, re.MULTILINE))
        assert called, (name, result)
        assert {OPERATIONS[operation] for operation in called} <= entries[name], name


def test_a_permission_error_names_the_action_and_the_topic(stub: StubService, env: dict[str, str]) -> None:
    """The hint is of use after `pip install` too."""
    stub.fault(COUNT, "AccessDeniedException", "no")
    result = invoke("pending", "-d", "video", "-t", "resize", env=env)
    assert result.code == ExitCode.NO_ACCESS
    hint = f"hint: the IAM policy must allow swf:{COUNT} on this domain (see `swf help iam`)"
    assert hint in result.stderr.splitlines()


def test_every_event_of_the_log_is_in_the_scripting_topic() -> None:
    """Every event that the worker logs, and every field of one, is described."""
    source = "\n".join(_sources())
    events = set(re.findall(r"(?:\"event\": |\.event\(\s*)\"(\w+)\"", source))
    assert {"started", "stderr", "summary", "error"} <= events
    described = TEXTS["scripting"].partition("The log of")[2]
    words = set(re.findall(r"\w+", described))
    assert events | {"completed", "failed", "cancelled", "closed", "unconfirmed"} <= words
    assert {"time", "level", "message", "task", "seconds", "reason", "ended", "reasons", "hint"} <= words


def test_every_reason_is_in_the_stuck_topic() -> None:
    """Every reason of `swf stuck` has an entry, worst first."""
    assert re.findall(r"^  ([a-z]+-?[a-z]+)(?:  |$)", TEXTS["stuck"], re.MULTILINE) == list(REASONS)


@pytest.mark.parametrize("args", [["help"], ["help", "iam"], ["help", "poll"], ["--help"]])
def test_help_loads_neither_botocore_nor_rich(bare_env: dict[str, str], args: list[str]) -> None:
    """Help starts fast: it loads none of what a command needs to run."""
    code = f"import sys; from swf_cli.cli.app import run; run({args!r}); print(*sorted(sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], env=bare_env, capture_output=True, text=True, check=True)
    assert {"botocore", "rich", "sqlite3", "jmespath", "logging"} & set(done.stderr.split()) == set()


def test_every_text_says_how_long_a_poll_may_take(session: session.Session) -> None:
    """After the time to connect and the time to respond a poll is given up: help and notices say so."""
    config = session.poll_client.meta.config
    text = " ".join("".join(_sources()).split())
    said = re.findall(r"in flight\W+(?:may add )?up to (\d+) s|up to (\d+) s for the poll in flight", text)
    assert len(said) >= 5
    assert {first or second for first, second in said} == {str(config.connect_timeout + config.read_timeout)}
