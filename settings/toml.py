"""`reelstream.toml` written from the settings themselves, so that the file and the code cannot disagree."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from settings.model import Settings

HEAD = """\
# Every setting of reelstream with its default. Change a value here, or set the environment variable
# REELSTREAM_<SETTING>, for a setting in a section REELSTREAM_<SECTION>__<SETTING>
# (REELSTREAM_KAFKA__BOOTSTRAP=broker:9092). `reelstream settings` prints this file with the values in force.
"""


def as_toml(settings: Settings) -> str:
    """The settings as TOML, each under the line that says what it does. Secrets that are set are shown as `***`."""
    lines = [HEAD]
    sections = []
    for name, field in Settings.model_fields.items():
        value = getattr(settings, name)
        if isinstance(value, BaseModel):
            sections.append((name, value))
        else:
            lines += _setting(name, field, value)
    for name, part in sections:
        lines.append("")
        lines.append(f"# {(part.__doc__ or '').strip()}")
        lines.append(f"[{name}]")
        for key, field in type(part).model_fields.items():
            lines += _setting(key, field, getattr(part, key))
    return "\n".join(lines) + "\n"


def _setting(name: str, field: FieldInfo, value: object) -> list[str]:
    if isinstance(value, SecretStr):
        value = "***" if value.get_secret_value() else ""
    if isinstance(value, Path):
        value = str(value)
    return [f"# {field.description}", f"{name} = {json.dumps(value)}"]
