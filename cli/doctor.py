"""`reelstream doctor`: a check of every guarantee that can be tested on a running system."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Annotated, Any, cast

import psutil
import requests
import tritonclient.grpc as triton
import typer
from rich.table import Table
from tritonclient.utils import InferenceServerException

import servers
from cli.console import one_line, out, report
from cli.stream import call, schema_of
from features import IdKind
from settings import ReelstreamError, Settings, load
from stores import ENCODER, RANKER, Models, Profiles, Published, StateStores, connect, ensure_topics
from stores.elasticsearch import ItemIndex
from stores.item_documents import INDEX_VERSION

STRANGER = "doctor.example"
"""A host that no system allows."""

TIMEOUT_S = 5.0


class Broken(Exception):
    """A promise is not kept; the message says how and what to do."""


@dataclass(frozen=True)
class Finding:
    """Result of a check.

    Attributes:
        promise: what is checked.
        kept: True if it is kept.
        words: what was found.
    """

    promise: str
    kept: bool
    words: str


Check = Callable[[Settings], str]
"""Says what it found, or raises Broken or ReelstreamError."""


def _state(settings: Settings) -> tuple[Published, Profiles]:
    state = StateStores.live(settings)
    return state.published, state.profiles


def components(settings: Settings) -> str:
    """Every component answers a real request."""
    components = servers.status(settings)
    ill = [
        f"{component.name}: {component.detail or component.state}" for component in components if not component.healthy
    ]
    if ill:
        raise Broken("; ".join(ill))
    return f"{len(components)} components are healthy"


def own_log(settings: Settings) -> str:
    """The log is the one that the state was folded from, and all of it is there."""
    from offline.state.own_log import require_own_log

    published, profiles = _state(settings)
    snapshot = published.snapshot()
    if snapshot is None:
        raise Broken("nothing is published yet; run `reelstream publish`")
    require_own_log(settings, profiles, snapshot.base)
    return f"{profiles.partitions} partitions"


def this_release(settings: Settings) -> str:
    """The state and the live run are of the counts and features that this release declares."""
    published, _ = _state(settings)
    published.require_state_version()
    schema = published.schema()
    if (run := published.run()) is not None:
        run.require_columns(schema)
    return f"state of the version {schema.state_version}, {len(schema.dense_columns)} columns"


def lasting_topics(settings: Settings) -> str:
    """Kafka keeps every event that it acknowledged."""
    ensure_topics(settings.kafka)
    return f"no topic expires or compacts {settings.kafka.topic}"


def caught_up(settings: Settings) -> str:
    """The state follows the log."""
    from stores import Log

    _, profiles = _state(settings)
    with closing(Log(settings.kafka)) as log:
        ends = log.ends()
    behind = sum(
        max(0, ends.get(shard, 0) - 1 - (-1 if visible is None else visible))
        for shard, visible in enumerate(profiles.visible_offsets())
    )
    if behind > settings.stream.batch_events * settings.kafka.partitions:
        raise Broken(
            f"{behind:,} events wait; start more workers, or see in `reelstream status` what they are waiting for"
        )
    return f"{behind:,} events wait"


def redis_keeps(settings: Settings) -> str:
    """Redis writes its file, and never evicts a key."""
    client = connect(settings.redis)
    info = cast("dict[str, Any]", client.info("persistence"))
    policy = cast("dict[str, str]", client.config_get("maxmemory-policy"))["maxmemory-policy"]
    if not info.get("aof_enabled") or info.get("aof_last_write_status") != "ok":
        raise Broken("Redis does not write its append-only file; set `appendonly yes` and see the log of Redis")
    if policy != "noeviction":
        raise Broken(f"Redis evicts keys (maxmemory-policy {policy}); set it to noeviction")
    return "append-only file written, no eviction"


def disk(settings: Settings) -> str:
    """There is room for the log."""
    free_mb = shutil.disk_usage(settings.state).free >> 20
    if free_mb < settings.servers.min_free_disk_mb:
        raise Broken(f"{free_mb:,} MiB are free on the disk of {settings.state}; free some space")
    return f"{free_mb:,} MiB free"


def live_run(settings: Settings) -> str:
    """Triton and Elasticsearch hold what the live run needs."""
    published, _ = _state(settings)
    run = published.run()
    if run is None:
        raise Broken("no run is live; run `reelstream publish`")
    models, index = Models(settings.triton), ItemIndex(settings.elasticsearch)
    try:
        missing = [model for model in (ENCODER, RANKER) if not models.ready(model, run.version)]
        count = index.count(run.index) if run.index in index.indices() else 0
        version = index.version(run.index) if count else INDEX_VERSION
    finally:
        models.close()
        index.close()
    items = len(published.catalogue())
    if missing or count != items:
        raise Broken(
            f"run {run.run}: Triton lacks {', '.join(missing) or 'nothing'}, Elasticsearch holds {count} of {items} "
            "items; run `reelstream publish`"
        )
    if version != INDEX_VERSION:
        raise Broken(
            f"the index of run {run.run} has the version {version} of its layout, this release reads {INDEX_VERSION}; "
            "run `reelstream publish`"
        )
    return f"run {run.run}, {items:,} items"


def loopback_only(settings: Settings) -> str:
    """Nothing but what the settings say listens beyond this machine."""
    allowed = {settings.api.port} if settings.api.host not in ("127.0.0.1", "localhost", "::1") else set()
    open_ = set()
    for component in servers.status(settings):
        if component.pid is None:
            continue
        process = psutil.Process(component.pid)
        for each in (process, *process.children(recursive=True)):
            for connection in each.net_connections("inet"):
                address = connection.laddr.ip.removeprefix("::ffff:") if connection.laddr else ""
                if connection.status == psutil.CONN_LISTEN and address not in ("127.0.0.1", "::1"):
                    open_.add(connection.laddr.port)
    if beyond := sorted(open_ - allowed):
        raise Broken(f"ports {', '.join(map(str, beyond))} accept connections from beyond the loopback address")
    return "every listener is on the loopback address"


def models_closed(settings: Settings) -> str:
    """Nobody but publish can load a model."""
    client = triton.InferenceServerClient(
        settings.triton.address, ssl=settings.triton.tls, root_certificates=settings.triton.ca_file or None
    )
    try:
        client.load_model(ENCODER, client_timeout=TIMEOUT_S)
    except InferenceServerException as error:
        if not client.is_server_live(client_timeout=TIMEOUT_S):
            raise Broken("Triton does not answer; see `reelstream status`") from error
        return "Triton refuses to load a model"
    finally:
        client.close()
    raise Broken("anyone who can reach Triton can load a model; see SECURITY.md")


def features_read_only(settings: Settings) -> str:
    """Nobody can write features through the Feast server."""
    address = f"http://{settings.feast.host}:{settings.feast.port}/push"
    try:
        answer = requests.post(address, json={}, timeout=TIMEOUT_S)
    except requests.RequestException as error:
        raise Broken("the Feast server does not answer; see `reelstream status`") from error
    if answer.status_code not in (401, 403, 404, 405):
        raise Broken(f"the Feast server accepts a push ({answer.status_code}); see SECURITY.md")
    return f"the Feast server refuses a push ({answer.status_code})"


def hosts(settings: Settings) -> str:
    """The API answers under allowed names only."""
    address = f"http://{settings.api.host}:{settings.api.port}/health/live"
    try:
        answer = requests.get(address, headers={"Host": STRANGER}, timeout=TIMEOUT_S)
    except requests.RequestException as error:
        raise Broken("the API does not answer; see `reelstream status`") from error
    if answer.ok:
        raise Broken(f"the API answers for the host {STRANGER}; see the setting api.hosts")
    return f"the API refuses the host {STRANGER} ({answer.status_code})"


def lists(settings: Settings) -> str:
    """A list is made with every store."""
    kind = schema_of(settings).user_ids
    userid = 1 if kind is IdKind.INTEGER else "doctor"
    answer = call(settings, "POST", "/ml/rec", {"userid": userid, "size": 10})
    if answer["degraded"]:
        raise Broken(
            f"lists are degraded ({', '.join(cast('list[str]', answer['degraded']))}); see `reelstream status`"
        )
    return f"{len(cast('list[object]', answer['item_list']))} items"


CHECKS: dict[str, Check] = {
    "components answer": components,
    "the log is the state's own": own_log,
    "state and run are of this release": this_release,
    "Kafka keeps every event": lasting_topics,
    "the state follows the log": caught_up,
    "Redis keeps the state": redis_keeps,
    "the disk has free space": disk,
    "the live run is complete": live_run,
    "lists are made with every store": lists,
    "nothing listens beyond this machine": loopback_only,
    "nobody else can load a model": models_closed,
    "nobody can write features over HTTP": features_read_only,
    "the API refuses unknown hosts": hosts,
}


def examine(settings: Settings) -> Iterator[Finding]:
    """Check one promise after the other; a check that fails does not keep the others from being made."""
    for promise, check in CHECKS.items():
        try:
            yield Finding(promise, True, check(settings))
        except (Broken, ReelstreamError) as error:
            yield Finding(promise, False, str(error))
        except Exception as error:
            yield Finding(promise, False, f"check failed ({type(error).__name__}: {error})")


def doctor(json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False) -> None:
    """Check every guarantee that can be tested on a running system; exit with 1 if one does not hold.

    `reelstream verify` checks the state against the log.
    """
    with one_line():
        findings = list(examine(load()))
    if json:
        report(True, [asdict(finding) for finding in findings], "")
    else:
        table = Table("", "guarantee", "result", box=None)
        for finding in findings:
            table.add_row("[green]✓[/]" if finding.kept else "[red]✗[/]", finding.promise, finding.words)
        out.print(table)
    if not all(finding.kept for finding in findings):
        raise typer.Exit(1)
