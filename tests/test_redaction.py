"""Secrets in texts: whole, and cut."""

import pytest

from swf_cli.redaction import Redactor

KEY = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
TOKEN = "AAAAKgAAAAE" + "b+/=" * 50
MADE_UP = "A-token-of-a-service-that-is-not-AWS"


@pytest.fixture
def redactor() -> Redactor:
    """A redactor that knows a secret key."""
    redactor = Redactor()
    redactor.register_secrets(KEY, None)
    return redactor


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
def test_whole(redactor: Redactor, text: str, expected: str) -> None:
    """Each is replaced, wherever it stands: the token of the task, tokens of SWF's form, registered secrets."""
    assert redactor.redact(text, MADE_UP) == expected


@pytest.mark.parametrize(("secret", "name"), [(KEY, "SECRET"), (MADE_UP, "TOKEN"), (TOKEN, "TOKEN")])
def test_cut(redactor: Redactor, secret: str, name: str) -> None:
    """Texts are cut to what SWF accepts: what is left of a secret at either end is replaced, unless it is short."""
    token = secret if name == "TOKEN" else None
    for length in range(1, len(secret)):
        head, tail = redactor.redact(f"a {secret[:length]}", token), redactor.redact(f"{secret[-length:]} b", token)
        if length < 16:
            assert (head, tail) == (f"a {secret[:length]}", f"{secret[-length:]} b")
        else:
            assert (head, tail) == (f"a {name}", f"{name} b")


def test_cut_at_both_ends(redactor: Redactor) -> None:
    """Also if a text is nothing but parts of secrets, or of one that repeats itself."""
    assert redactor.redact(f"{KEY[1:]} {KEY[:-1]}") == "SECRET SECRET"
    assert redactor.redact(KEY[:20]) == redactor.redact(KEY[20:]) == "SECRET"
    repeated = "0123456789abcdef" * 3
    assert redactor.redact(f"a {repeated}{repeated[:20]}", repeated) == "a TOKENTOKEN"
    assert redactor.redact(f"a {repeated[:40]}", repeated) == "a TOKEN"


def test_parts_elsewhere_are_left_alone(redactor: Redactor) -> None:
    """The beginning or end of a secret within a text is not what a cut left of it."""
    for text in (f"a {KEY[:20]} b", f"a {KEY[20:]} b", f"{KEY[:20]} b", f"a {KEY[20:]}"):
        assert redactor.redact(text) == text


def test_words_are_no_secrets(redactor: Redactor) -> None:
    """What is shorter than any secret may be a word."""
    redactor.register_secrets("local-secret", "local-secret")
    redactor.register_token("local-secret")
    assert redactor.redact("local-secret", "local-secret") == "local-secret"


def test_the_token_of_a_command(redactor: Redactor) -> None:
    """It is redacted in every text; and so is the token of a task that the text is about."""
    redactor.register_token(MADE_UP)
    assert redactor.redact(f"a {MADE_UP} b") == "a TOKEN b"
    assert redactor.redact(f"{MADE_UP} {MADE_UP[::-1]}", MADE_UP[::-1]) == "TOKEN TOKEN"


def test_earlier_credentials(redactor: Redactor) -> None:
    """The secrets of the last 16 credentials are redacted, and their number does not grow."""
    issued = [(f"{number:020} secret key", f"{number:020} session token") for number in range(40)]
    for credentials in issued:
        redactor.register_secrets(*credentials)
    for credentials in issued[-16:]:
        assert redactor.redact("; ".join(credentials)) == "SECRET; SECRET"
    for text in ("; ".join(issued[0]), "; ".join(issued[-17]), KEY):
        assert redactor.redact(text) == text


def test_credentials_in_use(redactor: Redactor) -> None:
    """They are redacted, however many others are registered meanwhile."""
    for number in range(40):
        redactor.register_secrets(KEY, None)
        redactor.register_secrets(f"{number:020} secret key", f"{number:020} session token")
        assert redactor.redact(f"a {KEY} b {number:020} secret key") == "a SECRET b SECRET"


def test_safe_length(redactor: Redactor) -> None:
    """A text that goes on is cut before what may become a secret, and never within one."""
    assert redactor.safe_length("a" * 5_000) == 904
    for start in (850, 880, 904, 905):
        text = f"{'a' * start}{KEY}{'a' * 5_000}"[:5_000]
        cut = redactor.safe_length(text)
        assert redactor.redact(text[:cut]) + redactor.redact(text[cut:]) == redactor.redact(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("of http://user:PW@host:80/path", "of http://SECRET@host:80/path"),
        ("'https://user:p@ss:word@host'", "'https://SECRET@host'"),
        ("http://:PW@host", "http://SECRET@host"),
        ("http://user:PART/REST@host, http://user:PART#REST@host", "http://SECRET@host, http://SECRET@host"),
        ("http://a:b@host,http://c:d@host", "http://SECRET@host,http://SECRET@host"),
    ],
)
def test_passwords_in_urls(redactor: Redactor, text: str, expected: str) -> None:
    """User name and password are replaced, also those whose special characters are not escaped."""
    assert redactor.redact(text) == expected
    long = f"{text}{'a' * 5_000}"
    for length in range(len(long) - 1_000, len(long)):
        cut = redactor.safe_length(long[:length])
        assert redactor.redact(long[:cut]) + redactor.redact(long[cut:]) == redactor.redact(long)


@pytest.mark.parametrize(
    "text",
    [
        "ssh://git@host/path",
        "https://host/@scope/name",
        "http://host:4873/@scope/name",
        "http://host:80 for me@example.com",
        '["http://host:80","me@example.com"]',
        "user:PW@host",
        "arn:aws:iam::123456789012:role/worker",
    ],
)
def test_urls_without_passwords(redactor: Redactor, text: str) -> None:
    """An @ elsewhere, and a user name alone, are left alone."""
    assert redactor.redact(text) == text
