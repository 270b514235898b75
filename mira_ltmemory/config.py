"""Every setting, in one declared list: `MemoryConfig`.

Sources, first wins: arguments, ``LT_MEMORY_*`` environment variables, a TOML file, the host's config
object, defaults. A setting that is unknown or impossible is one `ConfigError` that names it.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal
from zoneinfo import ZoneInfo, available_timezones

import platformdirs
from croniter import CroniterBadDateError, croniter
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from mira_ltmemory.errors import ConfigError

ENV_PREFIX = "LT_MEMORY_"
CONFIG_FILE_ENV = "LT_MEMORY_CONFIG_FILE"
USER_NAMESPACE = uuid.UUID("6f1c3a52-5d3b-5c1e-9b59-2f0a5f3f7f10")
"""Namespace of user ids that are derived from a configured name."""

_LABEL = re.compile(r"[a-z][a-z0-9_]{0,63}\Z")


def is_label(value: str) -> bool:
    """Whether a text may label a core memory block: 1 to 64 of a-z, 0-9 and _, beginning with a letter."""
    return _LABEL.match(value) is not None


def _cron(value: str) -> str:
    if len(value.split()) != 5 or not croniter.is_valid(value):
        raise ValueError(f"{value!r} is not a cron expression of five fields, such as '0 2 * * *'")
    try:
        croniter(value, datetime(2024, 1, 1, tzinfo=UTC)).get_next()
    except CroniterBadDateError:
        raise ValueError(f"{value!r} names a day that never comes") from None
    return value


Cron = Annotated[str, AfterValidator(_cron)]


class _Switches(BaseModel):
    """A group of switches; a name that is none of them is an error."""

    model_config = ConfigDict(extra="forbid")


class ToolSwitches(_Switches):
    """One switch for each tool that the language model may be offered."""

    core_memory_append: bool = True
    core_memory_replace: bool = True
    memory_insert: bool = True
    memory_rethink: bool = True
    memory_history: bool = True
    memory_rollback: bool = True
    memory: bool = False
    archival_memory_insert: bool = True
    archival_memory_search: bool = True
    conversation_search: bool = True


class ProviderSwitches(_Switches):
    """One switch for each part of the system prompt."""

    core_memory: bool = True
    memory_status: bool = True


class AutomationSetting(_Switches):
    """Whether a job runs, and when: five cron fields, read in the user's time zone."""

    enabled: bool = True
    cron: Cron


def _automation(cron: str) -> Any:
    return Field(default_factory=lambda: AutomationSetting(cron=cron))


class AutomationSettings(_Switches):
    """One entry for each job of the automation engine."""

    process_conversations: AutomationSetting = _automation("0 * * * *")
    health_check: AutomationSetting = _automation("0 */6 * * *")
    retention: AutomationSetting = _automation("45 3 * * *")

    @field_validator("*", mode="before")
    @classmethod
    def _keep_default_cron(cls, value: Any, info: Any) -> Any:
        """Let ``{"enabled": false}`` or plain ``false`` stand without repeating the cron expression."""
        default = cls.model_fields[info.field_name].get_default(call_default_factory=True)
        if isinstance(value, bool):
            return {"enabled": value, "cron": default.cron}
        if isinstance(value, Mapping):
            return {"cron": default.cron, **value}
        return value


