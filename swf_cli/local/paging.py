"""Pages of an ordered list, and the tokens that lead from one to the next."""

import hashlib
import json
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from .entities import Args
from .faults import invalid
from .service import ServiceState

MOST: Final = 1_000
"""The most results on a page, and how many there are unless told."""

_LIFETIME: Final = 24 * 60 * 60
"""Seconds for which SWF takes a page token."""


def page_size(args: Args) -> int:
    """Tell how many results a page may have."""
    size: int = args.get("maximumPageSize") or MOST
    return size


def read_page_token(service: ServiceState, args: Args, scope: str) -> Any:
    """Give the position that a page token holds; None when there is no token, so at the start.

    Raises the fault that SWF gives for a token that is made up, too old, or of another query.
    """
    token = args.get("nextPageToken")
    if not token:
        return None
    content = service.tokens.verify(token)
    if content is None or content[:2] != ["page", _query(args, scope)]:
        raise invalid("Invalid token")
    if service.now - content[2] > _LIFETIME:
        raise invalid("Specified token has exceeded its maximum lifetime")
    return content[3]


def page_token(service: ServiceState, args: Args, scope: str, position: Any) -> dict[str, str]:
    """Give the answer's `nextPageToken`; nothing when there is no position to go on from."""
    if position is None:
        return {}
    return {"nextPageToken": service.tokens.sign("page", _query(args, scope), service.now, position)}


def _query(args: Args, scope: str) -> str:
    rest = {name: value for name, value in args.items() if name not in ("nextPageToken", "maximumPageSize")}
    return hashlib.blake2b(json.dumps([scope, rest], sort_keys=True).encode(), digest_size=8).hexdigest()


K = TypeVar("K", int, str, tuple[str, str])
V = TypeVar("V")


def take(
    keys: Sequence[K],
    value: Callable[[K], V],
    wanted: Callable[[V], bool],
    *,
    after: K | None,
    ascending: bool,
    size: int,
) -> tuple[list[V], K | None]:
    """Take a page of what is wanted from sorted keys, and the key to go on after; None when that was all.

    A key that went away, or came, between two pages moves no other.
    """
    low, high = 0, len(keys)
    if after is not None:
        low, high = (bisect_right(keys, after), high) if ascending else (low, bisect_left(keys, after))
    page: list[V] = []
    last: K | None = None
    for place in range(low, high) if ascending else range(high - 1, low - 1, -1):
        found = value(keys[place])
        if wanted(found):
            if len(page) == size:
                return page, last
            page.append(found)
            last = keys[place]
    return page, None
