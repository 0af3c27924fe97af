"""A small system in a copy of the source tree to which the page "Add a feature" was applied; run there, by its test.

    python -m tests.system.page_followed FEATURE FOLDER DIFF

prints what each part of the system has of the feature; makes the edit of the page's new count; prints what each part
says to the state that is older than it, and to the state that `reelstream rebuild` made of it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import requests

import servers
import verify.inputs
from features import DENSE_COLUMNS
from offline import runs
from stores import DriftStore, FeatureBatch, Published
from stores.feast.feature_store import Features
from tests.polling import until
from tests.system.conftest import System, running_system
from tests.system.page import apply_diff

ROOT = Path(__file__).parents[2]

API = """
from api.live import Follower
from api.messages import RequestError
from settings import load

settings = load()
follower = Follower(settings)
follower._look()
try:
    live = follower.require()
    print(live.not_followed or "", live.profiles.profile(USERID)[0].n)
except RequestError as error:
    print(error.status, error)
"""
"""Prints why the state is not followed, and how many ratings a user of it has."""


def run(*words: str) -> tuple[int, str, str]:
    """Exit status, standard output, and the last line of standard error."""
    done = subprocess.run([sys.executable, *words], check=False, capture_output=True, text=True, timeout=300, cwd=ROOT)
    return done.returncode, done.stdout.strip(), done.stderr.strip().rpartition("\n")[2]


def everything_of(name: str, system: System) -> dict[str, object]:
    """The feature in each component, once the held-out events are folded."""
    system.send_events(system.events)
    system.wait()
    store, place = DriftStore(system.profiles.client), DENSE_COLUMNS.index(name)
    until(lambda: sum(counts.events for counts in store.counts().values()) == len(system.events), 60)
    live, features = Published(system.profiles.client).run(), Features(system.settings)
    assert live is not None
    folder = runs.folder(system.settings, live.run)
    userid = system.events[0].userid
    listed = system.rec(userid=userid, size=3, explain=True)["item_list"]
    messages = system.log(system.settings.kafka.features_topic)
    return {
        "trained on": runs.manifest(folder).input_schema.dense,
        "live run": live.dense,
        "reference": json.loads((folder / runs.REFERENCE).read_text())["features"][name]["counts"],
        "logged": [row for message in messages for row in FeatureBatch.unpack(message.value).rows[:, place].tolist()],
        "row": features.users([userid])[userid],
        "explained": [item["explain"]["features"][name] for item in listed],
        "feast": {
            field.name: field.tags.get("features", "") for field in features.store.get_feature_view("user").features
        },
        "drift": [[counts.events, sum(counts.series[name])] for counts in store.counts().values()],
        "described": requests.get(f"{system.api}/pages/data/series", timeout=10).json()[name],
        "verified": system.verify().as_json(),
        "verified against another formula": another_formula(place, system),
    }


def another_formula(place: int, system: System) -> list[str]:
    """The report of `verify` where it expects other values of the feature."""
    right = verify.inputs.expected_row

    def wrong(*arguments: object) -> np.ndarray:
        row = right(*arguments).copy()  # type: ignore[arg-type]
        row[place] += 0.5
        return row

    verify.inputs.expected_row = wrong
    try:
        return list(system.verify().differing.values())
    finally:
        verify.inputs.expected_row = right


def older_state(system: System) -> dict[str, object]:
    """The refusal by each component of a state that has fewer counts than are declared."""
    servers.restart(system.settings, ["workers", "api"])
    system.wait_until_ready()
    system.send_events(system.events[:1])
    worker = f"http://127.0.0.1:{system.settings.stream.metrics_port}/health"
    until(lambda: requests.get(worker, timeout=10).json()["waits_for"] is not None, 60)
    return {
        "worker": requests.get(worker, timeout=10).json()["waits_for"],
        "api": run("-c", API.replace("USERID", str(system.events[0].userid)))[1],
        "lists": system.rec(userid=system.events[0].userid),
        "doctor": json.loads(run("-m", "cli", "doctor", "--json")[1]),
        **{name: run("-m", "cli", name) for name in ("verify", "publish", "adopt")},
    }


def rebuilt_state(system: System) -> dict[str, object]:
    """The state once it is folded again."""
    rebuilt = run("-m", "cli", "rebuild")
    system.wait(60)
    userid = system.events[0].userid
    row = (
        "import json; from settings import load; from stores import StateStores; "
        "from stores.feast.feature_store import Features; "
        "features = Features(load(), StateStores.live(load()).generation); "
    )
    return {
        "rebuild": rebuilt,
        "lists": system.rec(userid=userid),
        "row": run("-c", f"{row} print(json.dumps(features.users([{userid}])[{userid}]))")[1],
        "api": run("-c", API.replace("USERID", str(system.events[0].userid)))[1],
        "verify": run("-m", "cli", "verify", "--json"),
    }


def main() -> None:
    name, folder, diff = sys.argv[1:]
    with running_system(Path(folder), users=80, items=120, events=4000) as system:
        parts = {"formula": everything_of(name, system)}
        apply_diff(Path(diff).read_text(), ROOT)
        parts["older state"] = older_state(system)
        parts["rebuilt state"] = rebuilt_state(system)
        print(json.dumps(parts))


if __name__ == "__main__":
    main()
