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

    A `token` shorter than any of SWF's is left alone: it may be a word of the text.
    """
    if token and len(token) >= _MIN_SECRET:
        text = text.replace(token, "TOKEN")
    if "AAAAKgAAAAE" in text:
        text = _TOKEN.sub("TOKEN", text)
    for secret, name in list(_secrets.items()):
        text = text.replace(secret, name)
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
