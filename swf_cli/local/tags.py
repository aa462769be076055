"""Operations on the tags of domains."""

from collections.abc import Callable, Mapping
from typing import Final

from .entities import Args, Domain, Response
from .faults import unknown
from .registry import add_tags, domain_arn
from .service import ServiceState


def _find_domain(service: ServiceState, arn: str) -> Domain:
    domain = service.domains.get(arn.rpartition("/")[2])
    if domain is None or domain_arn(service, domain) != arn:
        raise unknown(f"resource: {arn}")
    return domain


def _tag(service: ServiceState, args: Args) -> Response:
    add_tags(service, _find_domain(service, args["resourceArn"]), args["tags"])
    return {}


def _untag(service: ServiceState, args: Args) -> Response:
    domain = _find_domain(service, args["resourceArn"])
    for key in args["tagKeys"]:
        domain.tags.pop(key, None)
    return {}


def _list(service: ServiceState, args: Args) -> Response:
    tags = _find_domain(service, args["resourceArn"]).tags
    return {"tags": [{"key": key} if value is None else {"key": key, "value": value} for key, value in tags.items()]}


OPERATIONS: Final[Mapping[str, Callable[[ServiceState, Args], Response]]] = {
    "TagResource": _tag,
    "UntagResource": _untag,
    "ListTagsForResource": _list,
}
"""Operations by name."""
