"""``batch``: what waits and was set aside, trying again, and processing now."""

from __future__ import annotations

import json
from collections.abc import Callable

from talking import said

from mira_ltmemory.composition import MemoryManager
from mira_ltmemory.hosts.local.scripted_model import Reply, ScriptedModel
from mira_ltmemory.services.batch.processor import ATTEMPTS

Run = Callable[..., str]
NO_GRAPH = {"LT_MEMORY_ENTITY_EXTRACTION_ENABLED": "false"}


def test_own_words_without_a_model(run: Run, memory: MemoryManager) -> None:
    said(memory, "I moved to Porto in March of this year.")
    shown = run("batch", "status")
    assert "passages of their own words, without a language model" in shown
    assert "1 messages wait, 0 are set aside." in shown
    assert "1 messages, 0 set aside" in run("status")
    assert "Processed 1 messages in 1 windows, 1 passages." in run("batch", "run", **NO_GRAPH)
    assert "0 messages wait, 0 are set aside." in run("batch")
    assert "I moved to Porto" in run("search", "--archival", "Porto")


def test_facts_and_what_was_set_aside(run: Run, memory: MemoryManager) -> None:
    fact = {"action": "add", "text": "The user lives in Porto.", "quote": "moved to Porto in March", "messages": [1]}
    good = Reply(json.dumps({"facts": [fact]}))
    said(memory, "I moved to Porto in March of this year.")
    with memory.store.upkeep() as unit:
        unit.batches.enlist()
        unit.batches.execute(
            "UPDATE ltmemory.batch_messages SET state = 'aside', attempts = :attempts, last_error = 'facts: no JSON' "
            "WHERE user_id = :user_id",
            attempts=ATTEMPTS,
        )
    with ScriptedModel(default=good) as server:
        model = {"LT_MEMORY_LLM_BASE_URL": f"{server.url}/v1", "LT_MEMORY_LLM_MODEL": "small", **NO_GRAPH}
        shown = run("batch", "status", **model)
        assert "facts, drawn by the model small" in shown
        assert "0 messages wait, 1 are set aside." in shown
        assert "3 times" in shown and "facts: no JSON" in shown and "talk" in shown
        assert "Processed 0 messages" in run("batch", "run", **model)
        assert "1 messages wait again." in run("batch", "retry", **model)
        done = run("batch", "run", LT_MEMORY_LLM_PRICE_INPUT="3", LT_MEMORY_LLM_PRICE_OUTPUT="15", **model)
    assert "1 facts added" in done and "1 model calls, 15 tokens, cost 0.0001" in done
    assert len(server.requests) == 1


def test_a_model_that_refuses_the_key_is_told(run: Run, memory: MemoryManager) -> None:
    said(memory, "I moved to Porto in March of this year.")
    with ScriptedModel() as server:  # has no answer: 400
        model = {"LT_MEMORY_LLM_BASE_URL": f"{server.url}/v1", "LT_MEMORY_LLM_MODEL": "small", **NO_GRAPH}
        shown = run("batch", "run", **model)
    assert "1 messages wait." in shown
