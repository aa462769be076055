"""Which program runs for a task: a fixed command, or one of a folder."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from swf_cli.worker.command import CommandExecutor
from swf_cli.worker.handlers import FixedCommand, HandlerFolder, NoHandlerError, StartError
from tests.helpers.cli import wait_until
from tests.helpers.operations import COMPLETE, FAIL
from tests.helpers.worker_tasks import Tasks, folder_of

AddHandler = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder for handlers."""
    folder = tmp_path / "handlers"
    folder.mkdir(mode=0o755)
    return folder


@pytest.fixture
def add(folder: Path) -> AddHandler:
    """A function that adds a handler to the folder."""

    def add(name: str, script: str = "true", mode: int = 0o755) -> Path:
        path = folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(mode)
        return path

    return add


class TestFolder:
    """Folders that are used, and those that are not."""

    def test_names(self, folder: Path, add: AddHandler) -> None:
        """Executable files, also behind a link; nothing hidden, no folder, nothing that is not executable."""
        for name in ("upload", "resize", "a name with blanks", "-v", "été"):
            add(name)
        add(".hidden")
        add("README", mode=0o644)
        (folder / "lib").mkdir()
        (folder / "linked").symlink_to(add("resize"))
        (folder / "broken").symlink_to(folder / "none")
        (folder / "loop").symlink_to("loop")
        assert HandlerFolder(folder).names() == ["-v", "a name with blanks", "linked", "resize", "upload", "été"]

    def test_broken(self, folder: Path, add: AddHandler) -> None:
        """Files that can't be started are found, each with the reason; what no task can name is not."""
        add("resize")
        add("README", mode=0o644)
        add(".hidden", mode=0o644)
        add("open", mode=0o757)
        (folder / "lib").mkdir()
        (folder / "dangling").symlink_to(folder / "none")
        (folder / "loop").symlink_to("loop")
        add("script").write_text("#!/no/such/interpreter\n")
        broken = HandlerFolder(folder).find_broken()
        assert {name: error.strerror for name, error in broken.items()} == {
            "README": "Permission denied",
            "dangling": "No such file or directory",
            "loop": "Too many levels of symbolic links",
            "open": "it is writable by everybody",
            "script": "its interpreter does not exist (first line: '#!/no/such/interpreter')",
        }

    def test_missing(self, tmp_path: Path) -> None:
        """It must exist."""
        with pytest.raises(FileNotFoundError):
            HandlerFolder(tmp_path / "none")

    def test_empty(self, folder: Path, add: AddHandler) -> None:
        """It must have a handler, not just other files."""
        add("README", mode=0o644)
        with pytest.raises(StartError, match="it has no executable file"):
            HandlerFolder(folder)

    def test_link(self, folder: Path, add: AddHandler, tmp_path: Path) -> None:
        """A link may be pointed somewhere else by whoever may write to its folder, so it is refused."""
        add("resize")
        (tmp_path / "link").symlink_to(folder)
        for path in (tmp_path / "link", Path(f"{tmp_path}/link/")):
            with pytest.raises(StartError, match="it is a symbolic link"):
                HandlerFolder(path)

    def test_file(self, add: AddHandler) -> None:
        """A program is not a folder."""
        with pytest.raises(StartError, match="it is not a folder"):
            HandlerFolder(add("resize"))

    @pytest.mark.parametrize("mode", [0o777, 0o757, 0o1777, 0o702])
    def test_writable_by_everybody(self, folder: Path, add: AddHandler, mode: int) -> None:
        """Whoever could write to it could have the worker run anything."""
        add("resize")
        folder.chmod(mode)
        with pytest.raises(StartError, match="it is writable by everybody"):
            HandlerFolder(folder)


