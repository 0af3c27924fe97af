"""Alarms of drift: what is open, and what an operator says of it."""

from __future__ import annotations

import time

from flask import Flask, Response

from api.answers import Acknowledged, OpenAlarm, OpenCause, OpenCauses
from api.http import request_body, respond
from api.messages import AcknowledgeRequest, RequestError, parse
from drift.acknowledged import acknowledge
from drift.records import Acknowledgement, Alarm
from stores.redis.drift import DriftStore


def add_drift(app: Flask, store: DriftStore) -> None:
    """Add the routes to an application."""

    @app.get("/drift/alarms")
    def drift_alarms() -> Response:
        return respond(OpenCauses(causes=open_causes(store)))

    @app.post("/drift/acknowledge")
    def acknowledge_drift() -> Response:
        acknowledgement = acknowledge_alarm(store, parse(AcknowledgeRequest, request_body()))
        return respond(Acknowledged(cause=acknowledgement.cause, alarms=acknowledgement.alarms))


def open_causes(store: DriftStore) -> list[OpenCause]:
    """The open alarms by cause, the newest cause first, each with its acknowledgement."""
    known = store.acknowledged()
    causes: dict[str, list[Alarm]] = {}
    for alarm in store.alarms(0):
        causes.setdefault(alarm.cause, []).append(alarm)
    return [
        OpenCause(
            cause=cause,
            note=known[cause].note if cause in known else None,
            acknowledged_wall_ts=known[cause].wall_ts if cause in known else None,
            alarms=[
                OpenAlarm(**alarm.model_dump(exclude={"group", "schema_version"}))
                for alarm in sorted(alarms, key=lambda alarm: alarm.opened)
            ],
        )
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
