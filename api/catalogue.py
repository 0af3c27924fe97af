"""Items: `GET /items/{itemid}`, from memory."""

from __future__ import annotations

from flask import Flask, Response

from api.answers import ItemState
from api.http import respond
from api.live import Live
from api.messages import RequestError
from api.services import Services
from features import Id


def add_items(app: Flask, services: Services) -> None:
    """Add the routes to an application."""

    @app.get("/items/<id:itemid>")
    def item(itemid: str) -> Response:
        live = services.follower.require()
        return respond(item_state(live, live.data_set.itemid(itemid)))


def item_state(live: Live, itemid: Id) -> ItemState:
    """Return an item of the catalogue, with the counters that lists are made with.

    Raises:
        RequestError: if it is not in the catalogue.
    """
    item = live.items.items.get(itemid)
    if item is None:
        raise RequestError(f"itemid: {itemid} is not in the catalogue", 404)
    answers = live.data_set.answers
    changed = live.items.layer.changed.get(itemid)
    change = {} if changed is None else {"version": changed.version, "withdrawn": changed.withdrawn}
    return answers.item(
        itemid=itemid, title=item.name, **answers.attributes(item), **change, **live.items.counts(itemid)
    )
