"""The errors that a person sees: each message is one sentence that says what is wrong and what to do.

    ReelstreamError
    ├── SettingsError        a setting is unknown, of the wrong type or out of range      settings/
    ├── ServersError         a server cannot be started or stopped                        servers/
    │   ├── Unsupported      this machine cannot run a component
    │   ├── SetupFailed      something could not be installed
    │   ├── LowResources     too little disk or memory
    │   ├── PortTaken        another program listens on a port
    │   ├── NotReady         a component does not answer
    │   └── NotRunning       a component is not there
    ├── Busy                 a replay is running already                                  cli/
    ├── DataSetError         the description of a data set is missing or breaks a rule    datasets/
    ├── LifecycleError       a rebuild, switch, backup or restore that cannot be made     lifecycle/
    ├── OfflineError                                                                      offline/
    │   ├── DataError        the ratings are missing or malformed
    │   ├── RunError         a training run is missing, incomplete or of other data
    │   └── ExportError      an exported model does not answer as the trained one
    └── StoreError           a server that we talk to                                     stores/
        ├── Unreachable      does not answer (worth trying again)
        │   └── Trimmed      no longer holds the offset that is read, in a log
        ├── NotPublished     has no snapshot or no run yet
        │   └── OtherVersion has a state or a run of other counts or features than are declared
        ├── LockTaken        another publish, rollback or reset is at work
        ├── LockLost         a publish lost its lock, or the live run changed under it
        ├── Unreadable       holds a value that we did not write
        ├── ArchiveError     holds an archive that is damaged, incomplete or that of another log
        └── LogError         holds a log that cannot be folded without loss
            ├── Gap          the log lacks events that the state needs next
            ├── Skipped      events that the log holds were not delivered
            └── ShardLost    another worker has taken the shard
                └── Closed   nobody may fold into it: another generation of the state goes live

Two stand apart, as they are about one event or one request: `features.EventError`, with which the stream files an event
as a dead letter, and `api.messages.RequestError`, which becomes the answer to the request.
"""

from __future__ import annotations


class ReelstreamError(Exception):
    """Any error that is told in one line."""


class SettingsError(ReelstreamError, ValueError):
    """A setting is unknown, of the wrong type or out of range; the message names it and the rule."""
