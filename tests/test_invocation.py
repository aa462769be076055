"""The commands that messages suggest."""

import shlex

import pytest

from swf_cli.invocation import Invocation

GIVEN = Invocation(
    {"--profile": ["on call"], "--endpoint-url": ["http://10.0.0.1:80"], "--task-list": ["a", "b"], "--limit": ["5"]}
)


def test_what_was_given_is_given_again() -> None:
    """Each option to repeat that was given, quoted, as often as it was given; no other, and nothing that was not."""
    assert GIVEN.format("tasks", "--id", "x") == (
        "swf tasks --profile 'on call' --endpoint-url http://10.0.0.1:80 --id x"
    )
    assert GIVEN.format("stuck", repeat=("--task-list", "--domain")) == "swf stuck --task-list a --task-list b"
    assert Invocation().format("stuck") == "swf stuck"


@pytest.mark.parametrize("value", ["-x", "$(touch X)", "a'b", "", "two words"])
def test_a_value_is_one_word(value: str) -> None:
    """Whatever it is."""
    line = Invocation({"--domain": [value]}).format("tasks", "--id", value)
    assert shlex.split(line) == ["swf", "tasks", "--domain", value, "--id", value]


@pytest.mark.parametrize(
    ("endpoint", "confirmed"),
    [
        ("http://10.0.0.1:80", "--endpoint-url http://10.0.0.1:80 "),
        ("http://10.0.0.2:80", ""),  # not what was given: whoever wrote the ledger does not choose it
        ("http://127.0.0.1:80", ""),
        ("https://swf.us-east-1.amazonaws.com", ""),
    ],
)
def test_a_held_task_has_all_but_a_confirmation(endpoint: str, confirmed: str) -> None:
    """Its row names domain, profile, region and endpoint; one that is not encrypted is confirmed."""
    invocation = Invocation({**GIVEN.given, "--endpoint-url": ["http://10.0.0.1:80"]})
    assert invocation.format_held("cancel", "abcd1234", endpoint) == f"swf cancel {confirmed}--held abcd1234"
    given_another = Invocation({"--endpoint-url": ["http://127.0.0.1:80"]})
    assert given_another.format_held("cancel", "abcd1234", endpoint) == "swf cancel --held abcd1234"
