"""The small parts of the host that write their own items into the prompt, and the workflow manager."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from mira_ltmemory.hosts.local.clock import Clock, utc_now
from mira_ltmemory.hosts.local.working_memory import WorkingMemory


class _Item:
    """One item of working memory that is written anew each time, so it moves to the end of the prompt."""

    def __init__(self, working_memory: WorkingMemory, category: str) -> None:
        self.working_memory = working_memory
        self.category = category
        self._item_id: str | None = None

    def write(self, content: str) -> None:
        if self._item_id is not None:
            self.working_memory.remove(self._item_id)
            self._item_id = None
        if content:
            self._item_id = self.working_memory.add(content, self.category)


class TimeManager:
    """Tells the model what time it is."""

    def __init__(self, working_memory: WorkingMemory, timezone: str = "UTC", clock: Clock = utc_now) -> None:
        self._item = _Item(working_memory, "datetime")
        self.timezone = timezone
        self.clock = clock
        self.update_datetime_info()

    def update_datetime_info(self) -> None:
        """Write the present time in the user's zone."""
        now = self.clock().astimezone(ZoneInfo(self.timezone))
        self._item.write(f"# Time\nIt is {now:%A, %Y-%m-%d %H:%M} ({self.timezone}).")


class UserInfoManager:
    """Tells the model what the host's own settings say of the user."""

    def __init__(self, working_memory: WorkingMemory, user_information: str = "") -> None:
        self._item = _Item(working_memory, "user_information")
        self.user_information = user_information
        self.load_user_information()

    def load_user_information(self) -> None:
        """Write it again."""
        self._item.write(f"# User\n{self.user_information}" if self.user_information else "")


class SystemStatusManager:
    """Tells the model how the host fares."""

    def __init__(self, working_memory: WorkingMemory) -> None:
        self._item = _Item(working_memory, "system_status")
        self.notices: list[str] = []
        self.update_status()

    def update_status(self) -> None:
        """Write the notices."""
        self._item.write("# Host status\n" + "\n".join(self.notices or ["All is well."]))

    def add_notice(self, notice: str) -> None:
        """Add a notice and write them all."""
        self.notices.append(notice)
        self.update_status()


class ReminderManager:
    """Shows the reminders in its list."""

    def __init__(self, working_memory: WorkingMemory) -> None:
        self._item = _Item(working_memory, "reminders")
        self.reminders: list[str] = []

    def update_reminder_info(self) -> None:
        """Write the reminders, or nothing."""
        self._item.write("# Reminders\n" + "\n".join(self.reminders) if self.reminders else "")


class OnLoadChecker:
    """Looks at start for things to tell the user; here there are none."""

    def run_all_checks(self, conversation: Any) -> list[Any]:
        """Nothing to report."""
        return []


class WorkflowManager:
    """Holds at most one active workflow. While there is one, nobody manages the tools."""

    def __init__(self, working_memory: WorkingMemory) -> None:
        self._item = _Item(working_memory, "workflow")
        self.active_workflow_id: str | None = None

    def get_active_workflow(self) -> dict[str, Any] | None:
        """Return the active workflow, or None."""
        return {"id": self.active_workflow_id} if self.active_workflow_id else None

    def start_workflow(self, workflow_id: str) -> None:
        """Make a workflow active; from the next turn on the relevance engine is suspended."""
        self.active_workflow_id = workflow_id
        self.update_working_memory()

    def complete_workflow(self) -> None:
        """End it. The conversation does so for ``<workflow_complete/>`` and ``<workflow_cancel/>``."""
        self.active_workflow_id = None
        self.update_working_memory()

    def update_working_memory(self) -> None:
        """Write the active workflow, or nothing."""
        self._item.write(f"# Workflow\n{self.active_workflow_id}" if self.active_workflow_id else "")

    def to_dict(self) -> dict[str, Any]:
        """State to save."""
        return {"active_workflow_id": self.active_workflow_id}

    def from_dict(self, data: dict[str, Any]) -> None:
        """State to restore."""
        self.active_workflow_id = data.get("active_workflow_id")
