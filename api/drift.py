"""Alarms of drift: what is open, and what an operator says of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from flask import Flask, Response, jsonify

from api.messages import AcknowledgeRequest, RequestError, parse
from drift.acknowledged import acknowledge
from drift.records import Acknowledgement
from stores.redis.drift import DriftStore


def add_drift(app: Flask, store: DriftStore, body: Callable[[], object]) -> None:
    """Add the routes to the application; `body` gives a request's body as JSON."""

    @app.get("/drift/alarms")
    def drift_alarms() -> Response:
        return jsonify({"causes": open_causes(store)})

    @app.post("/drift/acknowledge")
    def acknowledge_drift() -> Response:
        said = acknowledge_alarm(store, parse(AcknowledgeRequest, body()))
        return jsonify({"cause": said.cause, "alarms": said.alarms})


def open_causes(store: DriftStore) -> list[dict[str, Any]]:
    """The open alarms by cause, the newest cause first, each with what was said of it."""
    known = store.acknowledged()
    causes: dict[str, list[dict[str, Any]]] = {}
    for alarm in store.alarms(0):
        causes.setdefault(alarm.cause, []).append(alarm.model_dump(exclude={"group"}))
    return [
        {
            "cause": cause,
            "note": known[cause].note if cause in known else None,
            "acknowledged_wall_ts": known[cause].wall_ts if cause in known else None,
            "alarms": sorted(alarms, key=lambda alarm: int(alarm["opened"])),
        }
        for cause, alarms in causes.items()
    ]


def acknowledge_alarm(store: DriftStore, wanted: AcknowledgeRequest) -> Acknowledgement:
    """Keep a note on the open alarms of one cause.

    Raises:
        RequestError: no alarm is open by that name.
        Unreachable: if Redis does not answer.
    """
    opened = store.alarms(0)
    causes = [alarm.cause for alarm in opened if wanted.alarm in (alarm.cause, alarm.key, alarm.series)]
    if not causes:
        raise RequestError(f"alarm: no alarm of {wanted.alarm!r} is open", 404)
    said = acknowledge(causes[0], wanted.note, time.time(), opened, store.now())
    store.acknowledge(said)
    return said
