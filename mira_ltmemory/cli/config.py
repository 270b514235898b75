"""``config``: the settings that are in force."""

from __future__ import annotations

import json
from typing import Any

import typer
from pydantic import BaseModel
from rich.table import Table

from mira_ltmemory.cli.common import Target, console, plain
from mira_ltmemory.config import CONFIG_FILE_ENV, default_config_file, load_config, shown_address, shown_database

_SECRET = ("llm_api_key",)


def config(context: typer.Context) -> None:
    """Show every setting, its value and whether it is the default; secrets are hidden."""
    target: Target = context.obj
    settings = load_config(**target.settings)
    table = Table("setting", "value", "")
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        mark = "set" if name in settings.model_fields_set else ""
        table.add_row(name, plain(_shown(name, value)), mark)
    screen = console()
    screen.print(table, markup=False)
    screen.print(f"Settings file: {default_config_file()} (or {CONFIG_FILE_ENV})", markup=False, soft_wrap=True)


def _shown(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name in _SECRET:
        return "(hidden)"
    if name == "database_url":
        return shown_database(value)
    if name == "llm_base_url":
        return shown_address(value)
    if isinstance(value, BaseModel):
        return json.dumps(value.model_dump(mode="json"), ensure_ascii=False)
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, frozenset | tuple):
        return ", ".join(sorted(map(str, value))) or "-"
    return str(value)
