"""`make erasing`: users erased during a replay, compared with a replay in which they never existed, then swept away."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Collection
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import requests

from features import Event
from lifecycle.erasure import sweep
from lifecycle.forgotten import search
from offline.data import readers
from offline.data.readers import Ratings
from offline.data.split import split
from offline.state.snapshot import Shards
from stores import producer
from stores.archive.archive import Archive
from tests.faults.long_run import end, parser_of
from tests.movielens import encode
from tests.system.conftest import System, running_system


def main() -> None:
    """Run it, print the figures, and exit with 1 where a promise is broken."""
    parser = parser_of("erasures during a replay")
    parser.add_argument("--users", type=int, default=1000)
    parser.add_argument("--erased", type=int, default=100)
    parser.add_argument("--rate", type=float, default=500.0, help="events per second")
    parser.add_argument("--file-events", type=int, default=100, help="offsets in a file of the archive")
    given = parser.parse_args()
    small = {"REELSTREAM_ARCHIVE__EVENTS": str(given.file_events)}
    with (
        tempfile.TemporaryDirectory(prefix="reelstream-erasing-") as folder,
        running_system(Path(folder), users=given.users, items=300, events=40 * given.users, **small) as system,
    ):
        figures = erase_in_a_replay(system, given.erased, given.rate, Path(folder) / "data-before")
    end(figures, broken_promises(figures), given.json)


def erase_in_a_replay(system: System, count: int, rate: float, aside: Path) -> dict[str, Any]:
    """Replay the held-out events, erase users meanwhile, compare, sweep, and compare again.

    Args:
        system: a system that has folded none of them.
        count: users to erase.
        rate: events per second.
        aside: where the data folder, which is to be deleted after the sweep, is moved.
    """
    rng = random.Random(1)
    ratings = readers.load(system.settings)
    erased = rng.sample(sorted({event.userid for event in system.events}), count)
    replayed = _replay(system, erased, rate, rng)
    system.wait_for_drift(120)
    different = _different_counters(system, ratings, replayed, erased)
    before = system.verify()
    swept = sweep(system.settings, now=True, progress=lambda what, share: None)
    files = sum(
        len(Archive(system.settings.archive_folder).files(shard)) for shard in range(system.profiles.partitions)
    )
    if swept.left:
        Path(swept.left).rename(aside)  # as the command says: nothing needs the folder any more
    system.wait(120)
    after = system.verify()
    hits = {userid: [str(hit) for hit in search(system.settings, userid, lambda *_: None)] for userid in erased}
    return {
        "events": len(replayed),
        "erased": count,
        "differences": before.differences,
        "different_counters": different,
        "differing": dict(list(before.differing.items())[:5]),
        "archive_files": files,
        "sweep": vars(swept),
        "differences_after": after.differences,
        "differing_after": dict(list(after.differing.items())[:5]),
        "sampled_after": after.sampled,
        "different_counters_after": _different_counters(system, ratings, replayed, erased),
        "hits": {userid: places for userid, places in hits.items() if places},
    }


def broken_promises(figures: dict[str, Any]) -> list[str]:
    """The promises that do not hold."""
    zeros = ("differences", "different_counters", "differences_after", "different_counters_after", "hits")
    broken = [name for name in zeros if figures[name]]
    # The second fold reads the archive once the data folder still has erased users.
    broken += [] if figures["sampled_after"] else ["sampled_after"]
    return broken + (["sweep"] if figures["sweep"]["users"] != figures["erased"] else [])


def _replay(system: System, erased: Collection[int], rate: float, rng: random.Random) -> list[Event]:
    """Send the events, erasing each user after a random one; the events that were sent, none of an erased user."""
    at = {userid: rng.randrange(len(system.events) // 10, len(system.events)) for userid in erased}
    gone: set[int] = set()
    sent: list[Event] = []
    began = time.monotonic()
    with closing(producer(system.settings.kafka, linger_ms=5)) as client:
        for place, event in enumerate(system.events):
            for userid in sorted(userid for userid in erased if at[userid] <= place and userid not in gone):
                client.flush()
                requests.delete(f"{system.api}/users/{userid}", timeout=30).raise_for_status()
                gone.add(userid)
            if event.userid not in gone:
                key, value = encode(event)
                client.send(system.settings.kafka.topic, key=key, value=value, partition=system.partition(event.userid))
                sent.append(event)
            time.sleep(max(0.0, began + place / rate - time.monotonic()))
        client.flush()
    for userid in sorted({*erased} - gone):
        requests.delete(f"{system.api}/users/{userid}", timeout=30).raise_for_status()
    return sent


def _different_counters(system: System, ratings: Ratings, sent: list[Event], erased: Collection[int]) -> list[str]:
    """The items whose counters in a shard are not those of a replay in which the users never existed."""
    offline = split(ratings, system.settings.data).offline
    places = offline[~np.isin(ratings.user[offline], ratings.users.numbers(erased))]
    shards = Shards.after(ratings, places, system.profiles.partitions)
    for event in sent:
        if event.userid not in erased:
            shards.states[system.partition(event.userid)].step(event)
    different = []
    for shard, state in enumerate(shards.states):
        stored = system.profiles.shard_counters(shard)
        items = sorted(stored.keys() | state.counters.keys())
        different += [f"{itemid} in {shard}" for itemid in items if stored.get(itemid) != state.counters.get(itemid)]
    return different


if __name__ == "__main__":
    main()
