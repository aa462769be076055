"""Messages about credentials: what looks like a secret is masked, and what people need is not."""

import pytest

from swf_cli.client.masking import mask, mask_exceptions


@pytest.mark.parametrize(
    "text",
    [
        "please sign in: run /opt/signed-in/helper2 --account 123456789012",
        "/home/user1/.aws/credentials-file2/some-helper-v2: not found",
        "../scripts/get-credentials2.sh and bin/getCredentials2",
        "arn:aws:iam::123456789012:role/Worker2RoleWithALongName7x7x7x",
        "CredentialRetrievalError, InvalidClientTokenId, my-company-sso-helper-2",
        "/opt/lib/python3.11/site-packages/botocore/credentials.py at 2026-11-26T08:47:48.123Z",
        "ip-10-0-0-1.ec2.internal https://corp.example/start what? really?",
    ],
)
def test_what_is_left(text: str) -> None:
    """Paths, ARNs, account IDs, words, names, hosts and times."""
    assert mask(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY is bad", "SECRET is bad"),
        ("token=ghp_16C7e42F292c6912E7710c838347Ae178B4a;", "token=SECRET;"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N", "SECRET.SECRET.SECRET"),
        ("(SECRETSECRET12345678)", "(SECRET)"),
        ("a" * 32, "SECRET"),
        ('"http://user:pw@host/x?token=7"', '"http://host/x"'),
        ("GET /x?token=7 failed", "GET /x failed"),
    ],
)
def test_what_is_masked(text: str, expected: str) -> None:
    """Base64, also with slashes and dots; and user name, password and query of a URL."""
    assert mask(text) == expected


def test_exceptions_that_a_traceback_shows() -> None:
    """Those that an exception was raised from are masked too."""
    cause, error = ValueError("http://host/x?token=7"), TypeError("http://host/y?token=7", 7)
    error.__cause__, cause.__context__ = cause, error
    mask_exceptions(error)
    assert (error.args, cause.args) == (("http://host/y", 7), ("http://host/x",))
