"""Every setting of reelstream, each with its default and one line on what it does.

Values come, strongest first, from arguments, from the environment (`REELSTREAM_KAFKA__BOOTSTRAP=...`), from the
TOML file named by `REELSTREAM_CONFIG` (else `reelstream.toml` in the working directory) and from the defaults here.
`ML1M_DIR` names the folder of the MovieLens-1M files. `reelstream demo` remembers it in the state folder, so that later
commands need no variable.
"""

from settings.components import (
    ApiSettings,
    ArchiveSettings,
    CatalogueSettings,
    DataSettings,
    DriftSettings,
    PublishSettings,
    RecallSettings,
    StreamSettings,
    TrainSettings,
)
from settings.errors import ReelstreamError, SettingsError
from settings.model import Settings, bearer, load
from settings.stores import (
    ElasticsearchSettings,
    FeastSettings,
    KafkaSettings,
    RedisSettings,
    ServersSettings,
    TritonSettings,
)
from settings.toml import as_toml

__all__ = [
    "ApiSettings",
    "ArchiveSettings",
    "CatalogueSettings",
    "DataSettings",
    "DriftSettings",
    "ElasticsearchSettings",
    "FeastSettings",
    "KafkaSettings",
    "PublishSettings",
    "RecallSettings",
    "RedisSettings",
    "ReelstreamError",
    "ServersSettings",
    "Settings",
    "SettingsError",
    "StreamSettings",
    "TrainSettings",
    "TritonSettings",
    "as_toml",
    "bearer",
    "load",
]
