"""A second user of the machine who was there first: nothing readable to them, and no poll that fails for it."""

import json
import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.cli import SWF, Result, invoke, run, shell, wait_until
from tests.helpers.operations import COMPLETE, POLL
from tests.helpers.stub_service import StubService

STRANGER = 65_534

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be two users")

TOKEN = "THE-TOKEN-THAT-NOBODY-ELSE-MAY-READ"
TASK = {
    "taskToken": TOKEN,
    "activityId": "resize-1",
    "activityType": {"name": "resize", "version": "2"},
    "workflowExecution": {"workflowId": "video-7", "runId": "RUN"},
    "startedEventId": 6,
}


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder such as /tmp, which everybody can write to."""
    folder = Path(tempfile.mkdtemp(prefix="swf-test-"))
    folder.chmod(0o1777)
    yield folder
    shutil.rmtree(folder)


def stranger(script: str, folder: Path) -> str:
    """Run a shell script as another user in a folder; return what it printed."""
    done = subprocess.run(
        ["/bin/sh", "-c", script],
        cwd=folder,
        user=STRANGER,
        group=STRANGER,
        extra_groups=[],
        env={"PATH": os.defpath},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=False,
        umask=0,
    )
    return done.stdout


def poll(env: dict[str, str], state: Path) -> Result:
    """Receive a task with a ledger in `state`, with a umask that hides nothing."""
    umask = os.umask(0)
    try:
        return invoke("poll", "-d", "d", "-t", "t", env=env | {"SWF_STATE_DIR": str(state)})
    finally:
        os.umask(umask)


READ = f"grep -rals {TOKEN} . ; find . -type f -name 'ledger*' -exec cat {{}} + | grep -c {TOKEN}"
"""Prints the names of the files in which another user finds the token, and in how many lines."""

BEFORE = {
    "a folder": ("mkdir state", "belongs to user"),
    "a private folder": ("mkdir -m 700 state", "belongs to user"),
    "a link to a folder": ("mkdir there; ln -s there state", "symbolic link"),
    "a link to nothing": ("ln -s there state", "symbolic link"),
    "a file": ("touch state", "state"),
}
INSIDE = {
    f"{what} for {name}": (script.replace("NAME", name), words)
    for name in ("ledger.sqlite3", "ledger.sqlite3-wal", "ledger.sqlite3-shm")
    for what, script, words in (
        ("a file", "touch state/NAME", "belongs to user"),
        ("a link", "touch mine; ln -s ../mine state/NAME", "symbolic link"),
        ("a hard link", "touch mine; ln mine state/NAME", "belongs to user"),
        ("a pipe", "mkfifo state/NAME", "not a regular file"),
        ("a folder", "mkdir state/NAME", "NAME"),
    )
}


@pytest.mark.parametrize("how", [*BEFORE, *INSIDE])
def test_what_was_there_first(how: str, shared: Path, stub: StubService, env: dict[str, str]) -> None:
    """The poll prints its task, with one warning of what is wrong and where; the other user finds no token."""
    stub.reply(POLL, TASK)
    state = shared / "state"
    if how in INSIDE:
        state.mkdir()
        state.chmod(0o777)
    script, words = {**BEFORE, **INSIDE}[how]
    stranger(script, shared)
    result = poll(env, state)
    assert (result.json["token"], result.code) == (TOKEN, 0)
    warnings = [line for line in result.stderr.splitlines() if "it is no longer" not in line]
    assert len(warnings) == 1, result.stderr
    assert warnings[0].startswith("swf: warning: cannot use the list of held tasks in")
    assert str(state) in warnings[0]
    assert words.replace("NAME", "") in warnings[0]
    assert stranger(READ, shared).split() in ([], ["0"])


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o755])
def test_a_folder_of_ones_own_that_was_open(mode: int, shared: Path, stub: StubService, env: dict[str, str]) -> None:
    """It is closed if others could write, with a line; the task is recorded, and the other user can't read it."""
    stub.reply(POLL, TASK)
    state = shared / "state"
    state.mkdir()
    state.chmod(mode)
    result = poll(env, state)
    assert result.code == 0
    assert [line.count("it is no longer") for line in result.stderr.splitlines()] == [1] * bool(mode & 0o022)
    assert not state.stat().st_mode & 0o022
    assert [row["token"] for row in invoke("held", env=env | {"SWF_STATE_DIR": str(state)}).json] == [TOKEN]
    assert stranger(READ, shared).split() in ([], ["0"])


