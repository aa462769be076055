"""Pages of sorted lists, and page tokens."""

import hashlib
import json
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from .entities import Args
from .faults import invalid
from .service import ServiceState
from .tokens import PAGE_TOKEN_BYTES

MAX_PAGE_SIZE: Final = 1_000
"""The largest page, and the default."""

_TOKEN_LIFETIME: Final = 24 * 60 * 60  # seconds


def page_size(args: Args) -> int:
    """Return the number of results that a page may hold."""
    size: int = args.get("maximumPageSize") or MAX_PAGE_SIZE
    return size


def read_page_token(service: ServiceState, args: Args, scope: str) -> Any:
    """Return the position that a page token holds, or None without a token: the list's start.

    Raise the fault that SWF returns for a token that is made up, too old, or from another query.
    """
    token = args.get("nextPageToken")
    if not token:
        return None
    content = service.tokens.verify(token)
    if content is None or content[:2] != ["page", _query(args, scope)]:
        raise invalid("Invalid token")
    if service.now - content[2] > _TOKEN_LIFETIME:
        raise invalid("Specified token has exceeded its maximum lifetime")
    return content[3]


def page_token(service: ServiceState, args: Args, scope: str, position: Any) -> dict[str, str]:
    """Return the response's `nextPageToken` member, or nothing if `position` is None: this is the last page."""
    if position is None:
        return {}
    content = ("page", _query(args, scope), service.now, position)
    return {"nextPageToken": service.tokens.sign(*content, size=PAGE_TOKEN_BYTES)}


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
    """Return a page of the wanted values of sorted keys, and its last key, or None if no page follows.

    Keys that are added or removed between two pages do not move the others.
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
