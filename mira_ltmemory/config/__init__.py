"""The settings: one declared list, and the sources it is read from."""

from __future__ import annotations

from mira_ltmemory.config.settings import USER_NAMESPACE, MemoryConfig, is_label, is_timezone
from mira_ltmemory.config.sources import CONFIG_FILE_ENV, default_config_file, load_config, override
from mira_ltmemory.config.switches import AutomationSetting, AutomationSettings, ProviderSwitches, ToolSwitches
from mira_ltmemory.config.urls import shown_address, shown_database

__all__ = [
    "CONFIG_FILE_ENV",
    "USER_NAMESPACE",
    "AutomationSetting",
    "AutomationSettings",
    "MemoryConfig",
    "ProviderSwitches",
    "ToolSwitches",
    "default_config_file",
    "is_label",
    "is_timezone",
    "load_config",
    "override",
    "shown_address",
    "shown_database",
]
