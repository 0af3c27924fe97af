"""A small system in a copy of the source tree to which the page "Add a feature" was applied; run there, by its test.

    python -m tests.system.page_followed FEATURE FOLDER DIFF

prints what each part of the system has of the feature; makes the edit of the page's new count; prints what
`tests.system.page_rebuilt` finds then.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import requests

import servers
import verify.inputs
from offline import runs
from stores import DriftStore, FeatureBatch, Published
from stores.feast.feature_store import Features
from tests.movielens import SCHEMA
from tests.polling import until
from tests.system.conftest import System, running_system
from tests.system.page import apply_diff

ROOT = Path(__file__).parents[2]


def everything_of(name: str, system: System) -> dict[str, object]:
    """The feature in each component, once the held-out events are folded."""
    system.send_events(system.events)
    system.wait()
    store, place = DriftStore(system.profiles.client), SCHEMA.dense_columns.index(name)
    until(lambda: sum(counts.events for counts in store.counts().values()) == len(system.events), 60)
    live, features = Published(system.profiles.client).run(), Features(system.settings, SCHEMA)
    assert live is not None
    folder = runs.folder(system.settings, live.run)
    userid = system.events[0].userid
    listed = system.rec(userid=userid, size=3, explain=True)["item_list"]
    messages = system.log(system.settings.kafka.features_topic)
    batches = [FeatureBatch.unpack(message.value, SCHEMA) for message in messages]
    return {
        "trained on": runs.manifest(folder).input_schema.dense,
        "live run": live.dense,
        "reference": json.loads((folder / runs.REFERENCE).read_text())["features"][name]["counts"],
        "logged": [value for batch in batches for value in batch.rows[:, place].tolist()],
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


def states_of_changed_source(system: System) -> dict[str, Any]:
    """The older state, and the one that `reelstream rebuild` makes of it, in the source with the new count."""
    servers.restart(system.settings, ["workers", "api"])
    system.wait_until_ready()
    userid = system.events[0].userid
    system.send_events(system.events[:1])
    line = [sys.executable, "-m", "tests.system.page_rebuilt", str(userid)]
    done = subprocess.run(line, check=False, capture_output=True, text=True, timeout=600, cwd=ROOT)
    if done.returncode:
        raise RuntimeError(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main() -> None:
    name, folder, diff = sys.argv[1:]
    with running_system(Path(folder), users=80, items=120, events=4000) as system:
        parts = {"formula": everything_of(name, system)}
        apply_diff(Path(diff).read_text(), ROOT)
        print(json.dumps(parts | states_of_changed_source(system)))


if __name__ == "__main__":
    main()
