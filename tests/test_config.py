"""Settings and their sources."""

from __future__ import annotations

import re
import uuid
from pathlib import Path

import pytest
from pydantic import BaseModel
from pydantic_settings import EnvSettingsSource

from mira_ltmemory.config import (
    USER_NAMESPACE,
    MemoryConfig,
    load_config,
    override,
    shown_address,
    shown_database,
    sources,
)
from mira_ltmemory.errors import ConfigError

GUIDE = {
    "database_url": None,
    "db_pool_size": 10,
    "db_pool_max_overflow": 20,
    "core_memory_blocks": {"persona": 2048, "human": 2048, "system": 1024},
    "onnx_model_path": None,
    "onnx_tokenizer": None,
    "embedding_dim": 384,
    "embedding_batch_size": 32,
    "similarity_threshold": None,
    "max_search_results": 10,
    "batch_process_hours": 1,
    "consolidation_threshold": 1000,
    "max_memory_age_days": 90,
    "entity_extraction_enabled": True,
    "relationship_inference_enabled": True,
}


@pytest.fixture(autouse=True)
def no_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))


def test_every_setting_of_the_guide_is_there_under_its_name() -> None:
    settings = load_config()
    assert {name: getattr(settings, name) for name in GUIDE} == GUIDE


def test_every_setting_is_described() -> None:
    assert [name for name, field in MemoryConfig.model_fields.items() if not field.description] == []


def test_the_sources_are_laid_over_each_other(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class HostMemory(BaseModel):
        max_search_results: int = 3
        db_pool_size: int = 3
        embedding_batch_size: int = 3
        similarity_threshold: float = 0.7

    file = tmp_path / "settings.toml"
    file.write_text("max_search_results = 5\ndb_pool_size = 5\n[tools]\nmemory_insert = false\n")
    monkeypatch.setenv("LT_MEMORY_CONFIG_FILE", str(file))
    monkeypatch.setenv("LT_MEMORY_MAX_SEARCH_RESULTS", "7")
    monkeypatch.setenv("LT_MEMORY_TOOLS__MEMORY_RETHINK", "false")
    host = HostMemory(max_search_results=4, db_pool_size=4, embedding_batch_size=4)
    settings = load_config(host, max_search_results=9)
    assert settings.max_search_results == 9
    assert settings.db_pool_size == 5
    assert settings.embedding_batch_size == 4
    assert settings.similarity_threshold is None  # the host's own default is no setting
    assert not settings.tools.memory_insert
    assert not settings.tools.memory_rethink
    assert settings.tools.core_memory_append


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_search_result": 3}, "Unknown setting 'max_search_result'; did you mean 'max_search_results'"),
        ({"max_search_results": 0}, "'max_search_results'"),
        ({"database_url": "mysql://x"}, "'database_url': must begin with postgresql://"),
        ({"database_url": "postgresql+asyncpg://x"}, "'database_url'"),
        ({"timezone": "Europe/Berln"}, "did you mean 'Europe/Berlin'"),
        ({"core_memory_blocks": {"Human!": 5}}, "label 'Human!'"),
        ({"core_memory_blocks": {"human": 0}}, "limit of 'human'"),
        ({"core_memory_read_only": ["nobody"]}, "names no block"),
        ({"tools": {"core_memory_apend": False}}, "'tools.core_memory_apend'; did you mean 'tools.core_memory_append'"),
        ({"redaction_allow": ["re:("]}, "'redaction_allow': 're:(' is no pattern"),
        ({"database_url": "postgresql://h:notaport/x"}, "'database_url': is no Postgres URL"),
        ({"database_url": "postgresql://u:p\x00w@h/x"}, "'database_url'"),
        ({"automations": {"health_check": {"cron": "0 0 31 2 *"}}}, "names a day that never comes"),
        ({"automations": {"health_check": {"cron": "61 * * * *"}}}, "is not a cron expression"),
    ],
)
def test_a_wrong_setting_is_named(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_config(**arguments)
    assert message in str(error.value)


def test_a_mistyped_environment_variable_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LT_MEMORY_DATABASE_URI", "postgresql://x")
    with pytest.raises(ConfigError, match="LT_MEMORY_DATABASE_URI.*did you mean 'LT_MEMORY_DATABASE_URL'"):
        load_config()


@pytest.mark.parametrize("content", ["not toml", "max_search_results = 'many'", "nonsense = 1", b"\xff\xfe"])
def test_a_broken_file_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str | bytes) -> None:
    file = tmp_path / "settings.toml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    monkeypatch.setenv("LT_MEMORY_CONFIG_FILE", str(file))
    with pytest.raises(ConfigError):
        load_config()


def test_a_named_file_that_is_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LT_MEMORY_CONFIG_FILE", "/nonexistent/settings.toml")
    with pytest.raises(ConfigError, match="does not exist"):
        load_config()


def test_the_user_id_is_derived_from_the_name_unless_it_is_set() -> None:
    assert load_config(user_name="ada").effective_user_id == uuid.uuid5(USER_NAMESPACE, "ada")
    own = uuid.uuid4()
    assert load_config(user_name="ada", user_id=own).effective_user_id == own


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_every_spelling_of_a_postgres_url_is_read_as_psycopg2s(scheme: str) -> None:
    assert load_config(database_url=f"{scheme}://u@h/d").database_url == "postgresql+psycopg2://u@h/d"


