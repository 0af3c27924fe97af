"""The way back to the run that was live before."""

from __future__ import annotations

from offline.errors import RunError
from offline.state.lock import Progress, lock
from settings import Settings
from stores import ENCODER, RANKER, LiveRun, Models, StateStores
from stores.elasticsearch import ItemIndex
from stores.redis.shard_catalogue import read_layers


def rollback(settings: Settings, progress: Progress = lambda what, share: None) -> LiveRun:
    """Go back to the run that was live before; called again, it returns to the other.

    Raises:
        RunError: if there is none, or its models or its index are gone, or the live state began with other data.
        LockTaken: if another publish, rollback or reset is at work.
        LockLost: if the live run was changed meanwhile.
        Unreachable: if a store does not answer.
    """
    state = StateStores.live(settings)
    published = state.published
    with lock(settings, "rollback", progress) as held:
        live, stored = published.run_to_replace()
        before = published.previous_run()
        if live is None or before is None:
            raise RunError("there is no previous run to restore; `reelstream publish RUN` publishes one")
        before.require_columns(published.schema())
        snapshot = published.snapshot()
        if snapshot is None or before.data_hash not in ("", snapshot.data_hash):
            raise RunError(f"run {before.run} was trained on other data than the live state was built from")
        models = Models(settings.triton)
        index = ItemIndex(settings.elasticsearch)
        try:
            if not all(models.ready(model, before.version) for model in (ENCODER, RANKER)):
                raise RunError(
                    f"Triton no longer has run {before.run}; `reelstream publish {before.run}` publishes it again"
                )
            changed = read_layers(state.profiles, {}).changed
            if before.index not in index.indices() or abs(index.count(before.index) - snapshot.items) > len(changed):
                raise RunError(
                    f"Elasticsearch no longer has run {before.run}; `reelstream publish {before.run}` publishes "
                    "it again"
                )
            published.switch(before, stored, live, held)
            index.point_alias(before.index)
        finally:
            models.close()
            index.close()
    return before
