"""The running system after the edit of a new count, whose source this process has imported; run by `page_followed`.

    python -m tests.system.page_rebuilt USERID

prints what each part says to the state that is older than it, and to the state that `reelstream rebuild` made of it.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import requests

from api.live import Follower
from api.messages import RequestError
from settings import Settings, load
from stores import StateStores
from stores.feast.feature_store import Features
from tests.commands import command
from tests.movielens import SCHEMA
from tests.polling import until


def run(*words: str) -> tuple[int, str, str]:
    """Exit status, standard output, and the last line of standard error."""
    done = command(*words)
    return done.returncode, done.stdout.strip(), done.stderr.strip().rpartition("\n")[2]


def followed(settings: Settings, userid: int) -> str:
    """The reason why a new API process does not follow the state, if there is one, and the ratings of a user in it."""
    follower = Follower(settings)
    follower._look()
    try:
        live = follower.require()
    except RequestError as error:
        return f"{error.status} {error}"
    return f"{live.not_followed or ''} {live.profiles.profile(userid)[0].n}".strip()


def lists(settings: Settings, userid: int) -> Any:
    """The answer of the running API."""
    answer = requests.post(f"http://127.0.0.1:{settings.api.port}/ml/rec", json={"userid": userid}, timeout=30)
    answer.raise_for_status()
    return answer.json()


def older_state(settings: Settings, userid: int) -> dict[str, Any]:
    """The refusal by each component of a state that has fewer counts than are declared."""
    worker = f"http://127.0.0.1:{settings.stream.metrics_port}/health"
    waits_for = until(lambda: requests.get(worker, timeout=10).json()["waits_for"], 60)
    return {
        "worker": waits_for,
        "api": followed(settings, userid),
        "lists": lists(settings, userid),
        "doctor": json.loads(run("doctor", "--json")[1]),
        **{name: run(name) for name in ("verify", "publish", "adopt")},
    }


def rebuilt_state(settings: Settings, userid: int) -> dict[str, Any]:
    """The state once it is folded again."""
    rebuilt = run("rebuild")
    verified = run("verify", "--json")  # waits until the worker has folded the whole log
    features = Features(settings, SCHEMA, StateStores.live(settings).generation)
    return {
        "rebuild": rebuilt,
        "lists": lists(settings, userid),
        "row": features.users([userid])[userid],
        "api": followed(settings, userid),
        "verify": verified,
    }


def main() -> None:
    settings, userid = load(), int(sys.argv[1])
    older = older_state(settings, userid)
    print(json.dumps({"older state": older, "rebuilt state": rebuilt_state(settings, userid)}))


if __name__ == "__main__":
    main()
