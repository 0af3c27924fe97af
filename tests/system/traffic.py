"""Ratings and requests while the state is rebuilt, and the comparison afterwards."""

from __future__ import annotations

import threading

from bench import Load, Request
from features import Event
from stores import Generations
from tests.system.conftest import System
from tests.system.rating_load import RatingLoad

EVENTS_PER_S = 100
REQUESTS_PER_S = 10
MALFORMED_EVERY = 50

SHED = "too many requests at once; try again in a second"
MOST_SHED = 0.1
"""Share of the requests that may be refused at once: the servers of two systems share the machine's processors."""


class Traffic(RatingLoad):
    """Ratings and requests at a steady rate until it is stopped, and what becomes of them.

    Attributes:
        generations: the live generations that were seen, in their order.
        clicks: ratings that were acknowledged and followed by a request for a list.
        late: answers to those that did not know the rating yet, and said so.
        failed_clicks: those that failed.
    """

    def __init__(self, system: System) -> None:
        super().__init__(system, EVENTS_PER_S, MALFORMED_EVERY)
        self._threads = [threading.Thread(target=work) for work in (self._look, self._click)]
        self._load = Load(system.settings, sorted({event.userid for event in system.events}), REQUESTS_PER_S)
        self.generations: list[str] = []
        self.clicks = self.late = 0
        self.failed_clicks: list[str] = []

    def _look(self) -> None:
        generations = Generations(self._system.client)
        while not self._stopping.wait(0.02):
            try:
                live = generations.live().name
            except Exception:
                continue
            if not self.generations or self.generations[-1] != live:
                self.generations.append(live)

    def _click(self) -> None:
        system, userid = self._system, self._system.events[0].userid
        while not self._stopping.wait(0.2):
            rated = system.post("/ratings", {"userid": userid, "itemid": system.catalogue_items()[0], "rating": 5})
            if rated.status_code != 202:
                continue
            after = {name: rated.json()[name] for name in ("partition", "offset")}
            self.clicks += 1
            answer = system.post("/ml/rec", {"userid": userid, "after": after, "size": 3})
            if answer.status_code != 200:
                self.failed_clicks.append(answer.text)
            elif "stream" in answer.json()["degraded"]:
                self.late += 1

    def start(self) -> None:
        super().start()
        self._load.start()
        for thread in self._threads:
            thread.start()

    def stop(self) -> list[Request]:
        """End it; the requests."""
        super().stop()
        for thread in self._threads:
            thread.join()
        return self._load.stop()


def require_all_count(system: System, sent: list[Event]) -> None:
    """The newest rating of each pair is in the seen filter, and `verify` finds no difference."""
    system.wait(120)
    newest: dict[tuple[int, int], tuple[int, int]] = {}
    stored = system.profiles.read_users(sorted({event.userid for event in sent}))
    for event in sent:
        newest[event.userid, event.itemid] = event.ts, event.code
    lacking = [pair for pair, (ts, _) in newest.items() if stored[pair[0]][1].get(pair[1], ((-1, 0),))[0][0] < ts]
    assert lacking == []
    verified = system.verify()
    assert verified.differences == 0, verified.differing


def require_lists(answers: list[Request]) -> None:
    """Every request got a list, apart from a few that a busy machine refused at once."""
    failed = [(request.status, request.error) for request in answers if (request.status, request.error) != (200, "")]
    assert set(failed) <= {(503, SHED)}
    assert len(failed) <= MOST_SHED * len(answers)
