"""Conditions for a start: disk space, memory and free ports."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterable
from pathlib import Path

import psutil

from servers.component import LOOPBACK, Component
from servers.errors import LowResources, PortTaken
from settings import Settings

MIB = 2**20


def require_resources(settings: Settings) -> None:
    """Raises `LowResources` where less disk or memory is free than the settings ask for."""
    disk = shutil.disk_usage(_existing(settings.state)).free // MIB
    if disk < settings.servers.min_free_disk_mb:
        raise LowResources(
            f"the disk of {settings.state} has {disk} MiB free, but the servers need "
            f"{settings.servers.min_free_disk_mb}; "
            "free some space, set REELSTREAM_STATE_DIR to another disk, or lower servers.min_free_disk_mb"
        )
    memory = psutil.virtual_memory().available // MIB
    if memory < settings.servers.min_free_memory_mb:
        raise LowResources(
            f"{memory} MiB of memory are free, but the servers need {settings.servers.min_free_memory_mb}; "
            "close some programs or lower servers.min_free_memory_mb"
        )


def require_ports(components: Iterable[Component], others: Iterable[Component]) -> None:
    """Raises `PortTaken` where another program, or another component, has a port of one of `components`."""
    owners = {port.number: (component, port) for component in others for port in component.ports}
    for component in components:
        for port in component.ports:
            if port.number in owners:
                other, also = owners[port.number]
                raise PortTaken(
                    f"port {port.number} is assigned to both {component.name} ({port.setting}) and "
                    f"{other.name} ({also.setting}); set {port.variable} to another"
                )
            owners[port.number] = component, port
            if not _free(port.number):
                raise PortTaken(
                    f"port {port.number} of {component.name} ({port.setting}) is in use by {_holder(port.number)}; "
                    f"stop it, or set {port.variable} to another"
                )


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def _holder(port: int) -> str:
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.laddr and connection.laddr.port == port and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
    except psutil.Error:
        pass
    return "another program"


def _existing(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder
