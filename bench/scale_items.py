"""A system of its own for a catalogue of some size: trained, published and measured, on generated ratings."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, quantiles
from typing import Any

import numpy as np

import servers
from bench.beside import used_bytes
from bench.components import Components
from bench.latency import closed
from bench.throughput import catch_up
from features import Event, Id
from offline import runs
from offline.data import generate, readers
from offline.train.pipeline import train
from producers import Recording
from scoring import Users, UserState
from settings import Settings, bearer, load
from stores import Models, StateStores
from stores.elasticsearch import ItemIndex

SHORT = {"encoder_epochs": 1, "refit_epochs": 1, "ranker_epochs": 1, "ranker_models": 1}
"""A training that passes over the events once, as its time is measured and not its quality."""

REDIS_MB, HEAP_MB = 8192, 2048
"""Memory that Redis and Elasticsearch may take."""

NEAREST = 100
"""Users whose nearest items by the index are compared with the exact ones."""


@dataclass(frozen=True)
class Size:
    """The size of a generated data set."""

    items: int
    users: int
    events: int


@dataclass(frozen=True)
class Commands:
    """The commands that a benchmark calls, which stand above it.

    Attributes:
        publish: publishes the newest run; True to begin with an empty log and state.
        held_out: the events that follow those of the training.
    """

    publish: Callable[[Settings, bool], None]
    held_out: Callable[[Settings], Sequence[Event]]


def of_size(settings: Settings, folder: Path, size: Size) -> Settings:
    """The settings of a system of its own in a folder, on data of that size, which is generated unless it is there."""
    data = folder / "data"
    if not data.is_dir():
        making = folder / "making"
        shutil.rmtree(making, ignore_errors=True)
        generate.make(making, size.users, size.items, size.events, settings.train.seed)
        making.rename(data)
    # Loaded anew, as some follow from the state folder.
    return load(
        state_dir=folder / "state",
        data={"folder": str(data), "dataset": "movielens-1m"},
        train=SHORT,
        redis={"max_memory_mb": REDIS_MB},
        elasticsearch={"heap_mb": HEAP_MB},
    )


def measured(
    settings: Settings, commands: Commands, seconds: float, progress: Callable[[str, float], None]
) -> dict[str, Any]:
    """Train where that is not done, publish, and measure lists, catch-up and memory; the system runs.

    Args:
        settings: of a system of its own, which is running.
        commands: to call.
        seconds: of a closed loop of lists.
        progress: told of each step.

    Returns:
        Seconds of training by stage and their sum, its peak memory; seconds of publishing; `p50_ms` and `p99_ms` of
        lists one after the other; `index_recall` of the nearest items; events a second in catch-up; MiB of each
        component; bytes in Redis and in Elasticsearch for an item.
    """
    progress("training", 0.0)
    folder = max(settings.runs.glob("*/" + runs.MANIFEST), default=None)
    manifest = runs.manifest(folder.parent if folder else train(settings))
    progress("publishing", 0.5)
    began = time.monotonic()
    commands.publish(settings, True)
    figures: dict[str, Any] = {
        "train_s": round(sum(manifest.seconds.values()), 1),
        "train_s_of": manifest.seconds,
        "train_memory_mb": manifest.peak_memory_mb,
        "publish_s": round(time.monotonic() - began, 1),
    }
    events = commands.held_out(settings)
    recording = Recording("bench scale", readers.load(settings).schema, list(events))
    progress("catching up", 0.6)
    caught = catch_up(settings, recording, False, lambda: commands.publish(settings, True))
    figures |= {"events_per_s": round(caught.events_per_s), "event_cpu_us": round(caught.of_workers)}
    servers.restart(settings, ["workers"])
    progress("requesting lists", 0.8)
    userids = sorted({event.userid for event in events}, key=str)
    api = f"http://{settings.api.host}:{settings.api.port}"
    answered = closed(api, bearer(settings.api), userids, 1, seconds)
    lists = [request.ms for request in answered if request.status == 200 and not request.degraded]
    cuts = quantiles(lists, n=100)
    figures |= {
        "p50_ms": round(cuts[49], 1),
        "p99_ms": round(cuts[98], 1),
        "lists": len(lists),
        "failed": len(answered) - len(lists),
        "index_recall": index_recall(settings, userids),
        "memory_mb": {name: round(mb) for name, mb in Components(settings).memory_mb().items()},
    }
    return figures | _bytes_per_item(settings)


def _bytes_per_item(settings: Settings) -> dict[str, int]:
    """Bytes in Redis and in Elasticsearch, divided by the number of items; Redis holds the users too."""
    state = StateStores.live(settings)
    run, items = state.published.run(), len(state.published.catalogue())
    assert run is not None
    index = ItemIndex(settings.elasticsearch)
    return {
        "redis_bytes_per_item": round(used_bytes(state.profiles.client) / items),
        "index_bytes_per_item": round(index.size_bytes(run.index) / items),
    }


def index_recall(settings: Settings, userids: Sequence[Id]) -> float:
    """The share of the exactly nearest items of users that the index finds, of as many as recall asks for."""
    state = StateStores.live(settings)
    run, schema, items = state.published.run(), state.profiles.schema, state.published.catalogue()
    assert run is not None
    ids = state.published.ids(run.run)
    assert ids is not None
    models, index = Models(settings.triton), ItemIndex(settings.elasticsearch)
    vectors = np.load(settings.runs / run.run / runs.ITEMS)["vector"]
    shares = []
    for userid in userids[:NEAREST]:
        profile = state.profiles.profile(userid)[0]
        if profile is None:
            continue
        users = Users.of(schema, ids, [UserState.of(schema, profile, schema.user(userid), items, ())], run.history)
        (vector,) = models.encode(users.items, users.liked, run.version)
        found = index.recall(run.index, schema, vector, {}, (), settings.recall)
        nearest = np.argsort(-(vectors @ vector), kind="stable")[: settings.recall.vector_k] + 1
        rows = ids.items.numbers([candidate.itemid for candidate in found])
        shares.append(len({*nearest.tolist()} & {*map(int, rows)}) / len(nearest))
    models.close()
    return round(mean(shares), 4)
