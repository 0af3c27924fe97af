"""The folder of backups: what is shared, what is removed, and what is found damaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from lifecycle.backup_folder import BackupFolder, BackupManifest, StoredFile
from lifecycle.errors import LifecycleError


def manifest(name: str, files: dict[str, StoredFile]) -> BackupManifest:
    return BackupManifest(
        name=name,
        topic="ratings",
        ends=[0],
        filed_to=[0],
        data_hash="0",
        base=None,
        run=None,
        previous=None,
        max_future_s=0.0,
        data={},
        files=files,
    )


def stored(folder: BackupFolder) -> set[str]:
    return {path.name for path in (folder.folder / "files").iterdir()}


def test_content_that_is_there_is_not_copied_again(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"one")
    folder = BackupFolder(tmp_path / "backups")
    with folder.writing():
        first = folder.copy(source)
        assert (folder.copied, folder.bytes_copied) == (1, 3)
        assert folder.copy(source, first.sha256) == folder.put(b"one") == first
        assert (folder.copied, folder.bytes_copied) == (1, 3)
    assert stored(folder) == {first.sha256}
    assert (tmp_path / "backups").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "backups" / "files" / first.sha256).stat().st_mode & 0o777 == 0o600


def test_a_source_with_another_hash_than_it_must_have_is_not_stored(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"one")
    folder = BackupFolder(tmp_path / "backups")
    with folder.writing(), pytest.raises(LifecycleError, match="does not match its hash"):
        folder.copy(source, "0" * 64)
    assert stored(folder) == set()


def test_only_backups_with_a_manifest_count_and_the_newest_stay_with_their_files(tmp_path: Path) -> None:
    folder = BackupFolder(tmp_path / "backups")
    with folder.writing():
        shared, old, leftover = folder.put(b"shared"), folder.put(b"old"), folder.put(b"of a killed backup")
        assert folder.names() == []
        with pytest.raises(LifecycleError, match="no complete backup"):
            folder.manifest()
        folder.write_manifest(manifest("1", {"a": shared, "b": old}))
        folder.write_manifest(manifest("2", {"a": shared}))
        assert folder.prune(2) == []
        assert stored(folder) == {shared.sha256, old.sha256} and leftover.sha256 not in stored(folder)
        folder.write_manifest(manifest("3", {"a": shared}))
        assert folder.prune(2) == ["1"]
    assert folder.names() == ["2", "3"] and folder.manifest().name == "3"
    assert stored(folder) == {shared.sha256}
    with pytest.raises(LifecycleError, match="there are: 2, 3"):
        folder.manifest("1")


@pytest.mark.parametrize("content", [b"two", b"twox", None])
def test_a_damaged_or_missing_file_is_found_by_its_hash(tmp_path: Path, content: bytes | None) -> None:
    folder = BackupFolder(tmp_path / "backups")
    with folder.writing():
        file = folder.put(b"one")
        folder.write_manifest(manifest("1", {"name/of/it": file}))
    folder.check(folder.manifest(), lambda share: None)
    path = folder.folder / "files" / file.sha256
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(LifecycleError, match="name/of/it"):
        folder.check(folder.manifest(), lambda share: None)
    with pytest.raises(LifecycleError, match=file.sha256):
        folder.extract(file, tmp_path / "target")
    assert not (tmp_path / "target").exists()


def test_a_folder_with_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"")
    with pytest.raises(LifecycleError, match=r"holds holiday\.jpg"), BackupFolder(tmp_path).writing():
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.jpg"]
