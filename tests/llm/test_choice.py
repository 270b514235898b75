"""Which model the memory's own work uses: the one given, the configured one, the host's, or none."""

from __future__ import annotations

import pytest
from doubles import FixedClock, ListedLLM, WordEmbedder

from mira_ltmemory.composition import open_memory
from mira_ltmemory.config import MemoryConfig
from mira_ltmemory.errors import ConfigError
from mira_ltmemory.hosts.local.scripted_model import ScriptedModel
from mira_ltmemory.protocols import LLM

HELLO = [{"role": "user", "content": "Hello"}]


def chosen(config: MemoryConfig, clock: FixedClock, *, llm: LLM | None = None, host: LLM | None = None) -> str | None:
    memory = open_memory(config, clock=clock, embedder=WordEmbedder(), llm=llm, host_llm=host)
    try:
        return None if memory.llm is None else memory.llm.complete(HELLO).text
    finally:
        memory.close()


def test_the_nearest_model_is_used(config: MemoryConfig, clock: FixedClock) -> None:
    own, host = ListedLLM(default="own"), ListedLLM(default="host")
    with ScriptedModel(default="configured") as server:
        configured = config.model_copy(update={"llm_base_url": f"{server.url}/v1", "llm_model": "small"})
        assert chosen(configured, clock, llm=own, host=host) == "own"
        assert chosen(configured, clock, host=host) == "configured"
        assert len(server.requests) == 1
    assert chosen(config, clock, host=host) == "host"
    assert chosen(config, clock) is None


def test_another_users_memory_asks_the_same_model(config: MemoryConfig, clock: FixedClock) -> None:
    memory = open_memory(config, clock=clock, embedder=WordEmbedder(), llm=ListedLLM(default="own"))
    other = memory.as_user(f"{config.user_name}-other")
    assert other.llm is not None
    assert other.llm.complete(HELLO).text == "own"
    memory.close()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"llm_base_url": "http://localhost:11434/v1"}, "llm_base_url needs llm_model"),
        ({"llm_base_url": "localhost:11434", "llm_model": "small"}, "must begin with http"),
    ],
)
def test_half_a_model_is_an_error(given: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        open_memory(**given)
