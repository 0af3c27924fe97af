"""The Feast server, for callers outside: `python -m stores.feature_server`."""

from __future__ import annotations

from settings import load, logs
from stores.feature_store import Features


def main() -> None:
    """Serve until stopped."""
    settings = load()
    logs.set_up(settings.log_level)
    features = Features(settings)
    # Feast's server restarts its worker every 1,000 requests unless told not to.
    features.store.serve(
        host=settings.feast.host,
        port=settings.feast.port,
        type_="http",
        no_access_log=True,
        max_requests=0,
        metrics=False,
    )


if __name__ == "__main__":
    main()
