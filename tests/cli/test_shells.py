"""What `swf` prints for the completion scripts: bash reads it as the very values."""

import shutil
import subprocess

import click
import pytest
from click.shell_completion import CompletionItem
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from swf_cli.cli.shells import complete

BREAKS = " \t\n\"'@><=;|&(:"
"""What breaks words for bash, unless somebody changed it."""

NAMES = st.text(st.characters(categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=12)
HOSTILE = st.text("ab $`'\"\\!*?[]{}()<>|&;#~=:@^%-.é", min_size=1, max_size=8)


def offered(line: str, *values: CompletionItem | str, shell: str = "bash", breaks: str = BREAKS) -> int:
    """Complete the last word of a line with these values, whatever is there; return the exit code."""

    @click.command(add_help_option=False)
    @click.option("--name", "-n", shell_complete=lambda *_: list(values))
    def root(name: str) -> None:
        """Do nothing."""

    args = [breaks, line] if shell == "bash" else line.split(" ")[1:]
    return complete(root, shell, args)


def values_of(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the values that were printed."""
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith("value\t") for line in lines)
    return [line.removeprefix("value\t") for line in lines]


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
@pytest.mark.parametrize("quote", ["", "'", '"'])
@given(names=st.lists(NAMES | HOSTILE, min_size=50, max_size=100))
@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_bash_reads_the_very_values(capsys: pytest.CaptureFixture[str], quote: str, names: list[str]) -> None:
    """Behind no quote or an open one, what is inserted is one word that is the value, unless it is left out."""
    shown = [name for name in names if not escaped_by_none(name, quote)]
    offered(f"swf --name {quote}", *names)
    values = values_of(capsys)
    script = "".join(f"printf '%s\\0' {quote}{value}{quote}\n" for value in values)
    read = subprocess.run(["bash", "-c", script], capture_output=True, check=True, env={"LC_ALL": "C.UTF-8"})
    assert read.stdout.decode().split("\0")[:-1] == shown


def escaped_by_none(name: str, quote: str) -> bool:
    """Return whether a value can't be quoted behind this quote, or holds a character that is not seen."""
    return (quote == "'" and "'" in name) or (quote == '"' and "!" in name) or any(char in name for char in "⠀ㅤﾠ")


@pytest.mark.parametrize(
    ("line", "inserted"),
    [
        ("swf --name ", r"a\:b\ c"),
        ("swf --name a", r"a\:b\ c"),
        ("swf --name a:", r"b\ c"),
        (r"swf --name a\:b", r"a\:b\ c"),
        (r"swf --name a:b\ ", r"b\ c"),
        ("swf --name=", r"a\:b\ c"),
        ("swf --name=a:", r"b\ c"),
        ("swf --name 'a:b ", "a:b c"),
        ('swf --name "a', "a:b c"),
        ("swf --name='a", "a:b c"),
    ],
)
def test_only_what_readline_replaces_is_printed(capsys: pytest.CaptureFixture[str], line: str, inserted: str) -> None:
    """Bash replaces what follows the last break of the word: a value with a colon does not repeat its beginning."""
    offered(line, "a:b c")
    assert values_of(capsys) == [inserted]


def test_what_breaks_no_word_is_not_quoted(capsys: pytest.CaptureFixture[str]) -> None:
    """Who took the colon out of COMP_WORDBREAKS sees none quoted, and the whole word is replaced."""
    offered("swf --name a:", "a:b c", breaks=BREAKS.replace(":", ""))
    assert values_of(capsys) == [r"a:b\ c"]


@pytest.mark.parametrize(
    "line", ["swf --name $", "swf --name `a", "swf --name 'a'", "swf --name 'a'b", 'swf --name "$', 'swf --name "`']
)
def test_nothing_is_offered_for_a_word_that_the_shell_computes(capsys: pytest.CaptureFixture[str], line: str) -> None:
    """The word is not known before it runs, or not what readline would replace."""
    assert offered(line, "a", "ab") == 0
    assert values_of(capsys) == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize("word", ["-n=", "-n=v", "-n=a="])
def test_nothing_is_offered_behind_the_equals_sign_of_a_short_option(
    capsys: pytest.CaptureFixture[str], shell: str, word: str
) -> None:
    """The sign would be part of the value."""
    assert offered(f"swf {word}", "video", CompletionItem("", type="file"), shell=shell) == 0
    assert capsys.readouterr().out == ""
    offered("swf -n v", "video", shell=shell)
    assert values_of(capsys) == ["video"]
    offered(f"swf -- {word}", CompletionItem("", type="file"), shell=shell)  # a word of another program
    assert capsys.readouterr().out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize("name", ["a\nb", "a\tb", "a\x1b[31mb", "a\u202eb", "a\u200bb", "a\udc80b", "a\x85b", ""])
def test_what_a_terminal_does_not_show_is_left_out(capsys: pytest.CaptureFixture[str], shell: str, name: str) -> None:
    """No value with a control, an invisible or an unencodable character is offered; the others are."""
    offered("swf --name ", name, "b", shell=shell)
    assert values_of(capsys) == ["b"]


def test_descriptions_stay_on_their_line(capsys: pytest.CaptureFixture[str]) -> None:
    """What describes a value has no control characters, and the value no colon that zsh takes for its end."""
    offered("swf --name ", CompletionItem("a:b\\c", help="x\ty\nz\x1b[31m"), shell="zsh")
    assert capsys.readouterr().out == "described\ta\\:b\\\\c\tx\\ty\\nz\\x1b[31m\n"
    offered("swf --name ", CompletionItem("a:b", help="x\ty"), shell="fish")
    assert capsys.readouterr().out == "value\ta:b\tx\\ty\n"


def test_paths_are_left_to_the_shell(capsys: pytest.CaptureFixture[str]) -> None:
    """The script is told that the word is a path."""
    offered("swf --name ", CompletionItem("", type="file"))
    assert capsys.readouterr().out == "path\n"


@pytest.mark.parametrize("shell", ["csh", "bash_complete", "../bash"])
def test_another_shell_gets_nothing(capsys: pytest.CaptureFixture[str], shell: str) -> None:
    """A script that this version does not know, such as an older one, gets an exit code and no output."""
    assert offered("swf --name ", "a", shell=shell) == 2
    assert capsys.readouterr() == ("", "")
