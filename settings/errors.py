"""The errors that a person sees: each message is one sentence that says what is wrong and what to do.

    ReelstreamError
    ├── SettingsError      a setting is unknown, of the wrong type or out of range        settings/
    ├── ServersError       a server cannot be started or stopped                          servers/
    ├── DataError          the ratings cannot be found or read                            offline/
    ├── RunError           a training run is missing or incomplete                        offline/
    ├── ExportError        a model's export differs from the model                        offline/
    └── StoreError         a server that we talk to                                       stores/
        ├── Unreachable    does not answer (worth trying again)
        ├── NotPublished   has no snapshot or no run yet
        └── LogError       holds a log that cannot be folded without loss
            ├── Gap        an event is missing between the state and the log
            └── ShardLost  another worker has taken the shard

`features.EventError` stands apart: it is about one event, and the stream files it with the dead ones.
"""

from __future__ import annotations


class ReelstreamError(Exception):
    """Any error that is told in one line."""


class SettingsError(ReelstreamError, ValueError):
    """A setting is unknown, of the wrong type or out of range; the message names it and the rule."""
