"""Addresses of this machine."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Return whether an IP address or host name is on loopback."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
