"""A run that is trained after users were erased from the history."""

from __future__ import annotations

from pathlib import Path

from offline import runs
from offline.data import readers
from offline.state.archived_history import archive_history
from offline.train.pipeline import train
from settings import Settings
from stores.archive import history
from stores.archive.archive import Archive

USERS = (81, 82)
"""Users whom the generated ratings do not have."""


def with_more_users(generated: Settings, folder: Path) -> Settings:
    """The generated ratings with those of more users among them."""
    content = {name: (generated.data_folder / name).read_bytes() for name in readers.FILES}
    ratings = content[readers.RATINGS].splitlines(keepends=True)
    for number, userid in enumerate(USERS):
        theirs = [line.replace(b"1::", b"%d::" % userid, 1) for line in ratings if line.startswith(b"1::")]
        ratings[100 * number : 100 * number] = theirs
        content[readers.USERS] += b"%d::F::25::4::00000\n" % userid
    folder.mkdir()
    for name, text in (content | {readers.RATINGS: b"".join(ratings)}).items():
        (folder / name).write_bytes(text)
    data = generated.data.model_copy(update={"folder": str(folder)})
    return generated.model_copy(update={"state_dir": folder / "state", "data": data})


def test_a_run_trained_after_an_erasure_is_the_one_of_ratings_without_the_users_and_says_so(
    generated: Settings, run: Path, tmp_path: Path
) -> None:
    settings = with_more_users(generated, tmp_path / "data")
    ratings = readers.load(settings)
    archive_history(settings, ratings, readers.data_hash(ratings))
    archive = Archive(settings.archive_folder)
    with archive.locked():
        assert history.without_users(archive, USERS, {"topic": {0: 7}}) == len(USERS)
    after, never = runs.manifest(train(settings)), runs.manifest(run)
    assert {*USERS} < {*ratings.catalogue.users}
    assert (after.files, after.metrics) == (never.files, never.metrics)
    assert (after.erased_to, never.erased_to) == ({"topic": {0: 7}}, {})
    assert after.data_hash == readers.data_hash(ratings) != never.data_hash
