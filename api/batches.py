"""`POST /ml/rec/batch`: the lists of several requests in one."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

from flask import Flask, Response

from api.http import MAX_FIELDS, request_body, respond
from api.messages import RecommendationRequest, RequestError, parse
from api.services import Services
from api.shedding import Places

MAX_REQUESTS = 100
"""Most requests of a batch."""

FIELDS_OF_ENTRY = 5
"""Values of an entry of `history`, of `context` and of one of `exclude`."""

FIELD = re.compile(r"[\w.-]+: ")
"""The beginning of an error that names a field."""


def add_batches(app: Flask, services: Services, places: Places) -> None:
    """Add the route to an application; a batch takes one of the places for all of its lists."""
    max_entries = services.settings.api.max_history
    max_values = MAX_FIELDS * MAX_REQUESTS + FIELDS_OF_ENTRY * max_entries

    @app.post("/ml/rec/batch")
    def recommend_batch() -> Response:
        data_set = services.follower.require().data_set
        body = request_body(max_values, f"; send at most {MAX_REQUESTS} requests")
        wanted = requests_of(data_set.requests.recommendation, body, max_entries)
        recommender, answers = services.recommender, []
        for place, request in enumerate(wanted):
            with named(place):
                recommender.check(request)
        began = time.monotonic()
        for place, request in enumerate(wanted):
            with named(place):
                answers.append(recommender.begin(request, began))
        with places.one():
            for place, (request, answer) in enumerate(zip(wanted, answers, strict=True)):
                with named(place):
                    recommender.complete(request, answer)
        for answer in answers:
            services.note_answer(answer)
        return respond(data_set.answers.recommendations([answer.finished() for answer in answers]))


def requests_of(model: type[RecommendationRequest], body: object, max_entries: int) -> list[RecommendationRequest]:
    """The requests of a body, which is a list of them.

    Raises:
        RequestError: if one breaks a rule; it names the place, from 0.
    """
    if not isinstance(body, list):
        raise RequestError("the body must be a JSON list of requests")
    if not 1 <= len(body) <= MAX_REQUESTS:
        raise RequestError(f"the list must have 1 to {MAX_REQUESTS} requests, and has {len(body)}")
    return [parse(model, entry, max_entries, (place,)) for place, entry in enumerate(body)]


@contextmanager
def named(place: int) -> Iterator[None]:
    """Have an error of a request name its place in the batch: `3.size: ...`, `3: ...` where it names no field."""
    try:
        yield
    except RequestError as error:
        if error.status != 400:
            raise
        joint = "." if FIELD.match(str(error)) else ": "
        raise RequestError(f"{place}{joint}{error}") from None
