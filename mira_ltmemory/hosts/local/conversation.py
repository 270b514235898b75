"""The conversation: its messages, and the loop that turns a user's input into an answer."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import uuid4

from mira_ltmemory.hosts.local.clock import Clock, as_utc, utc_now
from mira_ltmemory.hosts.local.config import HostConfig
from mira_ltmemory.hosts.local.errors import ConversationError, ErrorCode, ToolError, error_context, note_error
from mira_ltmemory.hosts.local.relevance import ToolRelevanceEngine
from mira_ltmemory.hosts.local.tools import ToolRepository
from mira_ltmemory.hosts.local.working_memory import WorkingMemory

logger = logging.getLogger(__name__)

NO_SUCH_TOOL = "I have no tool for that request, but I can try to help without one. Can you tell me more?"
_NEED_TOOL = re.compile(r"<need_tool\s*/?>", re.IGNORECASE)
_TOPIC_CHANGED = re.compile(r"<topic_changed=true\s*/?>", re.IGNORECASE)
_WORKFLOW_END = re.compile(r"<workflow_(?:complete|cancel)\s*/?>", re.IGNORECASE)
_JSON_TYPES = (str, int, float, bool, dict, list, type(None))


@dataclass
class Message:
    """One message; ``content`` is text, or a list of blocks (objects, dicts, or strings once it was saved)."""

    role: str
    content: Any
    id: str = field(default_factory=lambda: str(uuid4()))
    created_at: datetime = field(default_factory=utc_now)
    metadata: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON. Block objects become their repr, which nothing turns back."""
        content = self.content
        if isinstance(content, list):
            content = [item if isinstance(item, _JSON_TYPES) else str(item) for item in content]
        elif not isinstance(content, _JSON_TYPES):
            content = str(content)
        return {
            "role": self.role,
            "content": content,
            "id": self.id,
            "created_at": self.created_at.isoformat(),
            "metadata": self.metadata,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Message:
        """Read a saved message."""
        moment = data.get("created_at")
        return cls(
            data["role"],
            data["content"],
            data.get("id") or str(uuid4()),
            as_utc(datetime.fromisoformat(moment)) if moment else utc_now(),
            data.get("metadata", {}),
        )


class Conversation:
    """Messages, and the parts of the host that an answer needs."""

    def __init__(
        self,
        conversation_id: str,
        system_prompt: str,
        llm_bridge: Any,
        tool_repo: ToolRepository,
        tool_relevance_engine: ToolRelevanceEngine | None,
        workflow_manager: Any,
        working_memory: WorkingMemory,
        *,
        config: HostConfig | None = None,
        clock: Clock = utc_now,
    ) -> None:
        config = config or HostConfig()
        self.conversation_id = conversation_id
        self.system_prompt = system_prompt
        self.llm_bridge = llm_bridge
        self.tool_repo = tool_repo
        self.tool_relevance_engine = tool_relevance_engine
        self.workflow_manager = workflow_manager
        self.working_memory = working_memory
        self.messages: list[Message] = []
        self.metadata: dict[str, Any] = {}
        self.max_history = config.conversation.max_history
        self.max_tool_iterations = config.conversation.max_tool_iterations
        self.update_managers = config.conversation.update_managers
        self.clock = clock
        self.tokens_in = 0
        self.tokens_out = 0
        self._tried_loading_all_tools = False

    def add_message(self, role: str, content: Any, metadata: dict[str, Any] | None = None) -> Message:
        """Append a message; beyond ``2 * max_history`` the oldest are gone. Strange roles become ``user``."""
        role = role if role in ("user", "assistant") else "user"
        message = Message(role, content, created_at=self.clock(), metadata=metadata or {})
        self.messages.append(message)
        if self.max_history and len(self.messages) > 2 * self.max_history:
            self.messages = self.messages[-2 * self.max_history :]
        return message

    def get_formatted_messages(self) -> list[dict[str, Any]]:
        """Return the messages as the bridge takes them."""
        return [{"role": message.role, "content": message.content} for message in self.messages]

    def clear_history(self) -> None:
        """Forget all messages."""
        self.messages = []

    def generate_response(
        self,
        user_input: str,
        temperature: float | None = None,
        max_tokens: int | None = None,
        stream: bool = False,
        stream_callback: Callable[[str], None] | None = None,
        max_tool_iterations: int | None = None,
    ) -> str | None:
        """Answer the user. With ``stream`` and a callback the text goes there and None comes back."""
        if not user_input or not user_input.strip():
            return self._refuse_blank()
        self.add_message("user", user_input)
        if self.update_managers:
            self.working_memory.update_all_managers()
        self._choose_tools(user_input)

        def ask() -> Any:
            return self._ask(temperature, max_tokens, stream, stream_callback)

        limit = self.max_tool_iterations if max_tool_iterations is None else max_tool_iterations
        with error_context("Conversation", "generating a response", ConversationError, ErrorCode.UNKNOWN_ERROR):
            answer = self._loop(ask, limit)
        return None if stream and stream_callback else answer

    def _refuse_blank(self) -> str:
        last = self.messages[-1].metadata if len(self.messages) >= 2 else {}
        if last.get("is_tool_result") or last.get("has_tool_calls"):
            return "I am still at work on your last request."
        raise ConversationError("an empty message is not allowed", ErrorCode.INVALID_INPUT)

    def _choose_tools(self, user_input: str) -> None:
        if self.workflow_manager is not None and self.workflow_manager.get_active_workflow():
            if self.tool_relevance_engine is not None:
                self.tool_relevance_engine.suspend()
        elif self.tool_relevance_engine is not None:
            self.tool_relevance_engine.manage_tool_relevance(user_input)

    def _loop(self, ask: Callable[[], Any], limit: int) -> str | None:
        answer: str | None = None
        rounds = 0
        while rounds < limit:
            response = ask()
            answer = str(self.llm_bridge.extract_text_content(response))
            if _NEED_TOOL.search(answer):
                if not self._tried_loading_all_tools:  # once in a conversation's life, not once a turn
                    self._tried_loading_all_tools = True
                    self.tool_repo.enable_all_tools()
                    continue
                answer = NO_SUCH_TOOL
            self._end_workflow(answer)
            calls = self.llm_bridge.extract_tool_calls(response)
            if not calls:
                self._note_topic(answer)
                self.add_message("assistant", answer)
                break
            rounds += 1
            self.add_message("assistant", response.content, {"has_tool_calls": True})
            self.add_message("user", self._process_tool_calls(calls), {"is_tool_result": True})
        if rounds >= limit and answer:
            self.add_message("assistant", f"{answer}\n\n[Note: the limit of tool rounds is reached]")
        return answer

    def _ask(self, temperature: float | None, max_tokens: int | None, stream: bool, callback: Any) -> Any:
        """One request: the tools and the prompt are read again each time, the providers are not run again."""
        options: dict[str, Any] = {"stream": True, "callback": callback or (lambda text: None)} if stream else {}
        response = self.llm_bridge.generate_response(
            messages=self.get_formatted_messages(),
            system_prompt=self.system_prompt,
            temperature=temperature,
            max_tokens=max_tokens,
            tools=self.tool_repo.get_all_tool_definitions(),
            cache_control={"type": "ephemeral"},
            dynamic_content=self.working_memory.get_prompt_content(),
            **options,
        )
        if hasattr(response, "usage"):  # a stream has none: streamed answers are not counted
            self.tokens_in += response.usage.input_tokens
            self.tokens_out += response.usage.output_tokens
        return response.get_final_message() if hasattr(response, "get_final_message") else response

    def _end_workflow(self, answer: str) -> None:
        if _WORKFLOW_END.search(answer) and self.workflow_manager and self.workflow_manager.get_active_workflow():
            self.workflow_manager.complete_workflow()
            if self.tool_relevance_engine is not None:
                self.tool_relevance_engine.resume()

    def _note_topic(self, answer: str) -> None:
        if self.tool_relevance_engine is not None and not self.tool_relevance_engine.suspended:
            self.tool_relevance_engine.set_topic_changed(bool(_TOPIC_CHANGED.search(answer)))

    def _process_tool_calls(self, calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Results as the model sees them: ``str(dict)``, or the error, which also stays in the prompt for good."""
        blocks = []
        for call in calls:
            failed = False
            try:
                content = str(self.tool_repo.invoke_tool(call["tool_name"], call["input"]))
            except ToolError as exc:
                note_error(self.working_memory, exc)
                content, failed = str(exc), True
                if exc.retry_with:
                    content += f"\nSuggestion: try again with {json.dumps(exc.retry_with)}"
                elif exc.try_instead:
                    content += f"\nSuggestion: {exc.try_instead}"
            block = {"type": "tool_result", "tool_use_id": call["id"], "content": content, "is_error": failed}
            blocks.append(block)
        return blocks

    def to_dict(self) -> dict[str, Any]:
        """Return the conversation as it is saved."""
        moments = [message.created_at.isoformat() for message in self.messages] or [self.clock().isoformat()]
        data = {
            "conversation_id": self.conversation_id,
            "system_prompt": self.system_prompt,
            "messages": [message.to_dict() for message in self.messages],
            "created_at": moments[0],
            "updated_at": moments[-1],
            "tokens_in": self.tokens_in,
            "tokens_out": self.tokens_out,
            "_tried_loading_all_tools": self._tried_loading_all_tools,
        }
        if self.workflow_manager is not None:
            data["workflow_state"] = self.workflow_manager.to_dict()
        return data

    @classmethod
    def from_dict(cls, data: dict[str, Any], **parts: Any) -> Conversation:
        """Return a saved conversation brought back; ``parts`` are the live objects that the constructor takes."""
        prompt = data.get("system_prompt") or ""
        conversation = cls(conversation_id=data["conversation_id"], system_prompt=prompt, **parts)
        conversation.messages = [Message.from_dict(item) for item in data.get("messages", [])]
        conversation.tokens_in = data.get("tokens_in", 0)
        conversation.tokens_out = data.get("tokens_out", 0)
        conversation._tried_loading_all_tools = data.get("_tried_loading_all_tools", False)
        if conversation.workflow_manager is not None and "workflow_state" in data:
            conversation.workflow_manager.from_dict(data["workflow_state"])
        return conversation
