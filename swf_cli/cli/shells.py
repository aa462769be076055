"""Completion in bash, zsh and fish: the scripts, and what `swf` prints for them.

Values may be chosen by others: the names of an account's domains, for example. Bash inserts what it gets as it is, so
it gets each value quoted for where the cursor stands; zsh and fish quote what they insert. What can't be quoted, or
would not be seen, is not offered.
"""

import re
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from click import ClickException, Command
from click.shell_completion import ShellComplete

from ..output.escaping import escape_controls

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

VARIABLE: Final = "_SWF_COMPLETE"
"""The environment variable with which a script asks for completions; it names the shell."""

SCRIPTS: Final[Mapping[str, str]] = {
    "bash": r"""# Completion of swf in bash.

_swf() {
    local kind value
    COMPREPLY=()
    while IFS=$'\t' read -r kind value; do
        if [[ $kind == path ]]; then
            compopt -o default 2> /dev/null
        else
            COMPREPLY+=("$value")
        fi
    done < <(_SWF_COMPLETE=bash swf "$COMP_WORDBREAKS" "${COMP_LINE:0:COMP_POINT}" 2> /dev/null)
}

complete -o nosort -F _swf swf 2> /dev/null || complete -F _swf swf
""",
    "zsh": r"""#compdef swf

_swf() {
    local kind value description
    local -a values described
    while IFS=$'\t' read -r kind value description; do
        case $kind in
            path) compset -P '--*='; _files ;;
            described) described+=("$value:$description") ;;
            *) values+=("$value") ;;
        esac
    done < <(_SWF_COMPLETE=zsh swf "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2> /dev/null)
    (( $#described )) && _describe -V swf described
    (( $#values )) && compadd -V swf -a -- values
}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _swf "$@"
else
    compdef _swf swf
fi
""",
    "fish": r"""# Completion of swf in fish.

function __swf_complete
    for line in (_SWF_COMPLETE=fish swf (commandline -opc)[2..-1] (commandline -ct) 2> /dev/null)
        set -l fields (string split --max 1 \t -- $line)
        if test $fields[1] = path
            set -l option (string match --regex -- '^--[^=]*=' (commandline -ct))
            for path in (__fish_complete_path (string replace --regex -- '^--[^=]*=' '' (commandline -ct)))
                printf '%s\n' "$option$path"
            end
        else
            printf '%s\n' $fields[2]
        end
    end
end

complete --command swf --no-files --keep-order --arguments '(__swf_complete)'
""",
}
"""What makes each shell complete `swf`."""

_PIECE: Final = re.compile(
    r"""
    \\(?P<escaped>.?)
    | '(?P<single>[^']*)(?P<single_end>'?)
    | "(?P<double>(?:\\.|[^"\\])*)\\?(?P<double_end>"?)
    | (?P<blank>\s+)
    | (?P<plain>.)
    """,
    re.VERBOSE | re.DOTALL,
)
"""A piece of a command line."""

_EXPANDED: Final = "$`"
"""Characters after which a shell computes what a word is."""


class _Word:
    """A word of a command line, up to the cursor if that stands in it."""

    def __init__(self) -> None:
        self.text = ""
        """Without its quotes."""
        self.quote = ""
        """The quote that is still open."""
        self.start = 0
        """Where in the text that begins which readline replaces."""
        self.is_known = True
        """Whether its text, and what readline would replace of it, is certain."""

    def add(self, match: re.Match[str], breaks: str) -> None:
        """Add a piece; `breaks` are the characters that end a word for readline."""
        kind = match.lastgroup or ""
        if self.quote:
            self.is_known = False
        elif kind == "escaped":
            self.text += match["escaped"]
        elif kind == "plain":
            self.text += match["plain"]
            self.is_known = self.is_known and match["plain"] not in _EXPANDED
            self.start = len(self.text) if match["plain"] in breaks else self.start
        else:
            self._add_quoted(match, kind.removesuffix("_end"))

    def _add_quoted(self, match: re.Match[str], kind: str) -> None:
        self.start = len(self.text)
        text = match[kind]
        if kind == "double":
            self.is_known = self.is_known and not re.search(rf"(?<!\\)[{_EXPANDED}]", text)
            text = re.sub(r"\\([$`\"\\])", r"\1", text)
        self.text += text
        self.quote = "" if match[f"{kind}_end"] else match[0][0]
        self.is_known = self.is_known and bool(self.quote)


def complete(root: Command, shell: str, args: Sequence[str]) -> int:
    """Print what completes a command line, for the script of a shell; return the exit code.

    `args` are what the script passes: for bash the characters that break words, and the line up to the cursor; else
    the words after the program's name, the last of which is incomplete.
    """
    if shell not in SCRIPTS or not args:
        return 2
    breaks = args[0] if shell == "bash" else ""
    words = _split(args[-1], breaks)
    current = words[-1]
    before = [word.text for word in words[1:-1]] if shell == "bash" else args[:-1]
    is_value = "--" not in before and re.match("-[^-].*=", current.text, re.DOTALL)  # that of -d=x is `=x`
    if not current.is_known or is_value:
        return 0
    asked = ShellComplete(root, {}, "swf", VARIABLE)
    try:
        items = asked.get_completions(list(before), current.text)
    except ClickException:
        return 0
    name, equals, _ = current.text.partition("=")
    option = name + equals if equals and name.startswith("--") else ""
    lines = (_line(item, option, current, breaks, shell) for item in items)
    sys.stdout.write("".join(f"{line}\n" for line in lines if line))
    sys.stdout.flush()
    return 0


def _split(line: str, breaks: str) -> list[_Word]:
    """Return the words of a command line, the last of which is incomplete, and perhaps empty."""
    words = [_Word()]
    for match in _PIECE.finditer(line):
        if match.lastgroup == "blank":
            words.append(_Word())
        else:
            words[-1].add(match, breaks)
    return words


def _line(item: "CompletionItem[str]", option: str, current: _Word, breaks: str, shell: str) -> str | None:
    """Return the line of a completion: its kind, a value and perhaps a description; None if it can't be offered."""
    if item.type in ("file", "dir"):
        return "path"
    value = option + item.value
    if not item.value or escape_controls(value) != value or not _is_encodable(value):
        return None
    if shell == "bash":
        quoted = _quote_for_bash(value[current.start :], current.quote, breaks)
        return quoted and f"value\t{quoted}"
    description = escape_controls(item.help or "")
    if not description or not _is_encodable(description):
        return f"value\t{value}"
    if shell == "zsh":
        return "described\t" + re.sub(r"([\\:])", r"\\\1", value) + f"\t{description}"
    return f"value\t{value}\t{description}"


def _is_encodable(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding)
    except UnicodeEncodeError:
        return False
    return True


def _quote_for_bash(text: str, quote: str, breaks: str) -> str | None:
    """Return text as it must stand behind an open quote, or none; None if it can't."""
    if quote == "'":
        return None if "'" in text else text
    if quote:
        # Bash expands the history in double quotes too, and a backslash against that would stay.
        return None if "!" in text else re.sub(r'([\\"$`])', r"\\\1", text)
    return re.sub(rf"[^\w./%+,\-=:@]|[{re.escape(breaks)}]", r"\\\g<0>", text)
