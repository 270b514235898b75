"""The schema's history, run by Alembic from the installed package."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy import Connection, MetaData

HEAD = "0017"
"""The newest revision. A test holds it against the scripts; knowing it here keeps Alembic off every start."""


def alembic_config(connection: Connection, metadata: MetaData) -> Config:
    """Alembic's settings for one connection, used as it is and not closed; ``metadata`` is what the models say."""
    from alembic.config import Config

    # Said anew: Alembic's default is the output of the moment at which it was imported.
    config = Config(stdout=sys.stdout)
    config.set_main_option("script_location", "mira_ltmemory:migrations")
    config.attributes["connection"] = connection
    config.attributes["metadata"] = metadata
    return config