def test_a_job_is_switched_off_or_retimed_alone() -> None:
    settings = load_config(automations={"health_check": False, "process_conversations": {"cron": "*/5 * * * *"}})
    assert not settings.automations.health_check.enabled
    assert settings.automations.health_check.cron == "0 */6 * * *"
    assert settings.automations.process_conversations.cron == "*/5 * * * *"


def test_a_job_switched_by_its_name_alone_keeps_its_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('[automations.health_check]\ncron = "0 3 * * *"\n')
    monkeypatch.setenv("LT_MEMORY_CONFIG_FILE", str(file))
    assert load_config(automations={"health_check": True}).automations.health_check.cron == "0 3 * * *"
    monkeypatch.setenv("LT_MEMORY_AUTOMATIONS__HEALTH_CHECK__ENABLED", "false")
    job = load_config().automations.health_check
    assert (job.enabled, job.cron) == (False, "0 3 * * *")


def test_settings_are_judged_together_not_source_by_source(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("[core_memory_blocks]\nprojects = 200\n")
    monkeypatch.setenv("LT_MEMORY_CONFIG_FILE", str(file))
    monkeypatch.setenv("LT_MEMORY_CORE_MEMORY_READ_ONLY", '["projects"]')
    assert load_config().core_memory_read_only == {"projects"}
    monkeypatch.setenv("LT_MEMORY_MAX_SEARCH_RESULTS", "0")
    assert load_config(max_search_results=5).max_search_results == 5


def test_overrides_are_laid_over_settings_entry_by_entry() -> None:
    settings = override(load_config(tools={"memory_insert": False}), tools={"memory_rethink": False}, user_name="ada")
    assert not settings.tools.memory_insert
    assert not settings.tools.memory_rethink
    assert settings.user_name == "ada"


def test_a_password_is_not_in_the_representation() -> None:
    assert "s3cret" not in repr(load_config(database_url="postgresql://u:s3cret@h/d", llm_api_key="s3cret"))


def test_a_broken_variable_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LT_MEMORY_REDACTION_ALLOW", "my text")
    with pytest.raises(ConfigError) as error:
        load_config()
    assert str(error.value) == """LT_MEMORY_REDACTION_ALLOW must be JSON, such as '["text"]'."""


def test_every_variable_that_is_json_has_an_example() -> None:
    source = EnvSettingsSource(MemoryConfig)
    fields = MemoryConfig.model_fields
    assert {name for name, field in fields.items() if source.field_is_complex(field)} == set(sources._EXAMPLES)
    assert load_config(**sources._EXAMPLES).redaction_allow == ("text",)


def test_a_user_of_a_higher_source_is_the_one_meant(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    own = uuid.uuid4()
    file = tmp_path / "settings.toml"
    monkeypatch.setenv("LT_MEMORY_CONFIG_FILE", str(file))
    file.write_text("user_name = 'grace'\n")
    monkeypatch.setenv("LT_MEMORY_USER_ID", str(own))
    assert load_config().effective_user_id == own
    assert load_config().user_name == "default"  # not grace: nobody said that this id is hers
    ada = load_config(user_name="ada")
    assert ada.effective_user_id == uuid.uuid5(USER_NAMESPACE, "ada")
    assert override(ada, user_id=own).effective_user_id == own
    assert override(load_config(), user_name="ada").effective_user_id == ada.effective_user_id
    assert load_config(user_name="ada", user_id=own).user_name == "ada"


def test_a_description_leaves_those_of_the_other_blocks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("[core_memory_descriptions]\nhuman = 'From the file.'\n")
    monkeypatch.setenv("LT_MEMORY_CONFIG_FILE", str(file))
    monkeypatch.setenv("LT_MEMORY_CORE_MEMORY_DESCRIPTIONS", '{"projects": "What is worked on."}')
    described = load_config().core_memory_descriptions
    assert (described["human"], described["projects"]) == ("From the file.", "What is worked on.")
    assert described["persona"].startswith("Who you, the assistant, are")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:s3cret@h/d", "postgresql://u:***@h/d"),
        (
            "postgresql://h/d?user=u&password=s3cret&sslmode=require",
            "postgresql://h/d?password=hidden&sslmode=require&user=u",
        ),
        ("postgresql://h/d?sslpassword=s3cret&passfile=/s3cret", "postgresql://h/d?passfile=hidden&sslpassword=hidden"),
    ],
)
def test_a_database_is_shown_without_its_passwords(url: str, shown: str) -> None:
    told = shown_database(url)
    assert "s3cret" not in told
    assert sorted(re.split("[?&]", told)) == sorted(re.split("[?&]", shown))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://localhost:11434/v1", "http://localhost:11434/v1"),
        ("https://me:s3cret@h:8/v1", "https://***@h:8/v1"),
        ("https://s3cret@h/v1?api-key=s3cret&api-version=2", "https://***@h/v1?api-key=hidden&api-version=2"),
    ],
)
def test_an_address_is_shown_without_its_keys(url: str, shown: str) -> None:
    assert shown_address(url) == shown
