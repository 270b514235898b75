"""Loads plugins and calls their hooks, so that one that fails harms no other."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from importlib.metadata import entry_points
from typing import Any

import pluggy

from mira_ltmemory.hooks import hookspecs
from mira_ltmemory.hooks.hookspecs import PROJECT

logger = logging.getLogger(__name__)

OWN_NAME = "ltmemory"
OWN_MODULE = "mira_ltmemory.hooks.plugin"

Report = Callable[[str, str], None]
"""Called with what is off, and why."""


class PluginRegistry:
    """The plugins of one MIRA. ``report`` is told, once for each fault, which plugin failed in what."""

    def __init__(self, report: Report) -> None:
        self.manager = pluggy.PluginManager(PROJECT)
        self.manager.add_hookspecs(hookspecs)
        self._report = report
        self._told: set[str] = set()

    def load(self) -> None:
        """Load every plugin of the entry-point group, and our own also where its entry point is not installed."""
        for name in sorted({entry.name for entry in entry_points(group=PROJECT)}):
            self._guard(f"plugin {name}", "cannot be loaded", partial(self._load, name))
        if not any(getattr(plugin, "__name__", None) == OWN_MODULE for plugin in self.manager.get_plugins()):
            self._guard(f"plugin {OWN_NAME}", "cannot be loaded", self._load_own)
        self._check()

    def call(self, hook: str, **arguments: Any) -> None:
        """Call a hook of every plugin, ours first; a plugin that raises is reported and the others are called."""
        for implementation in self._implementations(hook):
            others = [plugin for plugin in self.manager.get_plugins() if plugin is not implementation.plugin]
            caller = self.manager.subset_hook_caller(hook, others)
            subject = f"plugin {implementation.plugin_name}"
            self._guard(subject, f"failed in {hook}", partial(caller, **arguments))

    def _implementations(self, hook: str) -> list[pluggy.HookImpl]:
        found = list(reversed(getattr(self.manager.hook, hook).get_hookimpls()))
        return sorted(found, key=lambda one: getattr(one.plugin, "__name__", None) != OWN_MODULE)

    def _load(self, name: str) -> None:
        try:
            self.manager.load_setuptools_entrypoints(PROJECT, name=name)
        except Exception:
            if self.manager.has_plugin(name):
                self.manager.unregister(name=name)
            raise

    def _load_own(self) -> None:
        from mira_ltmemory.hooks import plugin

        self.manager.register(plugin, name=OWN_NAME)

    def _check(self) -> None:
        """Report a hook that is none of ours, which a plugin implements by mistake."""
        try:
            self.manager.check_pending()
        except pluggy.PluginValidationError as error:
            name = self.manager.get_name(error.plugin) or "unknown"
            self._tell(f"plugin {name}", f"implements an unknown hook: {error}", error)

    def _guard(self, subject: str, what: str, action: Callable[[], Any]) -> None:
        try:
            action()
        except Exception as error:  # noqa: BLE001 a plugin is anybody's code: say which, and let the others go on
            self._tell(subject, f"{what}: {type(error).__name__}: {error}", error)

    def _tell(self, subject: str, text: str, error: Exception) -> None:
        key = f"{subject} {text.split(':')[0]}"
        if key not in self._told:
            self._told.add(key)
            logger.error("%s %s", subject, text, exc_info=error)
            self._report(subject, text)
