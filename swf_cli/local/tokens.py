"""Signed opaque tokens with the look of SWF's. Altered tokens, and those of another key, are rejected."""

import base64
import hashlib
import json
import secrets
import struct
from typing import Any, Final

TASK_TOKEN_BYTES: Final = 239
PAGE_TOKEN_BYTES: Final = 785
"""The least sizes of tokens: 320 and 1,048 characters, as recorded from SWF, with the padding of base64."""

_HEADER: Final = struct.pack(">4I", 42, 1, 0, 2)  # "AAAAKgAAAAEAAAAAAAAAAg": every token of SWF begins like that
_SIGNATURE_BYTES: Final = 16


def new_run_id() -> str:
    """Return a run ID such as SWF's: 46 characters, of which 44 are the base64 of 32 bytes."""
    return "22" + base64.b64encode(secrets.token_bytes(32)).decode()


class TokenSigner:
    """Signs and verifies tokens with a random key of its own."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def sign(self, *content: Any, size: int = TASK_TOKEN_BYTES) -> str:
        """Return a token that holds JSON values, as standard base64. The same values give the same token."""
        data = json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")
        data = data.ljust(size - len(_HEADER) - _SIGNATURE_BYTES)
        signature = self._signature(data)
        return base64.b64encode(_HEADER + signature + self._mask(signature, data)).decode()

    def verify(self, token: str) -> list[Any] | None:
        """Return the values of a token, or None if this signer did not make it."""
        try:
            raw = base64.b64decode(token, validate=True)
        except ValueError:
            return None
        start = len(_HEADER) + _SIGNATURE_BYTES
        signature = raw[len(_HEADER) : start]
        data = self._mask(signature, raw[start:])
        if raw[: len(_HEADER)] != _HEADER or not secrets.compare_digest(signature, self._signature(data)):
            return None
        content: list[Any] = json.loads(data.decode("utf-8", "surrogatepass"))
        return content

    def _signature(self, data: bytes) -> bytes:
        return hashlib.blake2b(data, key=self._key, digest_size=_SIGNATURE_BYTES).digest()

    def _mask(self, signature: bytes, data: bytes) -> bytes:
        """Hide the content, so that a token has all characters of base64, as SWF's do. The reverse is the same."""
        key = hashlib.shake_256(self._key + signature).digest(len(data))
        return (int.from_bytes(data) ^ int.from_bytes(key)).to_bytes(len(data))
