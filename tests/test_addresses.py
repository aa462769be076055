"""Addresses of services."""

import pytest

from swf_cli.addresses import check_endpoint_url, is_loopback, is_protected_url


@pytest.mark.parametrize(
    "url",
    [
        *("https://swf.us-east-1.amazonaws.com", "http://127.0.0.1:5000", "http://localhost", "http://[::1]:5000"),
        *("http://127.1.2.3/path", "http://LocalHost:1"),
    ],
)
def test_a_protected_address(url: str) -> None:
    """What is encrypted, or stays on this machine."""
    check_endpoint_url(url)
    assert is_protected_url(url)


@pytest.mark.parametrize("host", ["swf.test", "192.0.2.1", "0.0.0.0", "localhost.test", "127.0.0.1.test", "[::2]"])
def test_an_unprotected_address(host: str) -> None:
    """Whoever is on the way could read it."""
    check_endpoint_url(f"http://{host}:5000")
    assert not is_protected_url(f"http://{host}:5000")


@pytest.mark.parametrize(
    "url",
    [
        *(
            "http://swf.test\\@127.0.0.1",
            "http://127.0.0.1@swf.test",
            "http://me:secret@127.0.0.1",
            "http://swf.test#@localhost",
        ),
        *(
            "http://swf.test?@localhost",
            "http://127.0.0.1\n",
            "http://127.0.0.1/\x1b[31m",
            "http://127.0.0.1\0",
            "http://é",
        ),
        *("http:\\\\127.0.0.1", "//127.0.0.1", "file://127.0.0.1/x", "http://127.0.0.1:0", "http://", "http://a b"),
    ],
)
def test_an_ambiguous_address(url: str) -> None:
    """Nothing in which two programs could read two hosts, or that a terminal obeys, is an address."""
    with pytest.raises(ValueError, match="is not a URL"):
        check_endpoint_url(url)


@pytest.mark.parametrize(
    "url",
    ["http://hush@h", "http://h?hush", "http://h#hush", "http://us:er:p@ss:hush/rd@h", "hush:hush@h", "hush\\h"],
)
def test_what_may_be_a_secret_is_not_shown(url: str) -> None:
    """User names, passwords and queries, also where they are not valid."""
    with pytest.raises(ValueError, match=r"a user name, a query, a fragment or a backslash$") as raised:
        check_endpoint_url(url)
    assert "hush" not in str(raised.value)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("localhost", True),
        ("LocalHost", True),
        ("0.0.0.0", False),
        ("192.0.2.1", False),
        ("localhost.example", False),
    ],
)
def test_loopback(host: str, loopback: bool) -> None:
    """Addresses and names of loopback."""
    assert is_loopback(host) is loopback
