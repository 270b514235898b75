"""The words that every room shares: value types, and the small protocols that tie rooms together.

Services receive an ``Embedder``, an ``LLM`` and a ``Clock`` as constructor arguments; tests give
small real classes. Nothing here imports another room.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mira_ltmemory.protocols.jobs import (
    Job,
    JobFunction,
    JobReport,
    JobRun,
    Progress,
    no_progress,
)
from mira_ltmemory.protocols.memory import (
    Actor,
    Category,
    Change,
    Conflicting,
    EmbeddingModel,
    Filter,
    Hit,
    IncomingMessage,
    Json,
    Kind,
    Origin,
    Role,
    SearchResult,
)
from mira_ltmemory.protocols.models import (
    LLM,
    Clock,
    Embedder,
    LLMReply,
    Reranker,
    SystemClock,
    TokenEmbedder,
    TokenSpace,
    TokenVectors,
    ToolCall,
)
from mira_ltmemory.protocols.moments import FIRST_MOMENT, LAST_MOMENT, in_zone, is_plausible
from mira_ltmemory.protocols.parts import (
    Host,
    Provider,
    Tool,
    Transactions,
    UnitOfWork,
)

if TYPE_CHECKING:
    from mira_ltmemory.protocols.models import Vectors as Vectors

__all__ = [
    "FIRST_MOMENT",
    "LAST_MOMENT",
    "LLM",
    "Actor",
    "Category",
    "Change",
    "Clock",
    "Conflicting",
    "Embedder",
    "EmbeddingModel",
    "Filter",
    "Hit",
    "Host",
    "IncomingMessage",
    "Job",
    "JobFunction",
    "JobReport",
    "JobRun",
    "Json",
    "Kind",
    "LLMReply",
    "Origin",
    "Progress",
    "Provider",
    "Reranker",
    "Role",
    "SearchResult",
    "SystemClock",
    "TokenEmbedder",
    "TokenSpace",
    "TokenVectors",
    "Tool",
    "ToolCall",
    "Transactions",
    "UnitOfWork",
    "in_zone",
    "is_plausible",
    "no_progress",
]
