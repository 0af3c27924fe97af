"""All settings together: where their values come from, and what follows from them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from settings import dataset
from settings.components import (
    QUICK,
    ApiSettings,
    ArchiveSettings,
    CatalogueSettings,
    DataSettings,
    DriftSettings,
    ErasureSettings,
    PublishSettings,
    RecallSettings,
    StreamSettings,
    TrainSettings,
)
from settings.errors import SettingsError
from settings.stores import (
    ElasticsearchSettings,
    FeastSettings,
    KafkaSettings,
    RedisSettings,
    ServersSettings,
    TritonSettings,
)


class Settings(BaseSettings):
    """All settings."""

    model_config = SettingsConfigDict(
        env_prefix="REELSTREAM_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    state_dir: Path = Field(Path(".reelstream"), description="folder for data, logs, models and process ids")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="DEBUG, INFO, WARNING or ERROR")
    kafka: KafkaSettings = KafkaSettings()
    redis: RedisSettings = RedisSettings()
    elasticsearch: ElasticsearchSettings = ElasticsearchSettings()
    triton: TritonSettings = TritonSettings()
    feast: FeastSettings = FeastSettings()
    stream: StreamSettings = StreamSettings()
    catalogue: CatalogueSettings = CatalogueSettings()
    archive: ArchiveSettings = ArchiveSettings()
    erasure: ErasureSettings = ErasureSettings()
    drift: DriftSettings = DriftSettings()
    api: ApiSettings = ApiSettings()
    recall: RecallSettings = RecallSettings()
    data: DataSettings = DataSettings()
    train: TrainSettings = TrainSettings()
    publish: PublishSettings = PublishSettings()
    servers: ServersSettings = ServersSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        path = Path(os.environ.get("REELSTREAM_CONFIG", "reelstream.toml"))
        return (init_settings, env_settings, TomlConfigSettingsSource(settings_cls, toml_file=path))

    @model_validator(mode="after")
    def _share_the_state_folder(self) -> Settings:
        for name in ("kafka", "redis", "triton"):
            self.__dict__[name] = getattr(self, name).within(self.state)
        return self

    def quick(self) -> Settings:
        """The same with a quick training."""
        return self.model_copy(update={"train": self.train.model_copy(update=QUICK)})

    @property
    def state(self) -> Path:
        """The state folder as an absolute path."""
        return self.state_dir.expanduser().resolve()

    @property
    def dataset(self) -> str:
        """The description of the data set: the name of one in datasets/, or the absolute path of a .toml file."""
        return dataset.absolute(self.data.dataset) or dataset.remembered(self.dataset_note) or dataset.MOVIELENS

    @property
    def data_folder(self) -> Path:
        """The folder with the files of the data set."""
        named = self.data.folder
        if not named and dataset.is_movielens(self.dataset):
            named = os.environ.get("ML1M_DIR", "")
        named = named or dataset.folder_of(self.dataset) or self._remembered_data_folder()
        return Path(named).expanduser().resolve() if named else self.own_data_folder

    @property
    def own_data_folder(self) -> Path:
        """The data folder where none is named or remembered: downloads and generated data go there."""
        if dataset.is_movielens(self.dataset):
            return self.state / "data"
        return self.state / "generated" / Path(self.dataset).stem

    @property
    def data_folder_note(self) -> Path:
        """The file that remembers the data folder between commands."""
        return self.state / "data-folder"

    @property
    def dataset_note(self) -> Path:
        """The file that remembers the description of the data set between commands."""
        return self.state / "dataset"

    def remember_data(self) -> None:
        """Let later commands of this state folder use today's data set and folder, whatever shell they run in."""
        self.state.mkdir(parents=True, exist_ok=True)
        own = self.data_folder == self.own_data_folder
        # The folder last: it is not looked at while the data set is another one.
        dataset.remember(self.dataset_note, "" if dataset.is_movielens(self.dataset) else self.dataset)
        dataset.remember(self.data_folder_note, "" if own else str(self.data_folder))

    def _remembered_data_folder(self) -> str:
        """The remembered folder, unless it is that of another data set."""
        of = dataset.remembered(self.dataset_note) or dataset.MOVIELENS
        return dataset.remembered(self.data_folder_note) if of == self.dataset else ""

    @property
    def model_repository(self) -> Path:
        """The stock Triton model repository that `publish` writes."""
        return Path(self.triton.repository).resolve() if self.triton.repository else self.state / "models"

    @property
    def log_heads(self) -> Path:
        """The folder with the furthest records of the log that anyone on this machine has seen."""
        return self.state / "log-heads"

    @property
    def archive_folder(self) -> Path:
        """The folder of the archive."""
        return self.state / "archive"

    @property
    def evicted_folder(self) -> Path:
        """The folder of the profiles that were evicted from Redis."""
        return self.state / "evicted"

    @property
    def restore_note(self) -> Path:
        """The file that says which backup is being restored, and how far that is."""
        return self.state / "restoring.json"

    @property
    def erasure_mark(self) -> Path:
        """The file whose time says when `reelstream erase` was last done."""
        return self.state / "erased"

    @property
    def archiver_status(self) -> Path:
        """The file in which the running archiver says how it is."""
        return self.state / "archiver.json"

    @property
    def feast_registry(self) -> Path:
        """The file of Feast's registry."""
        return Path(self.feast.registry).resolve() if self.feast.registry else self.state / "feast" / "registry.db"

    @property
    def runs(self) -> Path:
        """The folder with one folder for each training run."""
        return self.state / "runs"


def load(**given: object) -> Settings:
    """Read the settings.

    Raises:
        SettingsError: with one line that names the setting and the rule it breaks.
    """
    named = os.environ.get("REELSTREAM_CONFIG")
    if named and not Path(named).is_file():
        raise SettingsError(f"REELSTREAM_CONFIG names {named}, which is not a file; correct the path or unset it")
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise SettingsError(f"setting {where}: {first['msg']}; see reelstream.toml for its meaning") from None
    except ValueError as error:
        raise SettingsError(f"settings cannot be read: {error}") from None


def bearer(api: ApiSettings) -> dict[str, str]:
    """The header with which our own commands show their token to the API; none where they have none."""
    token = api.token.get_secret_value()
    return {"Authorization": f"Bearer {token}"} if token else {}
