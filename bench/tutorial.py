"""The tutorial's way of serving a list, as the baseline of `bench latency`: `python -m bench.tutorial --port 5000`.

The models and the stores are those of the live run, used as the tutorial uses them: Flask's own server, feature rows of
the user and of each candidate from Feast over HTTP, rows put together with pandas, a Triton channel for each request,
and a vector search with the whole catalogue as candidates. It has no fallback, filter, or limit.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import pandas as pd
import requests
from flask import Flask, Response, jsonify, request

from features import Id, Row
from features.columns import ItemTable, row_values
from features.schema import Ints, multi_hot
from scoring import RankerInputs, Users, UserState, preferences
from settings import Settings, load
from stores import Models, StateStores
from stores.elasticsearch import ItemIndex

SIZE = 50
"""Length of a list, as in `POST /ml/rec`."""

MOST_CANDIDATES = 10_000
"""Elasticsearch takes no more."""


class Tutorial:
    """Makes lists from the live run.

    Args:
        settings: all settings.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings, self._state = settings, StateStores.live(settings)
        published = self._state.published
        run = published.run()
        assert run is not None
        self._run, self._ids = run, self._state.ids(run)
        self._schema, self._items = published.schema(), published.catalogue()
        self._table, self._index = ItemTable(self._schema, self._items), ItemIndex(settings.elasticsearch)
        self._limits, self._visited = settings.recall, min(len(self._items), MOST_CANDIDATES)

    def recommend(self, userid: Id, size: int) -> list[dict[str, Any]]:
        """The list of a user who has events."""
        profile, hides, _, _ = self._state.profiles.profile(userid)
        assert profile is not None
        frame = self._features("ml_user", "userid", [userid])
        row: Row = {str(name): values[0] for name, values in frame.to_dict("list").items()}
        user = self._state.profiles.attributes([userid])[userid]
        exclude = [itemid for itemid, is_hidden in hides.items() if is_hidden]
        state = UserState(user, profile.recent, row_values(self._schema, row), exclude, profile.weights)
        users = Users.of(self._schema, self._ids, [state], self._run.history)
        preferred = preferences(self._schema, state.weights) if self._limits.term_k else {}
        models = Models(self._settings.triton)
        vector = models.encode(users.items, users.liked, self._run.version)
        models.close()
        found = self._index.recall(
            self._run.index, self._schema, vector[0], preferred, exclude, self._limits, visited=self._visited
        )
        candidates = [each.itemid for each in found]
        frame = self._features("ml_item", "itemid", candidates)
        # What Feast does not have of an item follows from the catalogue.
        column = self._table.column(candidates)
        columns = dict(self._table.at(column, frame["n"].to_numpy(), frame["likes"].to_numpy()))
        for attribute in self._schema.attributes_of_items:
            if attribute.name in frame:
                values = frame[attribute.name].tolist()
                whole = attribute.length == 1
                columns[attribute.name] = np.array(values) if whole else multi_hot(values, attribute.length)
        place: Ints = np.zeros(len(frame), dtype=np.int64)
        pairs = users.pairs(place, self._ids.items.numbers(candidates), columns)
        models = Models(self._settings.triton)
        ranking = models.rank(RankerInputs.of(vector, users, pairs), self._run.version)
        models.close()
        ranked = frame.assign(score=ranking.score).sort_values("score", ascending=False).head(size)
        return [
            {"itemid": each["itemid"], "title": self._items[each["itemid"]].title, "score": float(each["score"])}
            for each in ranked[["itemid", "score"]].to_dict("records")
        ]

    def _features(self, service: str, key: str, ids: list[Id]) -> pd.DataFrame:
        """The rows of some entities, from Feast over HTTP."""
        feast = self._settings.feast
        answer = requests.post(
            f"http://{feast.host}:{feast.port}/get-online-features",
            json={"feature_service": service, "entities": {key: ids}},
            timeout=30,
        )
        answer.raise_for_status()
        told = answer.json()
        columns: Row = {
            name: column["values"]
            for name, column in zip(told["metadata"]["feature_names"], told["results"], strict=True)
        }
        return pd.DataFrame(columns)


def make_app(settings: Settings) -> Flask:
    """The tutorial's API."""
    app, tutorial = Flask("tutorial"), Tutorial(settings)

    @app.post("/ml/rec")
    def recommend() -> Response:
        body = request.get_json()
        return jsonify(item_list=tutorial.recommend(body["userid"], body.get("size", SIZE)))

    return app


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(description="lists in the tutorial's way")
    parser.add_argument("--port", type=int, required=True)
    port = parser.parse_args().port
    make_app(load()).run("127.0.0.1", port, threaded=True)


if __name__ == "__main__":
    main()
