"""Names under which the API may be reached, so that a page of another site cannot reach it under a name of its own.

DNS rebinding: a page of evil.example lets its name point to 127.0.0.1 once the browser has loaded it. The browser then
takes the API for the page's own server; only `Host`, which names evil.example, tells the two apart.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from settings import ApiSettings, SettingsError

AUTHORITY = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9_-]+(?:\.[a-z0-9_-]+)*)\.?)(?::([0-9]{1,5}))?", re.IGNORECASE)
PORTS = {"http": 80, "https": 443}
SHOWN = 100
"""Characters of a refused name that the refusal repeats."""


@dataclass(frozen=True)
class Authority:
    """A host, in lower case and without the dot at its end, and a port; without one, any or the scheme's own."""

    host: str
    port: int | None = None

    @classmethod
    def of(cls, text: str) -> Authority | None:
        """Read `host`, `host:port`, `[address]` or `[address]:port`; None where it is none of them."""
        match = AUTHORITY.fullmatch(text)
        if match is None:
            return None
        address, name, port = match.groups()
        if address is not None:
            try:
                name = str(ipaddress.IPv6Address(address))
            except ValueError:
                return None
        return cls(name.lower(), int(port) if port else None)


class Hosts:
    """The allow-list: `api.hosts`, the address that the API listens on, and the one that a connection came in on.

    An address cannot be rebound, so the last needs no setting; it is how a probe reaches a container.

    Raises:
        SettingsError: if an entry of `api.hosts` is not a host.
    """

    def __init__(self, settings: ApiSettings) -> None:
        self._allowed = [_entry(entry) for entry in settings.hosts.split(",") if entry.strip()]
        self._allowed.append(_entry(settings.host))

    def refusal(self, environ: Mapping[str, Any]) -> str | None:
        """Explain why a request with this WSGI environment is refused; None where it is not."""
        host = environ.get("HTTP_HOST", "")
        found = Authority.of(host)
        if found is None or not self._allows(found, environ):
            return _words("the host", host)
        origin = environ.get("HTTP_ORIGIN")
        if origin is not None:
            source = origin_of(origin)
            if source is None or not self._allows(source, environ):
                return _words("the origin", origin)
        return None

    def _allows(self, wanted: Authority, environ: Mapping[str, Any]) -> bool:
        if any(entry.host == wanted.host and entry.port in (None, wanted.port) for entry in self._allowed):
            return True
        return _is_address(wanted.host) and wanted.host == str(environ.get("SERVER_NAME", ""))


def origin_of(origin: str) -> Authority | None:
    """The host and port in an `Origin` header, the port always given; None where it names no site (`null`)."""
    scheme, separator, rest = origin.partition("://")
    found = Authority.of(rest) if separator and scheme.lower() in PORTS else None
    return found and Authority(found.host, found.port or PORTS[scheme.lower()])


def same_site(origin: str, host: str, scheme: str) -> bool:
    """Return True if an `Origin` names the site that the request was sent to."""
    target = Authority.of(host)
    return target is not None and origin_of(origin) == Authority(target.host, target.port or PORTS.get(scheme))


def _entry(text: str) -> Authority:
    name = text.strip()
    # An IPv6 address may stand without brackets.
    found = Authority.of(f"[{name}]") or Authority.of(name)
    if found is None:
        raise SettingsError(f"setting api.hosts: {name} is not a host; give names or addresses, separated by commas")
    return found


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _words(what: str, name: str) -> str:
    shown = "".join(each if each.isprintable() else "?" for each in name[:SHOWN]) or "(none)"
    return f"{what} {shown} is not allowed; add it to the setting api.hosts"
