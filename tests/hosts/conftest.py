"""The hosts that scenarios play in: see tests/support/hosting.py."""

from __future__ import annotations

from hosting import host, local, play

__all__ = ["host", "local", "play"]
