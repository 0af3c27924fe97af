"""The Faust application of a stream worker."""

from __future__ import annotations

import asyncio
import gc
import logging
import ssl
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import faust
from faust.web import Request, Response, View
from prometheus_client import generate_latest

from compat.faust import BUNDLE, App, NoTables
from settings import DriftSettings, KafkaSettings, Settings
from stores import StoreError, Unreachable
from stores.kafka.topics import GROUP
from stream import web
from stream.consume.assignment import Assignment, Backlog
from stream.consume.log_guard import CHECK_EVERY_S, LogGuard
from stream.consume.membership import client_id
from stream.consume.progress import Progress, StartPositions
from stream.drift.agent import leave_drift_out, watch_drift
from stream.exit import end
from stream.fold.event_path import EventPath
from stream.fold.evictor import EVERY_S, Evictor
from stream.fold.items import LOOK_S, ItemPublisher
from stream.health import Health
from stream.redis_stores import RedisStores

log = logging.getLogger("reelstream.stream")


def make_app(settings: Settings, index: int) -> App:
    """The application of worker number `index`."""
    stores, health = RedisStores(settings), Health.of(settings.stream)
    guard, progress = LogGuard(settings, stores, health.metrics), Progress(stores)
    app = new_app(settings, index)
    app.positions = StartPositions(settings, progress, stores, guard, health)
    assignment = Assignment(app, settings.kafka.topic)
    path = EventPath(settings, stores, guard, progress, assignment, health)
    with suppress(StoreError):
        stores.follow()
        path.prepare()
    topic = app.topic(settings.kafka.topic, key_type=bytes, value_type=bytes, internal=False)

    @app.agent(topic, name="fold")
    async def fold(stream: faust.StreamT[bytes]) -> None:
        await path.follow(stream)

    report_state_version(app, stores, health)
    publish_items(app, settings, path, ItemPublisher(settings, stores, health), assignment)
    check_log(app, stores, guard, progress, assignment)
    if settings.stream.inactive_days:
        evict_users(app, Evictor(settings, stores, health), assignment)
    backlog = Backlog(assignment, progress)
    show_health(app, settings.drift, health, guard, assignment, backlog)
    if settings.drift.enabled:
        watch_drift(app, settings, stores, health, backlog)
    else:
        leave_drift_out(app, settings, stores, health)
    # What stands here now stays; a full collection, which stops all threads, need not look at it.
    gc.collect()
    gc.freeze()
    return app


def worker_folder(settings: Settings, index: int) -> Path:
    """The folder of worker number `index`."""
    return settings.state / "faust" / str(index)


def new_app(settings: Settings, index: int) -> App:
    """An application without agents: its connections, and how much it reads."""
    folder = worker_folder(settings, index)
    app = App(
        GROUP,
        broker=[f"kafka://{address}" for address in settings.kafka.bootstrap.split(",")],
        broker_client_id=client_id(folder),
        broker_credentials=credentials(settings.kafka),
        broker_session_timeout=settings.stream.session_timeout_s,
        broker_heartbeat_interval=settings.stream.session_timeout_s / 5,
        broker_commit_interval=1.0,
        # Several batches at once, as each request goes to the thread that reads Kafka and back.
        broker_max_poll_records=4 * settings.stream.batch_events,
        consumer_auto_offset_reset="earliest",
        stream_wait_empty=False,
        stream_ack_cancelled_tasks=False,
        stream_ack_exceptions=False,
        stream_buffer_maxsize=8 * settings.stream.batch_events,
        TableManager=NoTables,
        topic_disable_leader=True,
        topic_allow_declare=False,
        web_host=settings.stream.host,
        web_bind=settings.stream.host,
        web_port=settings.stream.metrics_port + index,
        **web.OPTIONS,
        datadir=folder,
        value_serializer="raw",
        key_serializer="raw",
    )
    app.bundle = min(BUNDLE, settings.stream.batch_events)
    return app


def report_state_version(app: App, stores: RedisStores, health: Health) -> None:
    """Have a worker report a state of another version as soon as it starts, and not only when an event arrives.

    It waits in a daemon thread, which does not keep the worker from being stopped.
    """

    def require_version() -> None:
        # Of the generation that the worker follows by then.
        stores.state.published.require_state_version()

    def wait() -> None:
        health.retrier("reading the state", require_version)

    @app.task
    async def report() -> None:
        threading.Thread(target=wait, name="state version", daemon=True).start()


def publish_items(
    app: App, settings: Settings, path: EventPath, publisher: ItemPublisher, assignment: Assignment
) -> None:
    """Have the worker that holds partition 0 publish the items that changed, again and again."""

    @app.task
    async def items() -> None:
        # Not a timer, which would warn of each publication that takes longer than the pause.
        while not app.should_stop:
            await app.sleep(min(LOOK_S, settings.stream.items_every_s))
            if 0 in assignment and (folding := path.folding) is not None:
                await asyncio.to_thread(publisher.publish, folding.schema, folding.items, path.is_busy)


def evict_users(app: App, evictor: Evictor, assignment: Assignment) -> None:
    """Have the worker evict inactive users of its partitions, one partition at a time."""

    @app.timer(EVERY_S)
    async def evict() -> None:
        await asyncio.to_thread(evictor.look, assignment.partitions)


def check_log(app: App, stores: RedisStores, guard: LogGuard, progress: Progress, assignment: Assignment) -> None:
    """Have an application follow the live generation, and compare the log with its state, while it folds."""

    def check(assigned: set[int]) -> None:
        try:
            stores.follow()
            if guard.watch(assigned):
                end("a stopped partition can continue, or the state is older than it was; starting over")
            read_from = {each.partition: offset or 0 for each, offset in app.read_from.items()}
            if read_from and progress.is_behind(read_from):
                end("a snapshot was written after the log was read; starting over")
        except Unreachable:
            pass  # the fold waits for the same store, and says so
        except Exception:
            log.exception("the log could not be compared with the state; trying again")

    @app.timer(CHECK_EVERY_S)
    async def check_now() -> None:
        if assigned := assignment.partitions:
            await asyncio.to_thread(check, assigned)


def show_health(
    app: App, drift: DriftSettings, health: Health, guard: LogGuard, assignment: Assignment, backlog: Backlog
) -> None:
    """Add the pages that show a worker's health and metrics."""

    @app.timer(1.0)
    async def lag() -> None:
        for partition, waiting in backlog.by_partition().items():
            health.metrics.lag.labels(str(partition)).set(waiting)

    @app.page("/health")
    async def health_page(view: View, request: Request) -> Response:
        state = {
            "status": "ok",
            "partitions": sorted(assignment.partitions),
            "waits_for": health.retrier.waits_for(),
            "stopped": {str(partition): why for partition, why in sorted(guard.stopped.items())},
            "troubles": health.troubles.recent(),
            "spoils_features": drift.enabled and drift.spoil_features,
        }
        return view.json(state)

    @app.page("/metrics")
    async def metrics_page(view: View, request: Request) -> Response:
        return view.text(generate_latest(health.metrics.registry).decode(), content_type="text/plain")


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
