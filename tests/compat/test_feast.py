"""Feast still has the behaviour that is patched, and the private parts that are used."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import feast.feature_server
import pytest
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.online_stores import helpers
from feast.infra.online_stores.redis import RedisOnlineStore, _versioned_fv_name
from feast.infra.provider import Provider
from feast.permissions.server import utils
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value

from compat.feast import NO_OFFLINE_STORE, FeatureStore, FeatureView, RepoConfig
from compat.feast_rows import ENCODING, _field_of, entity_of, row_key, row_key_prefix
from tests.compat.private import parameters

IMPORT = """
import json, sys, typeguard
checked, whole = [], typeguard.typechecked
def count(target=None, **options):
    checked.append(target)
    return whole(target, **options) if target is not None else whole(**options)
typeguard.typechecked = count
import {module}
print(json.dumps({{"torch": "torch" in sys.modules, "checked": len(checked)}}))
"""


def loaded_with(module: str) -> dict[str, int]:
    """The modules that a new process loads with a module."""
    found: dict[str, int] = json.loads(printed(IMPORT.format(module=module)))
    return found


def printed(script: str) -> str:
    """The last line that a script prints in a new process."""
    command = [sys.executable, "-W", "ignore", "-c", script]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True, timeout=300)
    return done.stdout.splitlines()[-1]


def test_without_the_patch_feast_loads_torch_and_compiles_its_classes_anew() -> None:
    plain = loaded_with("feast")
    assert plain["torch"], "Feast no longer loads torch: leave it alone"
    assert plain["checked"] > 0, "Feast no longer has its calls checked: leave typeguard alone"
    assert loaded_with("compat.feast") == {"torch": False, "checked": 0}


def test_the_provider_and_the_online_store_are_as_they_were() -> None:
    assert parameters(FeatureStore._get_provider) == "self"
    assert parameters(Provider.online_write_batch) == "self, config, table, data, progress"
    assert parameters(RedisOnlineStore.delete_table) == "self, config, table"
    assert parameters(RedisOnlineStore._get_client) == "self, online_store_config"


@pytest.mark.parametrize("entity", [77, "77", "\u2603" * 128])
def test_a_key_and_a_field_are_those_of_feast(entity: int | str) -> None:
    value = Value(string_val=entity) if isinstance(entity, str) else Value(int64_val=entity)
    key = EntityKey(join_keys=["userid"], entity_values=[value])
    assert row_key("project", "userid", entity) == helpers._redis_key("project", key, ENCODING)
    assert _field_of("user", "n30") == helpers._mmh3("user:n30")


def test_a_view_has_no_version_in_its_name() -> None:
    config = RepoConfig(project="p", provider="local", registry="none", offline_store={"type": NO_OFFLINE_STORE})
    assert _versioned_fv_name(FeatureView(name="user", source=None, entities=[]), config) == "user"


AFTER_ROWS = """
import json, sys
import compat.feast_rows as rows
before = [name for name in sys.modules if name == "feast" or name.startswith("feast.")]
import compat.feast
from feast.protos.feast.types.Value_pb2 import Value
print(json.dumps([before, Value is rows.Value, compat.feast.FeatureStore.__module__]))
"""


def test_rows_load_nothing_of_feast_that_stays_and_feast_can_be_loaded_after_them() -> None:
    assert json.loads(printed(AFTER_ROWS)) == [[], True, "feast.feature_store"]


def test_a_worker_does_not_load_feast() -> None:
    assert printed("import sys, stream.__main__; print('feast' in sys.modules)") == "False"


def test_the_connection_string_cannot_name_a_retry_policy() -> None:
    _, options = RedisOnlineStore._parse_connection_string("127.0.0.1:1,retry=3")
    assert options == {"retry": 3}, "redis-py takes a Retry object, which no text makes"


@pytest.mark.parametrize("entity", [77, "77", "u", "an id of a project", "\u2603" * 128])
def test_the_key_of_a_row_tells_its_entity(entity: int | str) -> None:
    key = row_key("project", "userid", entity)
    assert key.startswith(row_key_prefix("userid"))
    assert entity_of("project", key) == entity


def test_a_key_whose_entity_is_neither_a_number_nor_a_text_is_refused() -> None:
    junk = EntityKey(join_keys=["userid"], entity_values=[Value(bytes_val=b"u")])
    with pytest.raises(ValueError, match="holds bytes_val"):
        entity_of("project", serialize_entity_key(junk) + b"project")


def test_the_server_has_no_read_only_mode_and_the_parts_that_make_one() -> None:
    assert "read_only" not in parameters(FeatureStore.serve)
    assert parameters(feast.feature_server.FeastServeApplication.load) == "self"
    assert parameters(utils.init_security_manager) == "auth_type, fs"
    assert parameters(utils.init_auth_manager) == "server_type, auth_type, auth_config"
    assert parameters(utils.str_to_auth_manager_type) == "value"
