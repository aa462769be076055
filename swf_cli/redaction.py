"""Keeping secrets out of messages: AWS secret keys, session tokens, and task tokens."""

import re
from typing import Final

_MIN_SECRET: Final = 16  # characters; shorter ones are made up, and may be words

_TOKEN: Final = re.compile("AAAAKgAAAAE[A-Za-z0-9+/=]{100,}")
"""How every token of SWF begins that was ever recorded."""

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