class MemoryConfig(BaseSettings):
    """The settings of the long-term memory. Every field has its meaning, unit and default here."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, env_nested_delimiter="__", extra="forbid", validate_default=True
    )

    reads_environment: ClassVar[bool] = True

    # The user
    user_name: str = Field("default", min_length=1, max_length=200, description="Whose memory this is.")
    user_id: uuid.UUID | None = Field(None, description="Id of the user; derived from `user_name` where none is set.")
    timezone: str = Field("UTC", description="IANA time zone of the user, for dates in searches and for cron.")

    # PostgreSQL
    database_url: str | None = Field(None, description="Postgres URL; none runs the embedded Postgres.", repr=False)
    data_dir: Path | None = Field(None, description="Where the embedded Postgres keeps its data.")
    db_pool_size: int = Field(10, ge=1, le=1000, description="Database connections kept open at most.")
    db_pool_max_overflow: int = Field(20, ge=0, le=1000, description="Connections opened beyond the pool under load.")

    # Core memory
    core_memory_blocks: dict[str, int] = Field(
        default={"persona": 2048, "human": 2048, "system": 1024},
        description="Core memory blocks and their limits in characters.",
    )
    core_memory_descriptions: dict[str, str] = Field(
        default={
            "persona": "Who you, the assistant, are: your character, voice and way of working.",
            "human": "What you know about the user: name, facts, preferences, people around them.",
            "system": "How this system is used: standing instructions, conventions, current projects.",
        },
        description="What each block is for, as the model reads it.",
    )
    core_memory_read_only: frozenset[str] = Field(frozenset(), description="Blocks that nothing may change.")
    core_memory_max_blocks: int = Field(
        20, ge=1, le=1000, description="Blocks there may be at most: each is in every prompt."
    )
    core_memory_new_block_limit: int = Field(
        2048, ge=1, le=1_000_000, description="Limit in characters of a block that is created without one."
    )
    core_memory_confirmation: Literal["never", "untrusted", "always"] = Field(
        "never",
        description="Which edits of the model wait for a person: none, those that repeat the text of a tool "
        "or a web page, or all.",
    )

    # Embeddings
    onnx_model_path: Path | None = Field(None, description="ONNX model file; none takes the one in the package.")
    onnx_tokenizer: Path | None = Field(None, description="Folder of the tokenizer; none takes the model's folder.")
    embedding_dim: int = Field(384, ge=1, le=4000, description="Dimension that the model must have.")
    embedding_max_tokens: int = Field(256, ge=8, le=8192, description="Tokens after which a text is cut.")
    embedding_batch_size: int = Field(32, ge=1, le=1024, description="Texts embedded in one batch at most.")
    embedding_threads: int = Field(0, ge=0, le=256, description="Threads of the model; 0 takes half the machine's.")
    embedding_cache_size: int = Field(2048, ge=0, le=1_000_000, description="Query vectors kept in memory.")

    # Search
    similarity_threshold: float | None = Field(
        None, ge=-1, le=1, description="Cosine below which archival hits are left out; none ranks without a threshold."
    )
    max_search_results: int = Field(10, ge=1, le=50, description="Hits of a search that names no limit.")

    # Batch processing and consolidation
    batch_process_hours: int = Field(1, ge=1, le=24 * 31, description="Hours of conversation in one batch.")
    consolidation_threshold: int = Field(1000, ge=1, description="Messages after which consolidation is due.")
    max_memory_age_days: int = Field(90, ge=1, description="Days after which a memory may enter cold storage.")

    # Knowledge graph
    entity_extraction_enabled: bool = Field(True, description="Whether entities are extracted.")
    relationship_inference_enabled: bool = Field(True, description="Whether relations are inferred.")

    # Text that is stored
    max_archival_chars: int = Field(20_000, ge=1, le=1_000_000, description="Longest archival passage, in characters.")
    max_embedded_chars: int = Field(
        200_000, ge=1, description="A message longer than this is stored whole and not embedded, in characters."
    )
    retention_days: int | None = Field(
        None, ge=1, le=36_500, description="Days after which earlier versions are removed for good; none keeps all."
    )
    redact_secrets: bool = Field(True, description="Whether secrets are replaced before anything is stored.")
    redaction_allow: tuple[str, ...] = Field((), description="Texts, or patterns as 're:...', never taken for secrets.")

    # Language model for the memory's own work
    llm_base_url: str | None = Field(None, description="OpenAI-compatible address, such as http://localhost:11434/v1.")
    llm_model: str | None = Field(None, description="Model name at that address.")
    llm_api_key: str | None = Field(None, description="Key for that address.", repr=False)

    # Switches
    tools: ToolSwitches = Field(default_factory=ToolSwitches, description="Which tools the model is offered.")
    providers: ProviderSwitches = Field(default_factory=ProviderSwitches, description="Which prompt parts are shown.")
    automations: AutomationSettings = Field(default_factory=AutomationSettings, description="Which jobs run, and when.")

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, value: str) -> str:
        if value not in available_timezones():
            near = difflib.get_close_matches(value, available_timezones(), 1)
            raise ValueError(f"{value!r} is no IANA time zone" + (f"; did you mean {near[0]!r}?" if near else ""))
        return value

    @field_validator("core_memory_blocks")
    @classmethod
    def _sane_blocks(cls, value: dict[str, int]) -> dict[str, int]:
        for label, limit in value.items():
            if not _LABEL.match(label):
                raise ValueError(f"label {label!r} must be lower-case letters, digits and _, beginning with a letter")
            if not 1 <= limit <= 1_000_000:
                raise ValueError(f"limit of {label!r} must be between 1 and 1,000,000 characters, not {limit}")
        return value

    @field_validator("core_memory_read_only")
    @classmethod
    def _read_only_exists(cls, value: frozenset[str], info: Any) -> frozenset[str]:
        unknown = value - set(info.data.get("core_memory_blocks", value))
        if unknown:
            raise ValueError(f"names no block of core_memory_blocks: {', '.join(sorted(unknown))}")
        return value

    @field_validator("database_url")
    @classmethod
    def _postgres_url(cls, value: str | None) -> str | None:
        """Read every spelling of a Postgres URL as psycopg2's: SQLAlchemy 2.1 would take psycopg 3."""
        if value is None:
            return None
        match = re.match(r"postgres(?:ql)?(?:\+(\w+))?://", value)
        if match is None or match.group(1) not in (None, "psycopg2"):
            raise ValueError("must begin with postgresql:// (driver psycopg2)")
        url = "postgresql+psycopg2://" + value[match.end() :]
        from sqlalchemy.engine import make_url  # here: only who sets a URL pays for the import
        from sqlalchemy.exc import ArgumentError

        try:
            make_url(url)
        except (ArgumentError, ValueError):
            raise ValueError("is no Postgres URL, such as postgresql://user:password@host:5432/database") from None
        if "\x00" in url:
            raise ValueError("holds a NUL byte")
        return url

    @property
    def effective_user_id(self) -> uuid.UUID:
        """The configured id, or the one derived from the user's name."""
        return self.user_id or uuid.uuid5(USER_NAMESPACE, self.user_name)

    @property
    def zone(self) -> ZoneInfo:
        """The user's time zone."""
        return ZoneInfo(self.timezone)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only arguments and the environment: `load_config` brings the file and the host's config."""
        return (init_settings, env_settings) if cls.reads_environment else (init_settings,)


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
        raise ConfigError(f"A setting in the environment cannot be read: {error}") from error
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


def _merge(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    """Lay ``upper`` over ``lower``: whole settings replace each other, the groups of switches entry by entry."""
    groups = {name: _deep(lower[name], upper[name]) for name in _GROUPS if name in lower and name in upper}
    return {**lower, **upper, **groups}


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
