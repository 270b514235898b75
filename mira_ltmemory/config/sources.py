"""Reads settings from their sources.

Sources, first wins: arguments, ``LT_MEMORY_*`` environment variables, a TOML file, the host's config
object, defaults. A setting that is unknown or impossible is one `ConfigError` that names it.
"""

from __future__ import annotations

import difflib
import json
import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import platformdirs
from pydantic import BaseModel, ValidationError
from pydantic_settings import EnvSettingsSource, SettingsError

from mira_ltmemory.config.settings import ENV_PREFIX, MemoryConfig
from mira_ltmemory.config.switches import AutomationSetting
from mira_ltmemory.errors import ConfigError

CONFIG_FILE_ENV = "LT_MEMORY_CONFIG_FILE"


def load_config(host_config: object | None = None, **arguments: Any) -> MemoryConfig:
    """Read all sources and return the settings. Raises `ConfigError` naming the setting that is wrong."""
    unknown = [name for name in os.environ if name.upper().startswith(ENV_PREFIX) and not _is_known_variable(name)]
    if unknown:
        known = [ENV_PREFIX + field.upper() for field in MemoryConfig.model_fields] + [CONFIG_FILE_ENV]
        raise ConfigError(_unknown("environment variable", sorted(unknown)[0], known))
    lower = _merge(_from_host(host_config), _from_file())
    try:
        from_environment = EnvSettingsSource(MemoryConfig)()
    except SettingsError as error:  # a variable that should hold JSON and does not
        raise ConfigError(_no_json(error)) from error
    return _validated(_merge(_merge(lower, from_environment), arguments))


def override(settings: MemoryConfig, **arguments: Any) -> MemoryConfig:
    """Lay arguments over settings that are complete already. Raises `ConfigError`."""
    return _validated(_merge(settings.model_dump(exclude_unset=True), arguments))


class _Merged(MemoryConfig):
    """Settings whose sources were laid over each other before: reads no environment of its own."""

    reads_environment: ClassVar[bool] = False


def _validated(values: Mapping[str, Any]) -> MemoryConfig:
    for name in values:
        if name not in MemoryConfig.model_fields:
            raise ConfigError(_unknown("setting", name, MemoryConfig.model_fields))
    try:
        return _Merged(**values)
    except ValidationError as error:
        raise ConfigError(_first_problem(error)) from error


def default_config_file() -> Path:
    """Where the TOML file is looked for when ``LT_MEMORY_CONFIG_FILE`` names none."""
    return Path(platformdirs.user_config_dir("mira-ltmemory")) / "config.toml"


def _from_file() -> dict[str, Any]:
    named = os.environ.get(CONFIG_FILE_ENV)
    path = Path(named) if named else default_config_file()
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        if named:
            raise ConfigError(f"{CONFIG_FILE_ENV} names {path}, which does not exist.") from None
        return {}
    except PermissionError:
        if named:
            raise ConfigError(f"The settings file {path} may not be read by this user.") from None
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"The settings file {path} cannot be read: {error}") from error


def _from_host(host_config: object | None) -> dict[str, Any]:
    """Settings that the host's config object names explicitly; its own defaults are not settings."""
    if host_config is None:
        return {}
    if isinstance(host_config, Mapping):
        return dict(host_config)
    if isinstance(host_config, BaseModel):
        return host_config.model_dump(include=set(host_config.model_fields_set))
    raise ConfigError(f"The host's memory settings must be a mapping or a model, not {type(host_config).__name__}.")


_GROUPS = ("tools", "providers", "automations")
_BY_ENTRY = (*_GROUPS, "core_memory_descriptions")
_EXAMPLES = {
    "core_memory_blocks": {"persona": 2048, "human": 2048},
    "core_memory_descriptions": {"human": "text"},
    "core_memory_read_only": ["persona"],
    "redaction_allow": ["text"],
    "tools": {"memory_rethink": False},
    "providers": {"memory_status": False},
    "automations": {"weekly_review": {"enabled": False}},
}
"""What the settings look like that are JSON in the environment."""


def _merge(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    """Lay ``upper`` over ``lower``: whole settings replace each other, groups and descriptions entry by entry.

    A user that ``upper`` names, by name or id, is not the one that ``lower`` names in the other way.
    """
    below = dict(lower)
    if upper.get("user_name") is not None and "user_id" not in upper:
        below.pop("user_id", None)
    elif upper.get("user_id") is not None and "user_name" not in upper:
        below.pop("user_name", None)
    groups = {name: _deep(below[name], upper[name]) for name in _BY_ENTRY if name in below and name in upper}
    return {**below, **upper, **groups}


def _deep(below: Any, above: Any) -> Any:
    if isinstance(below, Mapping) and isinstance(above, bool):
        above = {"enabled": above}  # a job switched by its name alone keeps the time that it was given
    if not isinstance(below, Mapping) or not isinstance(above, Mapping):
        return above
    shared = {name: _deep(below[name], above[name]) for name in below.keys() & above.keys()}
    return {**below, **above, **shared}


def _is_known_variable(name: str) -> bool:
    field = name.upper().removeprefix(ENV_PREFIX).split("__")[0].lower()
    # MIRA's own first attempt read LT_MEMORY_ONNX_MODEL: a variable left from it is no mistake.
    return name in (CONFIG_FILE_ENV, "LT_MEMORY_ONNX_MODEL") or field in MemoryConfig.model_fields


def _no_json(error: SettingsError) -> str:
    """Name the variable that should hold JSON and does not. Its text is not shown: it may be a secret."""
    for name, example in _EXAMPLES.items():
        if f'"{name}"' in str(error):
            return f"{ENV_PREFIX}{name.upper()} must be JSON, such as '{json.dumps(example)}'."
    return f"A setting in the environment cannot be read: {error}"


def _unknown(what: str, name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), 1)
    return f"Unknown {what} {name!r}" + (f"; did you mean {near[0]!r}?" if near else ".")


def _first_problem(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        groups = {name: MemoryConfig.model_fields[name].annotation for name in _GROUPS}
        known = getattr(groups.get(str(first["loc"][0])), "model_fields", AutomationSetting.model_fields)
        return _unknown("setting", where, [".".join([*map(str, first["loc"][:-1]), name]) for name in known])
    message = first["msg"].removeprefix("Value error, ")
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"Setting {where!r}: {message}{more}"
