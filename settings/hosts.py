"""Host names under which an HTTP server may be asked.

A web page can have its own name resolve to this machine (DNS rebinding). The browser then takes the server for the
page's own, and only the header `Host`, which carries that name, tells them apart. So a server answers to the names that
it knows and to bare addresses, which no page can have as its name.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection


def names_of(setting: str) -> frozenset[str]:
    """The names in a setting that separates them by commas.

    >>> sorted(names_of("feast, Features.example"))
    ['feast', 'features.example']
    """
    return frozenset(name.strip().lower() for name in setting.split(",") if name.strip())


def is_known_host(header: str | None, names: Collection[str] = ()) -> bool:
    """Return whether `Host` is an address, localhost, or one of `names`, with or without a port.

    >>> [is_known_host(host) for host in ("127.0.0.1:6566", "[::1]", "localhost", "feast:6566", "127.0.0.1.example")]
    [True, True, True, False, False]
    >>> is_known_host("feast:6566", {"feast"}), is_known_host(None), is_known_host("")
    (True, False, False)
    """
    host = (header or "").lower()
    bare = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    if bare == "localhost" or bare in names:
        return True
    try:
        ipaddress.ip_address(bare)
    except ValueError:
        return False
    return True
