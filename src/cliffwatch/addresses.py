"""Addresses: how one is written, and which lie on the public internet. Pure; needs nothing but the standard library."""

from __future__ import annotations

import ipaddress

_NAT64 = ipaddress.ip_network("64:ff9b::/96")

Ip = ipaddress.IPv4Address | ipaddress.IPv6Address


def is_public(address: Ip) -> bool:
    """Whether the address is on the public internet, also where it wraps an IPv4 address."""
    inner: Ip | None = None
    if isinstance(address, ipaddress.IPv6Address):
        teredo = address.teredo
        inner = address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None)
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if inner is not None:
        return is_public(inner)
    return address.is_global and not address.is_multicast and not address.is_reserved


def plain(text: str) -> str:
    """An address as people know it: an IPv4 address that a socket for both kinds writes as `::ffff:203.0.113.9`
    without that, and any other in its shortest form; what is no address stays."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return text
    inner = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(inner or address)