class TestFind:
    """The program of an activity."""

    def test_program(self, folder: Path, add: AddHandler) -> None:
        """It runs without arguments, by its whole path."""
        path = add("resize")
        assert HandlerFolder(folder).find("resize") == ([str(path)], str(path))

    @pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names of files are UTF-8 in any locale")
    def test_locale_that_is_not_utf8(self, folder: Path, add: AddHandler) -> None:
        """Names of activities are UTF-8 there too."""
        add("été")
        script = (
            "import os, sys; from pathlib import Path; from swf_cli.worker.handlers import HandlerFolder\n"
            "folder = HandlerFolder(Path(sys.argv[1]))\n"
            "assert (folder.names(), folder.find_broken()) == (['\\xe9t\\xe9'], {})\n"
            "print(sys.getfilesystemencoding(), os.path.samefile(folder.find('\\xe9t\\xe9')[1], sys.argv[2]))"
        )
        env = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
        command = [sys.executable, "-c", script, str(folder), str(folder / "été")]
        assert subprocess.check_output(command, env=env, text=True) == "ascii True\n"

    def test_relative_folder(self, folder: Path, add: AddHandler, monkeypatch: pytest.MonkeyPatch) -> None:
        """The current folder is one: its programs are not searched for on the PATH."""
        path = add("ls")
        monkeypatch.chdir(folder)
        assert HandlerFolder(Path()).find("ls") == ([str(path)], str(path))

    @pytest.mark.parametrize(
        "name",
        [
            "upload",
            ".",
            "..",
            ".hidden",
            "../handlers/resize",
            "../../../../bin/sh",
            "/bin/sh",
            "lib/resize",
            "./resize",
            "resize/",
            "lib",
            "fifo",
            "",
            "resize\0",
            "resize\n",
            "RESIZE",
            "lone \ud83d",
            "x" * 256,
            "$(touch gone)",
        ],
    )
    def test_no_handler(self, folder: Path, add: AddHandler, name: str) -> None:
        """Whatever is not the name of a file in the folder is no handler, and nothing outside of it ever is."""
        add("resize")
        add(".hidden")
        (folder / "lib").mkdir()
        (folder / "lib" / "resize").write_text("#!/bin/sh\n")
        os.mkfifo(folder / "fifo", 0o755)
        with pytest.raises(NoHandlerError) as caught:
            HandlerFolder(folder).find(name)
        assert str(caught.value) == f"no handler for {name}"

    def test_looked_at_for_each_task(self, folder: Path, add: AddHandler) -> None:
        """What is deployed while it runs is used from then on."""
        add("resize")
        handlers = HandlerFolder(folder)
        with pytest.raises(NoHandlerError):
            handlers.find("upload")
        add("upload")
        assert handlers.find("upload")
        (folder / "resize").unlink()
        with pytest.raises(NoHandlerError):
            handlers.find("resize")

    def test_handler_that_everybody_can_write(self, folder: Path, add: AddHandler) -> None:
        """It is not run."""
        add("resize")
        handlers = HandlerFolder(folder)
        (folder / "resize").chmod(0o757)
        with pytest.raises(StartError, match="it is writable by everybody"):
            handlers.find("resize")

    @pytest.mark.parametrize(
        "how", ["removed", "a link", "writable by everybody", "emptied", "a dangling link", "a loop"]
    )
    def test_folder_that_changes_for_the_worse(self, folder: Path, add: AddHandler, tmp_path: Path, how: str) -> None:
        """It can't be used: that is about the machine, not about the task."""
        add("resize")
        handlers = HandlerFolder(folder)
        match how:
            case "writable by everybody":
                folder.chmod(0o777)
            case "removed" | "a link":
                folder.rename(tmp_path / "elsewhere")
            case _:
                (folder / "resize").unlink()
        match how:
            case "a link":
                folder.symlink_to(tmp_path / "elsewhere")
            case "a dangling link":  # such as in the middle of a deploy
                add("upload")
                (folder / "resize").symlink_to(tmp_path / "releases" / "7" / "resize")
            case "a loop":
                (folder / "resize").symlink_to("resize")
        with pytest.raises(StartError) as caught:
            handlers.find("resize")
        assert str(folder) in str(caught.value)
        assert "Errno" not in str(caught.value)


class TestTasks:
    """Tasks that handlers run for."""

    @pytest.mark.parametrize(
        ("name", "response"),
        [
            ("resize", (COMPLETE, {"result": "in.png resized"})),
            ("upload", (FAIL, {"reason": "no handler for upload"})),
            ("../handlers/resize", (FAIL, {"reason": "no handler for ../handlers/resize"})),
            ("x" * 256, (FAIL, {"reason": f"no handler for {'x' * 256}"[:256]})),
        ],
    )
    def test_task(
        self, tasks: Tasks, folder: Path, add: AddHandler, name: str, response: tuple[str, dict[str, str]]
    ) -> None:
        """The activity's handler runs, as a command does; without one the task fails."""
        add("resize", 'echo "$(cat) ${SWF_ACTIVITY_NAME}d"')
        context = tasks.context(HandlerFolder(folder))
        activity = {"name": name, "version": "1"}
        tasks.submit(context, CommandExecutor(), "in.png", activityType=activity).result(60)
        assert tasks.response() == response

    def test_a_handler_that_cannot_be_started_leaves_no_files(
        self, tasks: Tasks, folder: Path, add: AddHandler
    ) -> None:
        """Those that the task would have reported through are removed."""
        add("resize").write_text("#!/no/such/interpreter\n")
        context = tasks.context(HandlerFolder(folder))
        tasks.submit(context, CommandExecutor(), "in.png").result(60)
        operation, response = tasks.response()
        assert (operation, "its interpreter does not exist" in response["reason"]) == (FAIL, True)
        assert os.listdir(folder_of(context.scratch)) == ["lock"]

    def test_new_version_while_a_task_runs(self, tasks: Tasks, folder: Path, add: AddHandler) -> None:
        """A deploy that replaces a handler has effect on the next task, and none on the one that runs."""
        there = folder.parent
        add("resize", f"touch {there}/started; until [ -e {there}/go ]; do sleep 0.02; done; echo old")
        context = tasks.context(HandlerFolder(folder))
        running = tasks.submit(context, CommandExecutor())
        wait_until((there / "started").exists)
        add("new", "echo new").replace(folder / "resize")
        (there / "go").touch()
        running.result(60)
        tasks.submit(context, CommandExecutor()).result(60)
        assert [arguments["result"] for _, arguments in tasks.responses()] == ["old", "new"]


class TestFixedCommand:
    """The program of a fixed command."""

    def test_searched_for_on_the_path(self, add: AddHandler, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is found once, at the start."""
        monkeypatch.setenv("PATH", str(folder))
        path = add("resize")
        assert FixedCommand(["resize", "-v"]).find("whatever") == (["resize", "-v"], str(path))

    def test_folder_on_the_path(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A folder with that name is not it."""
        (folder / "resize").mkdir()
        monkeypatch.setenv("PATH", str(folder))
        with pytest.raises(StartError) as caught:
            FixedCommand(["resize"])
        assert caught.value.errno == errno.ENOENT
