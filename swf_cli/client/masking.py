"""Messages about credentials, without what looks like a secret: `redaction` removes those that are known."""

import re
from typing import Final

_LOGIN: Final = re.compile(r"""(?<=://)[^\s/?#"'<>]{1,1024}@""")
_QUERY: Final = re.compile(r"""(?<=[\w/.~-])\?[^\s"'<>]+""")

_CANDIDATE: Final = re.compile(r"arn:aws[\w-]*:\S+|[A-Za-z0-9+/_-]{16,}={0,2}")
_SEGMENT: Final = re.compile(r"[A-Za-z0-9+_-]{16,}={0,2}")
_WORD: Final = re.compile(r"[A-Za-z]{0,15}[0-9]{0,2}|[0-9]{1,12}")
_MAX_WORD: Final = 32  # letters


def mask(text: str) -> str:
    """Return text without what looks like a secret, and without user names, passwords and queries of URLs.

    A secret looks like 16 or more characters of Base64, with letters and digits that do not make words: paths, ARNs,
    host names, dates and names such as `get-credentials-v2` are left.
    """
    return _CANDIDATE.sub(_mask_candidate, mask_urls(text))


def mask_urls(text: str) -> str:
    """Return text whose URLs have no user name, password or query."""
    return _QUERY.sub("", _LOGIN.sub("", text))


def mask_exceptions(error: BaseException | None) -> None:
    """Mask the messages of an exception and of those it was raised from: a traceback shows them."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        error.args = tuple(mask(it) if isinstance(it, str) else it for it in error.args)
        error = error.__cause__ or error.__context__


def _mask_candidate(found: re.Match[str]) -> str:
    text, start = found[0], found.start()
    if text.startswith("arn:"):
        return text
    is_path = text.startswith("/") or found.string[start - 1 : start] in (".", "~")
    if not is_path and "/" in text and _is_dense(text):  # Base64 has slashes too
        return "SECRET"
    return _SEGMENT.sub(_mask_segment, text)


def _is_dense(text: str) -> bool:
    """Return whether a part between slashes has capitals, small letters and digits, as few names of files have."""
    kinds = (r"[A-Z]", r"[a-z]", r"[0-9]")
    return any(all(re.search(kind, part) for kind in kinds) and not _is_words(part) for part in text.split("/"))


def _is_words(text: str) -> bool:
    return all(_WORD.fullmatch(part) for part in re.split("[_-]", text))


def _mask_segment(found: re.Match[str]) -> str:
    text = found[0]
    has_both = re.search(r"[0-9]", text) and re.search(r"[A-Za-z]", text)
    is_long = re.search(rf"[A-Za-z]{{{_MAX_WORD},}}", text)
    return "SECRET" if is_long or (has_both and not _is_words(text)) else text