def test_missing_parents(shared: Path, stub: StubService, env: dict[str, str]) -> None:
    """They are made for this user alone, whatever the umask: the other user can't even list them."""
    stub.reply(POLL, TASK)
    state = {"SWF_STATE_DIR": str(shared / "a" / "b" / "state")}
    result = shell("umask 000; swf poll -d d -t t", env=env | state)
    assert (result.stderr, result.code) == ("", 0)
    made = [shared / "a", shared / "a" / "b", shared / "a" / "b" / "state"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in made} == {0o700}
    assert stranger("ls a; cat a/b/state/ledger.sqlite3", shared) == ""


def test_root_does_not_read_another_users_ledger(shared: Path, stub: StubService, env: dict[str, str]) -> None:
    """A ledger that belongs to somebody else is refused: none of it is listed, answered or deleted."""
    stub.reply(POLL, TASK)
    state = shared / "state"
    poll(env, state)
    key = invoke("held", env=env | {"SWF_STATE_DIR": str(state)}).json[0]["key"]
    for path in (state, *state.iterdir()):
        os.chown(path, STRANGER, STRANGER)
    before = {path.name: path.stat().st_size for path in state.iterdir()}
    for args in (("held",), ("held", "--prune"), ("fail", "--held", key)):
        result = invoke(*args, env=env | {"SWF_STATE_DIR": str(state)})
        assert result.code in (1, 2)
        assert result.stdout == ""
        assert result.stderr.count("belongs to user") == 1
    assert {path.name: path.stat().st_size for path in state.iterdir()} == before
    assert stub.operations() == [POLL]


@pytest.mark.parametrize("script", [*BEFORE.values()])
def test_a_worker_s_files(script: tuple[str, str], shared: Path, stub: StubService, env: dict[str, str]) -> None:
    """A worker without a state folder of its own reports through a fresh one, which nobody else can look into."""
    stub.reply(POLL, TASK)
    stub.reply(COMPLETE)
    stranger(script[0], shared)
    show = 'd=$(dirname "$SWF_RESULT_FILE"); stat -c "%a %u" "$d" > "$SWF_RESULT_FILE"; echo "$d" >&2'
    options = ("--max-tasks", "1", "--heartbeat", "off")
    worker = ("work", "-d", "d", "-t", "t", *options, "--", "sh", "-c", show)
    result = run(*worker, env=env | {"SWF_STATE_DIR": str(shared / "state"), "TMPDIR": str(shared)})
    assert result.code == 0
    assert result.stderr.count("cannot use the list of held tasks") == 1
    assert dict(stub.requests)[COMPLETE]["result"] == "700 0"
    assert not list(shared.glob("swf-work-*"))


def test_a_local_run_is_not_driven_by_another_user(shared: Path, bare_env: dict[str, str]) -> None:
    """Whoever finds the port of a `swf local run` schedules nothing there: its access key is random, and a secret.

    The other user's request is the one that `swf local schedule` begins with, signed with an access key of their own.
    """
    script = "env | grep ^AWS_ENDPOINT_URL_SWF= > here; until [ -e done ]; do sleep 0.05; done; swf pending -t x"
    process = subprocess.Popen(
        [SWF, "local", "run", "--domain", "video", "--", "sh", "-c", script],
        cwd=shared,
        env=bare_env | {"PATH": f"{Path(SWF).parent}:{bare_env['PATH']}"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        here = shared / "here"
        wait_until(lambda: here.exists() and here.read_text().endswith("\n"))
        url = here.read_text().strip().partition("=")[2]
        theirs = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_REGION": "us-east-1"}
        environ = bare_env | theirs | {"AWS_ENDPOINT_URL_SWF": url, "SWF_STATE_DIR": str(shared / "theirs")}
        result = run("local", "schedule", "-d", "video", "-t", "x", "--activity", "y", env=environ)
        assert result.code == 7
        assert "UnrecognizedClientException" in result.stderr
        assert "LOCAL" not in stranger(f"cat /proc/{process.pid}/environ /proc/{process.pid}/cmdline", shared)
    finally:
        (shared / "done").touch()
        counted = process.communicate(timeout=30)[0]
    assert json.loads(counted)["count"] == 0
