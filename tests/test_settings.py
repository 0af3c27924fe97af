"""The settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from settings import SettingsError, as_toml, load

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import os

    for name in os.environ:
        if name.startswith("REELSTREAM_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_the_file_of_settings_says_what_the_code_says() -> None:
    assert (ROOT / "reelstream.toml").read_text() == as_toml(load())


def test_the_file_of_settings_can_be_read_back(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = load()
    monkeypatch.setenv("REELSTREAM_CONFIG", str(ROOT / "reelstream.toml"))
    assert load() == expected


def test_the_environment_overrides_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "reelstream.toml").write_text("[api]\nport = 1000\nthreads = 3\n")
    monkeypatch.setenv("REELSTREAM_API__PORT", "2000")
    assert (load().api.port, load().api.threads) == (2000, 3)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("REELSTREAM_KAFKA__PARTITIONS", "many", "setting kafka.partitions: Input should be a valid integer"),
        ("REELSTREAM_KAFKA__PARTITIONS", "0", "setting kafka.partitions: Input should be greater than or equal to 1"),
        ("REELSTREAM_API__COLOUR", "red", "setting api.COLOUR|setting api.colour: Extra inputs are not permitted"),
        ("REELSTREAM_CONFIG", "nowhere.toml", "REELSTREAM_CONFIG names nowhere.toml, which is not a file"),
    ],
)
def test_a_wrong_setting_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, sentence: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=sentence) as told:
        load()
    assert "\n" not in str(told.value)


def test_a_file_that_is_not_toml_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "reelstream.toml").write_text("port = \n")
    with pytest.raises(SettingsError, match="settings cannot be read"):
        load()


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REELSTREAM_REDIS__PASSWORD", "hunter2")
    settings = load()
    assert settings.redis.password.get_secret_value() == "hunter2"
    assert "hunter2" not in as_toml(settings) + repr(settings)


def test_the_remembered_data_folder_gives_way_to_a_named_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("ML1M_DIR", raising=False)
    assert load().data_folder == tmp_path / ".reelstream" / "data"
    monkeypatch.setenv("ML1M_DIR", str(tmp_path / "ratings of mine"))
    load().remember_data()
    monkeypatch.delenv("ML1M_DIR")
    assert load().data_folder == tmp_path / "ratings of mine"
    monkeypatch.setenv("ML1M_DIR", str(tmp_path / "other"))
    assert load().data_folder == tmp_path / "other"
    monkeypatch.setenv("REELSTREAM_DATA__FOLDER", str(tmp_path / "set"))
    assert load().data_folder == tmp_path / "set"


def test_the_remembered_data_set_gives_way_to_a_named_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("ML1M_DIR", raising=False)
    assert load().dataset == "movielens-1m"
    monkeypatch.setenv("REELSTREAM_DATA__DATASET", "shops/my.toml")
    monkeypatch.setenv("REELSTREAM_DATA__FOLDER", "clicks")
    load().remember_data()
    monkeypatch.delenv("REELSTREAM_DATA__DATASET")
    monkeypatch.delenv("REELSTREAM_DATA__FOLDER")
    assert (load().dataset, load().data_folder) == (str(tmp_path / "shops" / "my.toml"), tmp_path / "clicks")
    # The folder of one data set is not that of another.
    monkeypatch.setenv("REELSTREAM_DATA__DATASET", "movielens-1m")
    assert (load().dataset, load().data_folder) == ("movielens-1m", tmp_path / ".reelstream" / "data")
    load().remember_data()
    monkeypatch.delenv("REELSTREAM_DATA__DATASET")
    assert (load().dataset, load().data_folder) == ("movielens-1m", tmp_path / ".reelstream" / "data")


def test_the_folder_of_movielens_is_not_that_of_another_data_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ML1M_DIR", str(tmp_path / "ratings of mine"))
    monkeypatch.setenv("REELSTREAM_DATA__DATASET", "shop")
    assert load().data_folder == tmp_path / ".reelstream" / "generated" / "shop"


@pytest.mark.parametrize(
    ("text", "folder"),
    [
        ('folder = "clicks"', "descriptions/clicks"),
        ('folder = "../clicks"', "clicks"),
        ('name = "none"', ".reelstream/generated/my"),
        # Whoever reads the description tells what is wrong with it.
        ("folder = 7", ".reelstream/generated/my"),
        ("folder = ", ".reelstream/generated/my"),
    ],
)
def test_a_description_names_the_folder_of_its_files_relative_to_itself(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, folder: str
) -> None:
    (tmp_path / "descriptions").mkdir()
    (tmp_path / "descriptions" / "my.toml").write_text(text)
    monkeypatch.setenv("REELSTREAM_DATA__DATASET", "descriptions/my.toml")
    assert load().data_folder == tmp_path / folder
    monkeypatch.setenv("REELSTREAM_DATA__FOLDER", "elsewhere")
    assert load().data_folder == tmp_path / "elsewhere"
