"""Operations on domains, workflow types and activity types."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from .entities import Args, Domain, Registered, Response, TypeKey, TypeKind
from .faults import Fault, invalid, unknown
from .paging import page_size, page_token, read_page_token, take
from .service import ServiceState

Operate = Callable[[ServiceState, Args], Response]

_ACCOUNT: Final = "123456789012"
_TAG: Final = re.compile(r"[\w\s.:/=+\-@]*")  # letters and digits of any script, whitespace, and these symbols


def usable_domain(service: ServiceState, name: str) -> Domain:
    """Return a domain. Raise a DomainDeprecatedFault if it is deprecated."""
    domain = service.domain(name)
    if domain.deprecated:
        raise Fault("DomainDeprecatedFault", name)
    return domain


def _format_type(kind: TypeKind, key: TypeKey) -> str:
    return f"{kind.capitalize()}Type=[name={key[0]}, version={key[1]}]"


def find_type(domain: Domain, kind: TypeKind, wire: Mapping[str, str]) -> Registered:
    """Return a registered type, which may be deprecated."""
    key = wire["name"], wire["version"]
    try:
        return domain.types[kind][key]
    except KeyError:
        raise unknown(f"type: {_format_type(kind, key)}") from None


def usable_type(domain: Domain, kind: TypeKind, wire: Mapping[str, str]) -> Registered:
    """Return a registered type. Raise a TypeDeprecatedFault if it is deprecated."""
    registered = find_type(domain, kind, wire)
    if registered.deprecated_at is not None:
        raise Fault("TypeDeprecatedFault", _format_type(kind, registered.key))
    return registered


def _register_domain(service: ServiceState, args: Args) -> Response:
    name = args["name"]
    if name in service.domains:
        raise Fault("DomainAlreadyExistsFault", name)
    domain = Domain(name, args.get("description"), args["workflowExecutionRetentionPeriodInDays"], tags={})
    add_tags(service, domain, args.get("tags") or ())
    service.domains[name] = domain
    return {}


def _deprecate_domain(service: ServiceState, args: Args) -> Response:
    usable_domain(service, args["name"]).deprecated = True
    return {}


def _undeprecate_domain(service: ServiceState, args: Args) -> Response:
    domain = service.domain(args["name"])
    if not domain.deprecated:
        raise Fault("DomainAlreadyExistsFault", domain.name)
    domain.deprecated = False
    return {}


def domain_arn(service: ServiceState, domain: Domain) -> str:
    """Return the ARN of a domain."""
    return f"arn:aws:swf:{service.region}:{_ACCOUNT}:/domain/{domain.name}"


def add_tags(service: ServiceState, domain: Domain, tags: Sequence[Mapping[str, str]]) -> None:
    """Add tags to a domain, of which a given key replaces an old one."""
    added: dict[str, str | None] = {tag["key"]: tag.get("value") for tag in tags}
    for text in (*added, *added.values()):
        if text and not _TAG.fullmatch(text):
            raise invalid(f"Invalid tag: {text}")
    combined = {**domain.tags, **added}
    if len(combined) > service.limits.tags:
        raise Fault("TooManyTagsFault", f"A domain has at most {service.limits.tags} tags")
    domain.tags = combined


def _domain_info(service: ServiceState, domain: Domain) -> dict[str, str]:
    info = {
        "name": domain.name,
        "status": "DEPRECATED" if domain.deprecated else "REGISTERED",
        "arn": domain_arn(service, domain),
    }
    return info if domain.description is None else {**info, "description": domain.description}


def _describe_domain(service: ServiceState, args: Args) -> Response:
    domain = service.domain(args["name"])
    return {
        "domainInfo": _domain_info(service, domain),
        "configuration": {"workflowExecutionRetentionPeriodInDays": domain.retention},
    }


def _list_domains(service: ServiceState, args: Args) -> Response:
    deprecated = args["registrationStatus"] == "DEPRECATED"
    found, last = take(
        sorted(service.domains),
        service.domains.__getitem__,
        lambda domain: domain.deprecated == deprecated,
        after=read_page_token(service, args, "domains"),
        ascending=not args.get("reverseOrder"),
        size=page_size(args),
    )
    return {
        "domainInfos": [_domain_info(service, domain) for domain in found],
        **page_token(service, args, "domains", last),
    }


def _type_info(kind: TypeKind, registered: Registered) -> dict[str, Any]:
    info = {
        f"{kind}Type": {"name": registered.key[0], "version": registered.key[1]},
        "status": "REGISTERED" if registered.deprecated_at is None else "DEPRECATED",
        "creationDate": round(registered.created_at, 3),
    }
    if registered.description is not None:
        info["description"] = registered.description
    if registered.deprecated_at is not None:
        info["deprecationDate"] = round(registered.deprecated_at, 3)
    return info


def _type_operations(kind: TypeKind) -> dict[str, Operate]:
    """Return the operations on activity types or workflow types, which differ in names only."""

    def register(service: ServiceState, args: Args) -> Response:
        types = usable_domain(service, args["domain"]).types[kind]
        key = args["name"], args["version"]
        if key in types:
            raise Fault("TypeAlreadyExistsFault", _format_type(kind, key))
        defaults = {name: value for name, value in args.items() if name.startswith("default") and value is not None}
        types[key] = Registered(key, args.get("description"), defaults, service.now)
        return {}

    def deprecate(service: ServiceState, args: Args) -> Response:
        usable_type(service.domain(args["domain"]), kind, args[f"{kind}Type"]).deprecated_at = service.now
        return {}

    def undeprecate(service: ServiceState, args: Args) -> Response:
        registered = find_type(service.domain(args["domain"]), kind, args[f"{kind}Type"])
        if registered.deprecated_at is None:
            raise Fault("TypeAlreadyExistsFault", _format_type(kind, registered.key))
        registered.deprecated_at = None
        return {}

    def delete(service: ServiceState, args: Args) -> Response:
        domain = service.domain(args["domain"])
        registered = find_type(domain, kind, args[f"{kind}Type"])
        if registered.deprecated_at is None:
            raise Fault("TypeNotDeprecatedFault", _format_type(kind, registered.key))
        del domain.types[kind][registered.key]
        return {}

    def describe(service: ServiceState, args: Args) -> Response:
        registered = find_type(service.domain(args["domain"]), kind, args[f"{kind}Type"])
        return {"typeInfo": _type_info(kind, registered), "configuration": registered.defaults}

    def list_all(service: ServiceState, args: Args) -> Response:
        types = service.domain(args["domain"]).types[kind]
        deprecated = args["registrationStatus"] == "DEPRECATED"
        name = args.get("name")
        after = read_page_token(service, args, kind)
        found, last = take(
            sorted(types),
            types.__getitem__,
            lambda each: (each.deprecated_at is not None) == deprecated and name in (None, each.key[0]),
            after=after and tuple(after),
            ascending=not args.get("reverseOrder"),
            size=page_size(args),
        )
        return {"typeInfos": [_type_info(kind, each) for each in found], **page_token(service, args, kind, last)}

    title = kind.capitalize()
    return {
        f"Register{title}Type": register,
        f"Delete{title}Type": delete,
        f"Deprecate{title}Type": deprecate,
        f"Undeprecate{title}Type": undeprecate,
        f"Describe{title}Type": describe,
        f"List{title}Types": list_all,
    }


OPERATIONS: Final[Mapping[str, Operate]] = {
    "RegisterDomain": _register_domain,
    "DeprecateDomain": _deprecate_domain,
    "UndeprecateDomain": _undeprecate_domain,
    "DescribeDomain": _describe_domain,
    "ListDomains": _list_domains,
    **_type_operations("activity"),
    **_type_operations("workflow"),
}
"""Operations by name."""
