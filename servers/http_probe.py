"""HTTP requests that prove a component ready."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import requests

from servers.component import LOOPBACK, PROBE_TIMEOUT_S, NotYet


def expect_ok(port: int, path: str, *, method: str = "GET", json: Any = None) -> requests.Response:
    """The answer of a component on this machine.

    Raises:
        NotYet: no answer, or a status other than 2xx.
    """
    with requests.Session() as session:
        session.trust_env = False
        try:
            answer = session.request(method, f"http://{LOOPBACK}:{port}{path}", json=json, timeout=PROBE_TIMEOUT_S)
        except requests.RequestException as error:
            raise NotYet(f"no answer to {method} {path} on port {port}") from error
    if not answer.ok:
        raise NotYet(f"{method} {path} on port {port} answers {answer.status_code}")
    return answer


def told_by(port: int, path: str, token: str = "") -> Mapping[str, Any]:
    """The JSON object that a component on this machine answers with, whatever the status; empty where it gives none."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with requests.Session() as session:
        session.trust_env = False
        try:
            answer = session.get(f"http://{LOOPBACK}:{port}{path}", headers=headers, timeout=PROBE_TIMEOUT_S).json()
        except (requests.RequestException, ValueError):
            return {}
    return answer if isinstance(answer, Mapping) else {}
