"""A user whose profile was evicted from Redis, in the running system."""

from __future__ import annotations

from features import Event
from stores import project_of
from stores.feast.online_rows import OnlineRows
from stores.redis.eviction import evict
from tests.polling import until
from tests.system.conftest import System

USER = 871_001


def listed(system: System) -> dict[str, float]:
    """The features of the user that a list is ranked by; the items have others from one moment to the next."""
    answer = until(lambda: [rec] if not (rec := system.rec(userid=USER, explain=True))["degraded"] else [])[0]
    assert answer["fallback"] is None
    assert not {item["itemid"] for item in answer["item_list"]} & {*system.catalogue_items()[:12]}
    features = answer["item_list"][0]["explain"]["features"]
    return {name: value for name, value in features.items() if name.startswith("user_")}


def test_an_evicted_user_is_ranked_as_before_and_comes_back_whole_with_the_next_rating(system: System) -> None:
    items = system.catalogue_items()
    system.send_events([Event(USER, itemid, 5, 1_000_000_000 + itemid) for itemid in items[:12]])
    system.wait_for_items()
    before = listed(system)
    profiles, shard = system.profiles, system.partition(USER)
    rows = OnlineRows(system.client, project_of(system.settings.feast.project, profiles.generation))

    until(lambda: evict(profiles, rows, shard, [USER]) == 1)
    assert not system.client.exists(f"{profiles.tag(shard)}:profile:{USER}", rows.key("userid", USER))
    assert listed(system) == before
    known = system.get(f"/users/{USER}").json()
    assert (known["n"], known["seen"]) == (12, 12)
    differing = [name for name in system.verify().differing if str(USER) in name]
    assert differing == []

    accepted = system.rate(USER, items[12], 4)
    answer = system.rec(userid=USER, after={name: accepted[name] for name in ("partition", "offset")})
    assert answer["degraded"] == []
    assert profiles.evicted_among([USER]) == set()
    profile, seen, _, _ = profiles.profile(USER)
    assert profile is not None and profile.n == 13 and sorted(seen) == sorted(items[:13])
    assert system.client.exists(rows.key("userid", USER))
