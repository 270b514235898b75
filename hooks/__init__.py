"""Hooks: how plugins join MIRA. A plugin imports `hookimpl` from here and nothing else.

``load_setuptools_entrypoints`` finds plugins in the entry-point group ``mira``.
"""

from __future__ import annotations

from mira_ltmemory.hooks.hookspecs import PROJECT, hookimpl, hookspec

__all__ = ["PROJECT", "hookimpl", "hookspec"]
