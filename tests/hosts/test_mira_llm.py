"""Both providers behind MIRA's bridge, with recorded-shape answers over HTTP: what comes of each failure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mira_ltmemory.errors import LLMError, LLMRejected, LLMUnavailable
from mira_ltmemory.hosts.local.bridge import LLMBridge
from mira_ltmemory.hosts.local.openai_bridge import OpenAIBridge
from mira_ltmemory.hosts.local.scripted_model import Fault, Reply, ScriptedModel
from mira_ltmemory.hosts.mira_llm import MiraLLM

HELLO = [{"role": "user", "content": "Hello"}]
BRIDGES = {
    "anthropic": lambda url: LLMBridge(url, "claude", api_key="k", timeout=0.5),
    "openai": lambda url: OpenAIBridge(url, "small", timeout=0.5),
}


@pytest.mark.parametrize("provider", BRIDGES)
def test_an_answer(provider: str) -> None:
    with ScriptedModel([Reply("Good day", input_tokens=12, output_tokens=3)]) as model:
        make: Callable[[str], Any] = BRIDGES[provider]
        with make(model.url) as bridge:
            reply = MiraLLM(lambda: bridge).complete(HELLO, system="Be kind")
    assert (reply.text, reply.input_tokens, reply.output_tokens, reply.stop_reason) == ("Good day", 12, 3, "end_turn")


@pytest.mark.parametrize("provider", BRIDGES)
@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault(429), LLMUnavailable),
        (Fault(529), LLMUnavailable),
        (Fault(500), LLMUnavailable),
        (Fault(hang=True), LLMUnavailable),
        (Fault(half=True), LLMUnavailable),
        (Fault(400), LLMRejected),
        (Fault(401), LLMRejected),
    ],
)
def test_failures(provider: str, fault: Fault, kind: type[LLMError]) -> None:
    with ScriptedModel([fault]) as model:
        make: Callable[[str], Any] = BRIDGES[provider]
        with make(model.url) as bridge, pytest.raises(kind) as caught:
            MiraLLM(lambda: bridge).complete(HELLO)
    assert type(caught.value) is kind


def test_the_broken_retry_of_the_bridge_counts_as_unavailable() -> None:
    class Broken:
        def generate_response(self, **_: object) -> None:
            raise RuntimeError("generator didn't stop")

    with pytest.raises(LLMUnavailable, match="generator didn't stop"):
        MiraLLM(Broken).complete(HELLO)


def test_without_a_bridge() -> None:
    with pytest.raises(LLMRejected, match="no language model"):
        MiraLLM(lambda: None).complete(HELLO)
