"""Descriptions of data sets, as TOML files. docs/datasets.md says what a description holds.

movielens-1m.toml     MovieLens-1M, for which everything has its defaults
movielens-100k.toml   MovieLens-100K, another layout
shop.toml             a shop with views, carts and purchases, which `reelstream data make --like shop` generates
"""

from __future__ import annotations

from pathlib import Path

from features import Schema
from features.dataset import DataSet, DescriptionError, parse
from settings import ReelstreamError

FOLDER = Path(__file__).parent
SUFFIX = ".toml"


class DataSetError(ReelstreamError, ValueError):
    """The description of a data set is missing or breaks a rule."""


def path_of(name: str) -> Path:
    """The file of a description: a path that ends in .toml, or the name of a file in this package without the ending.

    >>> path_of("movielens-1m").name
    'movielens-1m.toml'
    """
    return Path(name).expanduser() if name.endswith(SUFFIX) else FOLDER / f"{name}{SUFFIX}"


def read(name: str) -> DataSet:
    """Read a description, by its path or its name (`settings.dataset`).

    It is given without its folder: where the files lie says nothing about what they mean, and is not to be stored.

    Raises:
        DataSetError: there is none, or it breaks a rule; the message names the line.
    """
    path = path_of(name)
    try:
        return parse(path.read_text("utf-8")).model_copy(update={"folder": ""})
    except DescriptionError as error:
        place = f"{path.name}, " if error.line else f"{path.name}: "
        raise DataSetError(f"{place}{error}") from None
    except UnicodeDecodeError:
        raise DataSetError(f"{path} is not a text file in UTF-8") from None
    except OSError:
        names = ", ".join(sorted(file.stem for file in FOLDER.glob(f"*{SUFFIX}")))
        raise DataSetError(
            f"there is no description {path}; set REELSTREAM_DATA__DATASET to a .toml file, or to one of {names}"
        ) from None


def first_schema() -> Schema:
    """The schema of MovieLens-1M, of which everything is that was stored before schemas were."""
    return Schema(read("movielens-1m"))
