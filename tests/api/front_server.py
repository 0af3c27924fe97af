"""The front with a small application behind it: `python -m tests.api.front_server`."""

from __future__ import annotations

import os
import time
from typing import Any

from flask import Flask, jsonify, request
from werkzeug.wrappers import Response

from api.__main__ import server
from api.paths import IdConverter
from settings import load

BIG = 20 << 20


def application() -> Flask:
    app = Flask("small", static_folder=None)
    app.url_map.converters["id"] = IdConverter
    app.config["MAX_CONTENT_LENGTH"] = load().api.max_body_kb * 1024

    @app.get("/health/live")
    def live() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/ml/rec")
    def rec() -> Any:
        body = request.get_json()
        time.sleep(body.get("sleep", 0.0))
        return jsonify(body)

    @app.get("/big")
    def big() -> Response:
        return Response(bytes(BIG))

    @app.route("/seen", methods=["GET", "POST"])
    def seen() -> dict[str, Any]:
        return {
            "headers": dict(request.headers),
            "body": request.get_data(as_text=True),
            "path": request.path,
            "query": request.query_string.decode(),
        }

    @app.get("/users/<id:userid>/export")
    @app.get("/users/<id:userid>")
    def user(userid: str) -> dict[str, Any]:
        return {"userid": userid, "export": request.path.endswith("/export")}

    return app


if __name__ == "__main__":
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(load().state)
    server(load(), application).run()
