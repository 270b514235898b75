"""The terminal: ``mira-ltmemory``. Importing this imports nothing else."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run the command line. Ends the process: 0 if all went well, 1 where something did not, 2 for wrong usage."""
    import os

    # transformers would print that PyTorch is not there: it is not needed.
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
    from mira_ltmemory.cli.app import app

    app(prog_name="mira-ltmemory")
