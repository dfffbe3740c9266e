"""Write a migration from the difference between the tables in code and an up-to-date database.

python tools/make_migration.py "0002" "what it does"
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from alembic import command
from alembic.config import Config

from cliffwatch.db.engine import Database

VERSIONS = Path(__file__).parent.parent / "src/cliffwatch/db/migrations"

with tempfile.TemporaryDirectory() as folder:
    database = Database(f"sqlite:///{folder}/fresh.db")
    config = Config()
    config.set_main_option("script_location", str(VERSIONS))
    with database.engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        command.revision(config, message=sys.argv[2], autogenerate=True, rev_id=sys.argv[1])
