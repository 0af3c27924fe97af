"""The Faust application of a stream worker."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import ssl
import time
from collections.abc import Callable, Sequence
from typing import Any

import faust
from faust.types import TP
from faust.web import Request, Response, View
from prometheus_client import generate_latest

from compat.faust import App, NoTables
from settings import KafkaSettings, Settings
from stores import DriftStore, Logged, Profiles, Published, Skipped, Unreachable, connect
from stores.kafka.topics import GROUP
from stream import web
from stream.consume.batches import batches
from stream.consume.log_guard import CHECK_EVERY_S
from stream.drift.agent import position, watch_drift
from stream.metrics import Metrics
from stream.retry import Retrier
from stream.run_blocking import run_blocking
from stream.worker import Worker

log = logging.getLogger("reelstream.stream")


def make_app(settings: Settings, index: int) -> App:
    """The application of worker number `index`."""
    profiles = Profiles(connect(settings.redis), settings.kafka.topic, settings.kafka.partitions)
    metrics = Metrics()
    retrier = Retrier(settings.stream.retry_max_s, lambda what: metrics.retries.labels(what).inc())
    published = Published(profiles.client)
    worker = Worker(settings, profiles, published, metrics, retrier)
    worker.prepare()
    app = new_app(settings, index)
    drift_store = DriftStore(profiles.client)

    def positions() -> dict[TP, int | None]:
        worker.guard.start()
        applied = {TP(settings.kafka.topic, shard): offset for shard, offset in enumerate(worker.positions())}
        return applied | position(drift_store, settings, worker.troubles)

    app.positions = lambda: retrier("comparing the log with the state", positions)
    topic = app.topic(settings.kafka.topic, key_type=bytes, value_type=bytes, internal=False)

    @app.agent(topic, name="fold")
    async def fold(stream: faust.StreamT[bytes]) -> None:
        async for events in batches(stream, settings.stream.batch_events, settings.stream.batch_within_s):
            await run_blocking(fold_batch, events)

    def fold_batch(events: Sequence[Any]) -> None:
        batches: dict[int, list[Logged]] = {}
        for event in events:
            each = event.message
            if each.partition in worker.guard.stopped:
                continue
            record = Logged(
                each.partition, each.offset, each.key, each.value, tuple(each.headers or ()), each.timestamp or 0.0
            )
            batches.setdefault(each.partition, []).append(record)
        if not batches:
            return
        try:
            folded = worker.fold(batches, holds)
            now = time.time()
            for partition in folded:
                for record in batches[partition]:
                    metrics.freshness_seconds.observe(max(0.0, now - record.created))
        except Skipped as error:
            end(str(error))
        except Exception as error:
            unexpected(error)

    def holds(partition: int) -> bool:
        return TP(settings.kafka.topic, partition) in app.consumer.assignment()

    @app.timer(settings.stream.items_every_s)
    async def items() -> None:
        if holds(0):
            try:
                await asyncio.to_thread(worker.publish_items)
            except Exception as error:
                # Items are marked until they are published; the fold need not end for that.
                worker.troubles.report("stored values", f"items are not published: {error!r}", error=error)

    def ours() -> set[int]:
        return {each.partition for each in app.consumer.assignment() if each.topic == settings.kafka.topic}

    def waiting(partition: int) -> int:
        return worker.waiting(partition, app.consumer.highwater(TP(settings.kafka.topic, partition)))

    def behind() -> int:
        return sum(map(waiting, ours()))

    if settings.drift.enabled:
        watch_drift(app, settings, profiles, published, metrics, retrier, behind, worker.troubles)

    check_log(app, worker, ours)
    report(app, worker, metrics, ours, waiting)

    # What stands here now stays; a full collection, which stops all threads, need not look at it.
    gc.collect()
    gc.freeze()
    return app


def new_app(settings: Settings, index: int) -> App:
    """An application without agents: its connections, and how much it reads."""
    return App(
        GROUP,
        broker=[f"kafka://{address}" for address in settings.kafka.bootstrap.split(",")],
        broker_credentials=credentials(settings.kafka),
        broker_session_timeout=settings.stream.session_timeout_s,
        broker_heartbeat_interval=settings.stream.session_timeout_s / 5,
        broker_commit_interval=1.0,
        broker_max_poll_records=settings.stream.batch_events,
        consumer_auto_offset_reset="earliest",
        stream_wait_empty=False,
        stream_ack_cancelled_tasks=False,
        stream_ack_exceptions=False,
        stream_buffer_maxsize=4 * settings.stream.batch_events,
        TableManager=NoTables,
        topic_disable_leader=True,
        topic_allow_declare=False,
        web_host=settings.stream.host,
        web_bind=settings.stream.host,
        web_port=settings.stream.metrics_port + index,
        **web.OPTIONS,
        datadir=settings.state / "faust" / str(index),
        value_serializer="raw",
        key_serializer="raw",
    )


def check_log(app: App, worker: Worker, ours: Callable[[], set[int]]) -> None:
    """Have an application compare the log with the state while it folds."""

    def check(assigned: set[int]) -> None:
        try:
            if worker.guard.watch(assigned):
                end("a stopped partition can go on, or the state went back to an older one; starting over")
            read_from = {each.partition: offset or 0 for each, offset in app.read_from.items()}
            if read_from and worker.has_passed(read_from):
                end("a snapshot was written after the log was read; starting over")
        except Unreachable:
            pass  # the fold waits for the same store, and says so
        except Exception:
            log.exception("the log could not be compared with the state; trying again")

    @app.timer(CHECK_EVERY_S)
    async def check_now() -> None:
        if assigned := ours():
            await asyncio.to_thread(check, assigned)


def report(
    app: App, worker: Worker, metrics: Metrics, ours: Callable[[], set[int]], waiting: Callable[[int], int]
) -> None:
    """Add what tells of a worker's health and metrics."""

    @app.timer(1.0)
    async def lag() -> None:
        assigned = ours()
        for partition in range(worker.partitions):
            metrics.lag.labels(str(partition)).set(waiting(partition) if partition in assigned else 0)

    @app.page("/health")
    async def health(view: View, request: Request) -> Response:
        stopped = {str(partition): why for partition, why in sorted(worker.guard.stopped.items())}
        told = {
            "status": "ok",
            "partitions": sorted(ours()),
            "waits_for": worker.waits_for,
            "stopped": stopped,
            "troubles": worker.troubles.recent(),
        }
        return view.json(told)

    @app.page("/metrics")
    async def show_metrics(view: View, request: Request) -> Response:
        return view.text(generate_latest(metrics.registry).decode(), content_type="text/plain")


def unexpected(error: BaseException) -> None:
    """End the process after an error that nothing else takes."""
    log.error("unexpected error", exc_info=error)
    end(f"{type(error).__name__}: {error}")


def end(why: str) -> None:
    """End the process at once, before Faust can acknowledge what was not done; the supervisor starts a new one."""
    log.critical("worker ends: %s", why)
    logging.shutdown()
    os._exit(1)


def credentials(kafka: KafkaSettings) -> Any:
    """Kafka's credentials as Faust wants them; None for plaintext."""
    context = None
    if kafka.security_protocol.endswith("SSL"):
        context = ssl.create_default_context(cafile=kafka.ca_file or None)
    if kafka.security_protocol.startswith("SASL"):
        username, password = kafka.login
        return faust.SASLCredentials(
            mechanism=kafka.sasl_mechanism,
            username=username,
            password=password,
            ssl_context=context,
        )
    return faust.SSLCredentials(context=context) if context else None
