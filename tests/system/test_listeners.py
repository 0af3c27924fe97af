"""SECURITY.md names every listener of a running system, and what pages may not send to them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import psutil
import requests

import servers
from servers.components import named
from settings import Settings
from tests.compose.declared import published, services
from tests.system.conftest import System

REPOSITORY = Path(__file__).resolve().parents[2]
LISTENING = 0x10000
"""The flag of a socket that takes connections, in /proc/net/unix."""


def table(heading: str) -> list[list[str]]:
    """The rows of the table under a heading of SECURITY.md, without its head."""
    text = (REPOSITORY / "SECURITY.md").read_text().partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    return rows[2:]


def processes(settings: Settings) -> Iterator[tuple[str, psutil.Process]]:
    """Every process of a system with the name of its component; those of all workers are `worker`."""
    supervisor = psutil.Process(servers.pid(settings, "redis")).parent()
    assert supervisor is not None
    yield "supervisor", supervisor
    for part in servers.status(settings):
        assert part.pid is not None, part
        process = psutil.Process(part.pid)
        for each in (process, *process.children(recursive=True)):
            yield part.name.partition("-")[0], each


def sockets_of(process: psutil.Process) -> set[str]:
    """Names of the sockets on which a process takes connections from this machine."""
    inodes = set()
    for descriptor in Path(f"/proc/{process.pid}/fd").iterdir():
        match = re.fullmatch(r"socket:\[(\d+)\]", str(descriptor.readlink())) if descriptor.is_symlink() else None
        inodes.add(match[1] if match else "")
    found = set()
    for line in Path("/proc/net/unix").read_text().splitlines()[1:]:
        words = line.split()
        if int(words[3], 16) & LISTENING and words[6] in inodes:
            found.add(words[7] if len(words) > 7 else "unnamed")
    return found


def test_every_listener_of_the_running_system_is_in_the_table_and_no_other(system: System) -> None:
    settings = system.settings
    setting_of = {
        port.number: port.setting for part in servers.status(settings) for port in named(settings, part.name).ports
    }
    found = set()
    for component, process in processes(settings):
        for each in process.net_connections("inet"):
            if each.status == psutil.CONN_LISTEN or (not each.raddr and each.status == psutil.CONN_NONE):
                assert each.laddr.ip.removeprefix("::ffff:") == "127.0.0.1", (component, each)
                found.add((component, setting_of.get(each.laddr.port, str(each.laddr.port))))
        for path in sockets_of(process):
            # The supervisor binds its socket under another name, to which it adds its process id.
            found.add((component, re.sub(r"\.\d+$", "", path).removeprefix(f"{settings.state}/")))
    rows = table("Every listener on this machine")
    assert found == {(component, listener.strip("`")) for component, listener, _, _ in rows}
    assert all(asks for *_, asks in rows)


def test_every_port_of_compose_is_in_the_table_and_no_other() -> None:
    rows = {service: port for service, port, _ in table("Every listener on Docker")}
    ports = {
        name: [host for _, host, _ in published(name)]
        for name, service in services().items()
        if "profiles" not in service
    }
    assert rows == {name: ", ".join(hosts) for name, hosts in ports.items()}


def test_a_stream_worker_is_not_read_by_a_page_under_a_name_of_its_own(system: System) -> None:
    address = f"http://127.0.0.1:{system.settings.stream.metrics_port}"
    for path in ("/health", "/metrics"):
        assert requests.get(address + path, headers={"Host": "evil.example"}, timeout=10).status_code == 421
        assert requests.get(address + path, timeout=10).status_code == 200


def test_a_stream_worker_has_none_of_the_pages_of_faust(system: System) -> None:
    address = f"http://127.0.0.1:{system.settings.stream.metrics_port}"
    for path in ("/router/", "/router/x/1/", "/table/", "/graph/", "/stats/", "/assignment/", "/performance/"):
        assert requests.get(address + path, timeout=10).status_code == 404, path


def test_a_web_page_cannot_change_the_catalogue(system: System) -> None:
    """A POST without a body needs no leave of the server, and may close the index that answers."""
    url = system.settings.elasticsearch.url
    (index,) = requests.get(f"{url}/_alias/{system.settings.elasticsearch.alias}", timeout=10).json()
    page = {"Origin": "http://evil.example"}
    assert requests.post(f"{url}/{index}/_close", headers=page, timeout=10).status_code == 403
    assert requests.get(f"{url}/{index}/_search", headers=page, timeout=10).status_code == 403
    assert requests.get(f"{url}/{index}/_search", timeout=10).status_code == 200
    answer = requests.post(f"{url}/_bulk", data="{}\n", headers=page | {"Content-Type": "text/plain"}, timeout=10)
    assert answer.status_code == 403


def test_no_request_deletes_every_index_or_runs_a_script(system: System) -> None:
    url = system.settings.elasticsearch.url
    for pattern in ("*", "_all", "items-*"):
        assert requests.delete(f"{url}/{pattern}", timeout=10).status_code == 400
    query = {"query": {"script": {"script": {"lang": "expression", "source": "1"}}}}
    assert requests.post(f"{url}/_search", json=query, timeout=10).status_code == 400
