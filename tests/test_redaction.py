"""Secrets in texts: whole, and cut."""

import pytest

from swf_cli import redaction
from swf_cli.redaction import redact, register_secret, register_token, safe_length

KEY = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
TOKEN = "AAAAKgAAAAE" + "b+/=" * 50
MADE_UP = "A-token-of-a-service-that-is-not-AWS"


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register a secret key, in a process that has registered none."""
    monkeypatch.setattr(redaction, "_secrets", {})
    register_secret(KEY)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{KEY}{KEY}", "SECRETSECRET"),
        (f"a {TOKEN} b", "a TOKEN b"),
        (f"a {MADE_UP} b {KEY} c", "a TOKEN b SECRET c"),
        ("nothing", "nothing"),
        ("", ""),
    ],
)
def test_whole(text: str, expected: str) -> None:
    """Each is replaced, wherever it stands: the token of the task, tokens of SWF's form, registered secrets."""
    assert redact(text, MADE_UP) == expected


@pytest.mark.parametrize(("secret", "name"), [(KEY, "SECRET"), (MADE_UP, "TOKEN"), (TOKEN, "TOKEN")])
def test_cut(secret: str, name: str) -> None:
    """Texts are cut to what SWF accepts: what is left of a secret at either end is replaced, unless it is short."""
    token = secret if name == "TOKEN" else None
    for length in range(1, len(secret)):
        head, tail = redact(f"a {secret[:length]}", token), redact(f"{secret[-length:]} b", token)
        if length < 16:
            assert (head, tail) == (f"a {secret[:length]}", f"{secret[-length:]} b")
        else:
            assert (head, tail) == (f"a {name}", f"{name} b")


def test_cut_at_both_ends() -> None:
    """Also if a text is nothing but parts of secrets, or of one that repeats itself."""
    assert redact(f"{KEY[1:]} {KEY[:-1]}") == "SECRET SECRET"
    assert redact(KEY[:20]) == redact(KEY[20:]) == "SECRET"
    repeated = "0123456789abcdef" * 3
    assert redact(f"a {repeated}{repeated[:20]}", repeated) == "a TOKENTOKEN"
    assert redact(f"a {repeated[:40]}", repeated) == "a TOKEN"


def test_parts_elsewhere_are_left_alone() -> None:
    """The beginning or end of a secret within a text is not what a cut left of it."""
    for text in (f"a {KEY[:20]} b", f"a {KEY[20:]} b", f"{KEY[:20]} b", f"a {KEY[20:]}"):
        assert redact(text) == text


@pytest.mark.parametrize("register", [register_secret, register_token])
def test_words_are_no_secrets(register: object) -> None:
    """What is shorter than any secret may be a word."""
    register("local-secret")  # type: ignore[operator]
    assert redact("local-secret", "local-secret") == "local-secret"


def test_safe_length() -> None:
    """A text that goes on is cut before what may become a secret, and never within one."""
    assert safe_length("a" * 5_000) == 904
    for start in (850, 880, 904, 905):
        text = f"{'a' * start}{KEY}{'a' * 5_000}"[:5_000]
        cut = safe_length(text)
        assert redact(text[:cut]) + redact(text[cut:]) == redact(text)
