"""Beginning anew."""

from __future__ import annotations

import subprocess
import sys

from tests.polling import until
from tests.system.conftest import System


def test_publishing_with_reset_begins_anew_with_the_snapshot(system: System) -> None:
    userid = system.events[0].userid
    n = system.get(f"/users/{userid}").json()["n"]
    system.rate(700_900, system.catalogue_items()[0], 5)
    system.rate(userid, system.rec(userid=userid, size=1)["item_list"][0]["itemid"], 5)
    system.wait()
    command = [sys.executable, "-m", "cli", "publish", "--reset"]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    assert system.log() == []
    assert system.profiles.applied() == [-1] * system.settings.kafka.partitions
    assert system.profiles.profile(700_900)[0] is None
    assert system.get(f"/users/{userid}").json()["n"] <= n
    assert system.verify().differences == 0
    position = system.rate(userid, system.rec(userid=userid, size=1)["item_list"][0]["itemid"], 5)
    assert position["offset"] == 0
    until(lambda: system.profiles.visible_offset(system.partition(userid)) >= 0)
    assert system.rec(userid=userid)["as_of"]["offset"] == 0
    assert system.verify().differences == 0
