"""Private parts of libraries are used in `compat` alone, with the versions that it was tested against."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from pkgutil import iter_modules

import pytest

import compat

ROOT = Path(__file__).parents[2]
PACKAGES = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["root_packages"])
MODULES = [module.name for module in iter_modules(compat.__path__)]
TESTED = {library: number for name in MODULES for library, number in import_module(f"compat.{name}").TESTED.items()}
OUTSIDE = sorted(file for package in PACKAGES - {"compat"} for file in (ROOT / package).rglob("*.py"))
OWN = {"self", "cls", "os"}
"""Names whose attributes may begin with an underscore: one's own, and `os._exit`, which is documented."""

OF_A_REQUEST = {"g", "request"}
"""Flask's objects of a request, which are there to be written to."""


@pytest.mark.parametrize("library", TESTED)
def test_the_version_that_is_installed_is_the_one_that_was_tested(library: str) -> None:
    assert version(library) == TESTED[library], "see docs/upgrading.md, then change TESTED"


def test_the_guide_names_each_module_and_version() -> None:
    guide = (ROOT / "docs" / "upgrading.md").read_text()
    assert [name for name in MODULES if f"`compat/{name}.py`" not in guide] == []
    assert [library for library, number in TESTED.items() if f"{library} {number}" not in guide] == []


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def third_party(module: str) -> bool:
    return module.split(".", maxsplit=1)[0] not in PACKAGES | {"__future__", "tests"}


def uses(file: Path) -> Iterator[str]:
    """Private parts of libraries that a module uses, and attributes of libraries that it sets."""
    tree = ast.parse(file.read_text())
    nodes = list(ast.walk(tree))
    imported = {
        alias.asname or alias.name.split(".")[0]
        for node in nodes
        if isinstance(node, ast.Import | ast.ImportFrom)
        and third_party(getattr(node, "module", None) or node.names[0].name)
        for alias in node.names
    }
    own = {node.attr for node in nodes if isinstance(node, ast.Attribute) and ast.unparse(node.value) in OWN}
    own |= {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    own |= {node.target.id for node in nodes if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)}
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and third_party(node.module or ""):
            names = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
            yield from (f"import of {node.module}" for name in names if is_private(name))
        if isinstance(node, ast.Attribute) and is_private(node.attr) and node.attr not in own:
            yield ast.unparse(node)
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if (
                    isinstance(target, ast.Attribute)
                    and ast.unparse(target).split(".")[0] in imported - OWN - OF_A_REQUEST
                ):
                    yield f"{ast.unparse(target)} = ..."


def test_nothing_else_uses_or_sets_what_is_private_in_a_library() -> None:
    found = {str(file.relative_to(ROOT)): list(uses(file)) for file in OUTSIDE}
    assert {file: names for file, names in found.items() if names} == {}


def test_feast_is_imported_by_compat_before_anything_else() -> None:
    """Or it would load what only training needs. `features.repository` is imported by `stores.feast` alone."""
    importing = {
        str(file.relative_to(ROOT))
        for file in OUTSIDE
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "feast"
    }
    assert importing == {"features/repository.py"}
    assert "import feast" not in "".join(file.read_text() for file in OUTSIDE)


@pytest.mark.parametrize(
    "source",
    ["from kafka._x import y", "import kafka\nkafka.client._sender", "import kafka\nkafka.name = 1", "def f(x): x._y"],
)
def test_a_private_use_is_found(source: str, tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text(source)
    assert len(list(uses(tmp_path / "module.py"))) == 1
