"""Opaque tokens: what they say can be read back, and none can be made up."""

import base64
import hashlib
import json
import secrets
from typing import Any, Final

_MARK: Final = 16


class TokenSigner:
    """Makes and reads tokens under a key of its own: a token of another seal, or a changed one, says nothing."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def sign(self, *content: Any) -> str:
        """Make a token of JSON values; it never begins with a dash, so that it can be a command's argument."""
        data = json.dumps(content, separators=(",", ":")).encode()
        return base64.b64encode(self._mark(data) + data).decode()

    def verify(self, token: str) -> list[Any] | None:
        """Read a token; None when it is not one of this seal's."""
        try:
            raw = base64.b64decode(token, validate=True)
        except ValueError:
            return None
        mark, data = raw[:_MARK], raw[_MARK:]
        if not secrets.compare_digest(mark, self._mark(data)):
            return None
        content: list[Any] = json.loads(data)
        return content

    def _mark(self, data: bytes) -> bytes:
        return hashlib.blake2b(data, key=self._key, digest_size=_MARK).digest()
