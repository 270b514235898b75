"""Every setting, in one declared list: `MemoryConfig`."""

from __future__ import annotations

import difflib
import re
import uuid
from pathlib import Path
from typing import Any, ClassVar, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from mira_ltmemory.config.switches import AutomationSettings, ProviderSwitches, ToolSwitches

ENV_PREFIX = "LT_MEMORY_"
USER_NAMESPACE = uuid.UUID("6f1c3a52-5d3b-5c1e-9b59-2f0a5f3f7f10")
"""Namespace of user ids that are derived from a configured name."""

_DESCRIPTIONS = {
    "persona": "Who you, the assistant, are: your character, voice and way of working.",
    "human": "What you know about the user: name, facts, preferences, people around them.",
    "system": "How this system is used: standing instructions, conventions, current projects.",
}
_LABEL = re.compile(r"[a-z][a-z0-9_]{0,63}\Z")


def is_label(value: str) -> bool:
    """Whether a text may label a core memory block: 1 to 64 of a-z, 0-9 and _, beginning with a letter."""
    return _LABEL.match(value) is not None


def is_timezone(name: str) -> bool:
    """Whether a text names an IANA time zone. Listing them all takes longer than the rest of the settings."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


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
        default=_DESCRIPTIONS, description="What each block is for, as the model reads it; what is not named stays."
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
    embedding_threads: int = Field(
        0,
        ge=0,
        le=256,
        description="Batches that the model runs at once, one thread each; 0 takes half the machine's processors.",
    )
    embedding_cache_size: int = Field(2048, ge=0, le=1_000_000, description="Query vectors kept in memory.")
    embedding_cache_kept: int = Field(
        2048,
        ge=0,
        le=1_000_000,
        description="Query vectors kept in the database for later processes, at most those in memory; 0 keeps none.",
    )

    model_change_overlap: float = Field(
        0.2,
        ge=0,
        le=1,
        description="Share of the present model's hits that a new one must find too before searches use it.",
    )
    old_vectors_days: int = Field(
        7, ge=0, le=3650, description="Days for which the vectors of a former embedding model are kept."
    )

    # Search
    similarity_threshold: float | None = Field(
        None, ge=-1, le=1, description="Cosine below which archival hits are left out; none ranks without a threshold."
    )
    late_interaction: bool = Field(
        True, description="Whether the words of a query are compared with those of each text, by vectors of their own."
    )
    reranker_path: Path | None = Field(
        None,
        description="A cross-encoder as ONNX file, with its tokenizer beside it, that re-ranks the best hits.",
    )
    reranker_ms: int = Field(
        300, ge=10, le=60_000, description="Milliseconds that it may take for a query; then the first ranking stands."
    )
    reranker_hits: int = Field(20, ge=2, le=100, description="Hits that it re-ranks.")
    max_search_results: int = Field(10, ge=1, le=50, description="Hits of a search that names no limit.")

    # Batch processing and consolidation
    batch_process_hours: int = Field(1, ge=1, le=24 * 31, description="Hours of conversation in one batch.")
    batch_max_minutes: float = Field(
        20, gt=0, le=24 * 60, description="Minutes after which a run ends; the next goes on."
    )
    batch_use_model: bool = Field(
        True, description="Whether a language model, where there is one, draws facts from conversations."
    )
    batch_max_tokens: int | None = Field(
        200_000, ge=1000, description="Model tokens after which a run ends; none is no limit."
    )
    consolidation_threshold: int = Field(
        1000, ge=1, description="New messages after which consolidation does not wait for its hour."
    )
    quiet_minutes: int = Field(
        15,
        ge=0,
        le=180,
        description="Minutes without a message before a heavy job runs, up to 3 hours late; 0: at once.",
    )
    max_memory_age_days: int = Field(
        90, ge=1, description="Active days (the user was there) after which an unused memory may enter cold storage."
    )
    cold_below_importance: float = Field(
        0.5, ge=0, le=1, description="Importance, 0 to 1, below which an old memory enters cold storage."
    )
    max_hot_passages: int = Field(
        20_000, ge=1, description="Passages the indexes hold; beyond that the least important enter cold storage."
    )
    max_hot_messages: int = Field(
        200_000, ge=1, description="Messages the indexes hold; beyond that the oldest enter cold storage."
    )

    # Knowledge graph
    entity_extraction_enabled: bool = Field(True, description="Whether entities are extracted.")
    relationship_inference_enabled: bool = Field(True, description="Whether relations are inferred.")

    # The weekly review
    review_max_steps: int = Field(
        12, ge=0, le=100, description="Answers of the model in one weekly review, at most; 0: patterns only."
    )
    review_max_tokens: int = Field(
        100_000, ge=1000, description="Tokens that the model may read and write in one weekly review."
    )
    review_minutes: float = Field(15, gt=0, le=600, description="Minutes that the model's part of a review may take.")

    # Parts of the prompt
    prompt_relevant_chars: int = Field(
        2000, ge=500, le=50_000, description="Characters of the prompt for memories about the last message, at most."
    )
    prompt_relevant_probability: float = Field(
        0.15, ge=0, le=1, description="How likely a memory must be relevant to be shown without being asked for."
    )
    prompt_insights_chars: int = Field(
        1000, ge=500, le=50_000, description="Characters of the prompt for recent insights, at most."
    )
    prompt_entities_chars: int = Field(
        800, ge=500, le=50_000, description="Characters of the prompt for active entities, at most."
    )
    prompt_status_chars: int = Field(
        1500, ge=500, le=50_000, description="Characters of the prompt for the memory status, at most."
    )

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
    llm_timeout: float = Field(120, gt=0, le=3600, description="Seconds that one answer at that address may take.")
    llm_requests_per_minute: float | None = Field(
        None,
        gt=0,
        le=10_000,
        description="Model calls a minute; none: 6 of the host's model, no limit at an own address.",
    )
    llm_price_input: float | None = Field(
        None, ge=0, description="Price of a million tokens read; none reports no cost."
    )
    llm_price_output: float | None = Field(None, ge=0, description="Price of a million tokens written.")

    # Switches
    tools: ToolSwitches = Field(default_factory=ToolSwitches, description="Which tools the model is offered.")
    providers: ProviderSwitches = Field(default_factory=ProviderSwitches, description="Which prompt parts are shown.")
    automations: AutomationSettings = Field(default_factory=AutomationSettings, description="Which jobs run, and when.")

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, value: str) -> str:
        if not is_timezone(value):
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

    @field_validator("core_memory_descriptions")
    @classmethod
    def _others_keep_theirs(cls, value: dict[str, str]) -> dict[str, str]:
        return {**_DESCRIPTIONS, **value}

    @field_validator("redaction_allow")
    @classmethod
    def _patterns_compile(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for entry in value:
            try:
                re.compile(entry[3:] if entry.startswith("re:") else "")
            except (re.error, OverflowError, RecursionError) as error:
                raise ValueError(f"{entry!r} is no pattern: {error}") from None
        return value

    @field_validator("core_memory_read_only")
    @classmethod
    def _read_only_exists(cls, value: frozenset[str], info: Any) -> frozenset[str]:
        unknown = value - set(info.data.get("core_memory_blocks", value))
        if unknown:
            raise ValueError(f"names no block of core_memory_blocks: {', '.join(sorted(unknown))}")
        return value

    @field_validator("llm_base_url")
    @classmethod
    def _http_url(cls, value: str | None) -> str | None:
        if value is not None and not re.match(r"https?://[^\s/]+", value):
            raise ValueError("must begin with http:// or https://, such as http://localhost:11434/v1")
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

    @model_validator(mode="after")
    def _model_is_named(self) -> MemoryConfig:
        if self.llm_base_url is not None and self.llm_model is None:
            raise ValueError("llm_base_url needs llm_model: the name of the model at that address")
        return self

    @property
    def prices(self) -> tuple[float, float] | None:
        """Prices of a million tokens read and written, where they are set."""
        if self.llm_price_input is None and self.llm_price_output is None:
            return None
        return self.llm_price_input or 0.0, self.llm_price_output or 0.0

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
