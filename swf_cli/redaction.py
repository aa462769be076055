"""Keeping secrets out of messages: AWS secret keys, session tokens, and task tokens."""

import re
from typing import Final

_MIN_SECRET: Final = 16  # characters; shorter ones are made up, and may be words

MAX_SECRET: Final = 4_096
"""Characters of the longest secret: a session token."""

_TOKEN: Final = re.compile("AAAAKgAAAAE[A-Za-z0-9+/=]{100,}")
"""How every token of SWF begins that was ever recorded."""

_ONE_TOKEN: Final = re.compile("AAAAKgAAAAE(?:(?!AAAAKgAAAAE)[A-Za-z0-9+/=]){100,1013}")
"""The same, of SWF's length at most, and without a second one right behind it."""

_secrets: dict[str, str] = {}
"""What to redact in every text, and what stands for it."""


def register_secret(secret: str | None) -> None:
    """Redact this secret key or session token from now on, in this process."""
    if secret and len(secret) >= _MIN_SECRET:
        _secrets[secret] = "SECRET"


def register_token(token: str) -> None:
    """Redact this task token from now on, in this process: it is the one that a command is about."""
    if len(token) >= _MIN_SECRET:
        _secrets[token] = "TOKEN"


def redact(text: str, token: str | None = None) -> str:
    """Return text with `SECRET` for each secret, and `TOKEN` for `token` and whatever looks like one of SWF's.

    A text may have been cut: the beginning of a secret at its end is redacted too, and the end of one at its
    beginning. What is shorter than any secret is left alone: it may be a word of the text.
    """
    known = dict(_secrets)
    if token and len(token) >= _MIN_SECRET:
        known[token] = "TOKEN"
    for secret, name in known.items():
        text = _redact_cut(text.replace(secret, name), secret, name)
    return _TOKEN.sub("TOKEN", text) if "AAAAKgAAAAE" in text else text


def _redact_cut(text: str, secret: str, name: str) -> str:
    """Replace the part of a secret with which a text ends or begins."""
    lengths = range(len(secret) - 1, _MIN_SECRET - 1, -1)
    if secret[:_MIN_SECRET] in text[-len(secret) :]:
        part = next((length for length in lengths if text.endswith(secret[:length])), 0)
        text = text[: len(text) - part] + name * bool(part)
    if secret[-_MIN_SECRET:] in text[: len(secret)]:
        part = next((length for length in lengths if text.startswith(secret[-length:])), 0)
        text = name * bool(part) + text[part:]
    return text


def safe_length(text: str, token: str | None = None) -> int:
    """Return where to cut a text that goes on, so that `redact` finds each secret in the one part or the other.

    That is before the last `MAX_SECRET` characters of it, of which a secret may be the beginning.
    """
    cut = max(0, len(text) - MAX_SECRET)
    known = [secret for secret in (token, *list(_secrets)) if secret and len(secret) >= _MIN_SECRET]
    patterns = [_ONE_TOKEN, *(re.compile(re.escape(secret)) for secret in known)]
    spans = [match.span() for pattern in patterns for match in pattern.finditer(text)]
    for start, end in sorted(spans, reverse=True):
        if start < cut < end:
            cut = start
    return cut
