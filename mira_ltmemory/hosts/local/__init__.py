"""A small host that behaves as MIRA does where a plugin touches it, for the demo and for tests.

It is written from MIRA's observed behaviour and shares no code with it.
"""

from __future__ import annotations

from mira_ltmemory.hosts.local.automation import AutomationEngine
from mira_ltmemory.hosts.local.automation_model import (
    Automation,
    AutomationStatus,
    Execution,
    ExecutionStatus,
    TaskFrequency,
)
from mira_ltmemory.hosts.local.bridge import LLMBridge, OllamaBridge, OpenAIBridge
from mira_ltmemory.hosts.local.clock import Clock, ManualClock, utc_now
from mira_ltmemory.hosts.local.config import HostConfig
from mira_ltmemory.hosts.local.conversation import Conversation, Message
from mira_ltmemory.hosts.local.errors import AgentError, BridgeError, ConversationError, ErrorCode, ToolError
from mira_ltmemory.hosts.local.host_tools import CalendarTool, WeatherTool
from mira_ltmemory.hosts.local.llm_types import ModelMessage, RateLimit, StreamResult, TextBlock, ToolUseBlock, Usage
from mira_ltmemory.hosts.local.managers import WorkflowManager
from mira_ltmemory.hosts.local.relevance import ToolRelevanceEngine
from mira_ltmemory.hosts.local.scripted_model import RecordedRequest, ScriptedModel
from mira_ltmemory.hosts.local.scripted_replies import Fault, Reply, Step
from mira_ltmemory.hosts.local.system import (
    initialize_system,
    load_conversation,
    make_bridge,
    open_conversation,
    run_turn,
    save_conversation,
    shutdown,
)
from mira_ltmemory.hosts.local.tools import ToolRepository
from mira_ltmemory.hosts.local.working_memory import WorkingMemory

__all__ = [
    "AgentError",
    "Automation",
    "AutomationEngine",
    "AutomationStatus",
    "BridgeError",
    "CalendarTool",
    "Clock",
    "Conversation",
    "ConversationError",
    "ErrorCode",
    "Execution",
    "ExecutionStatus",
    "Fault",
    "HostConfig",
    "LLMBridge",
    "ManualClock",
    "Message",
    "ModelMessage",
    "OllamaBridge",
    "OpenAIBridge",
    "RateLimit",
    "RecordedRequest",
    "Reply",
    "ScriptedModel",
    "Step",
    "StreamResult",
    "TaskFrequency",
    "TextBlock",
    "ToolError",
    "ToolRelevanceEngine",
    "ToolRepository",
    "ToolUseBlock",
    "Usage",
    "WeatherTool",
    "WorkflowManager",
    "WorkingMemory",
    "initialize_system",
    "load_conversation",
    "make_bridge",
    "open_conversation",
    "run_turn",
    "save_conversation",
    "shutdown",
    "utc_now",
]
