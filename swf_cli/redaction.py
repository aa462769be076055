"""Keeping known secrets out of messages: AWS secret keys, session tokens, task tokens, passwords in URLs.

`client.masking` removes what looks like one from messages about credentials.
"""

import re
import threading
from typing import Final

_MIN_SECRET: Final = 16  # characters; shorter ones are made up, and may be words
_MAX_CREDENTIALS: Final = 16  # pairs of secret key and session token; every text is searched for each

MAX_SECRET: Final = 4_096
"""Characters of the longest secret: a session token."""

_TOKEN: Final = re.compile("AAAAKgAAAAE[A-Za-z0-9+/=]{100,}")
"""A task token. All that were recorded from SWF begin like this."""

_ONE_TOKEN: Final = re.compile("AAAAKgAAAAE(?:(?!AAAAKgAAAAE)[A-Za-z0-9+/=]){100,1013}")
"""The same, of SWF's length at most, and without a second one right behind it."""

_LOGIN: Final = re.compile(
    r"""://[^\s/?#:@"<>]{0,256}:(?:[^\s/?#"<>]{1,1024}@|(?![0-9]{1,5}[/?#])[^\s@"<>]{1,1024}@)"""
)
"""User name and password in a URL. The second form is of a password whose /, ? or # should have been escaped.

Each repetition is bounded, so that a long text takes no longer than its length.
"""


class Redactor:
    """Replaces the secrets that are registered with it, in any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._credentials: tuple[tuple[str | None, ...], ...] = ((),)
        """The secrets of each, the most recently used last."""
        self._secrets: tuple[str, ...] = ()
        """The secrets of all, without short ones. Never changed, but replaced: other threads may be reading it."""
        self._token: str | None = None

    def register_secrets(self, secret_key: str | None, session_token: str | None) -> None:
        """Redact the secrets of credentials from now on. Cheap for those that were registered last.

        Those of the last 16 credentials are redacted: a command may still print what was in use before a refresh.
        """
        credentials = secret_key, session_token
        if credentials == self._credentials[-1]:
            return
        with self._lock:
            others = [it for it in self._credentials if it != credentials]
            kept = (*others, credentials)[-_MAX_CREDENTIALS:]
            known = [secret for pair in kept for secret in pair if isinstance(secret, str)]
            self._secrets = tuple(secret for secret in dict.fromkeys(known) if len(secret) >= _MIN_SECRET)
            self._credentials = kept  # last: another thread goes on without the lock if it sees them here

    def register_token(self, token: str) -> None:
        """Redact this task token from now on, instead of an earlier one: it is the one that a command is about."""
        self._token = token

    def redact(self, text: str, token: str | None = None) -> str:
        """Return text with `SECRET` for each secret, and `TOKEN` for `token` and whatever looks like one of SWF's.

        User name and password in a URL are a secret too.

        A text may have been cut: the beginning of a secret at its end is redacted too, and the end of one at its
        beginning. What is shorter than any secret is left alone: it may be a word of the text.
        """
        for secret in self._secrets:
            text = _replace(text, secret, "SECRET")
        for known in self._tokens(token):
            text = _replace(text, known, "TOKEN")
        if "@" in text and "://" in text:
            text = _LOGIN.sub("://SECRET@", text)
        return _TOKEN.sub("TOKEN", text) if "AAAAKgAAAAE" in text else text

    def safe_length(self, text: str, token: str | None = None) -> int:
        """Return where to cut a text that goes on, so that `redact` finds each secret in the one part or the other.

        That is before the last `MAX_SECRET` characters of it, of which a secret may be the beginning.
        """
        cut = max(0, len(text) - MAX_SECRET)
        spans = [match.span() for form in (_ONE_TOKEN, _LOGIN) for match in form.finditer(text)]
        for secret in (*self._tokens(token), *self._secrets):
            end = 0
            while (start := text.find(secret, end)) >= 0:
                end = start + len(secret)
                spans.append((start, end))
        for start, end in sorted(spans, reverse=True):
            if start < cut < end:
                cut = start
        return cut

    def _tokens(self, token: str | None) -> list[str]:
        """Return the tokens to redact: the registered one, and another."""
        return [it for it in dict.fromkeys((self._token, token)) if it and len(it) >= _MIN_SECRET]


def _replace(text: str, secret: str, name: str) -> str:
    """Replace a secret in a text, and the part of it with which the text ends or begins."""
    size = len(secret)
    text = text.replace(secret, name)
    if secret[:_MIN_SECRET] in text[-size:]:
        lengths = range(size - 1, _MIN_SECRET - 1, -1)
        part = next((length for length in lengths if text.endswith(secret[:length])), 0)
        text = text[: len(text) - part] + name * bool(part)
    if secret[-_MIN_SECRET:] in text[:size]:
        lengths = range(size - 1, _MIN_SECRET - 1, -1)
        part = next((length for length in lengths if text.startswith(secret[-length:])), 0)
        text = name * bool(part) + text[part:]
    return text


_process: Final = Redactor()
"""What this process redacts."""

register_secrets: Final = _process.register_secrets
register_token: Final = _process.register_token
redact: Final = _process.redact
safe_length: Final = _process.safe_length
