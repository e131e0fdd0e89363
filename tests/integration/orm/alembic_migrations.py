"""Alembic upgrades a database in two revisions, uses it with SQLAlchemy, and goes back: `python -m ... URL`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

ENVIRONMENT = """
from alembic import context
from sqlalchemy import create_engine

engine = create_engine(context.config.get_main_option("sqlalchemy.url"))
with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=None)
    with context.begin_transaction():
        context.run_migrations()
"""
FIRST = """
import sqlalchemy as sa
from alembic import op

revision, down_revision = "1", None


def upgrade():
    op.create_table(
        "members",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("born", sa.Date),
        sa.UniqueConstraint("email", name="uq_members_email"),
    )
    op.create_table("visits", sa.Column("id", sa.Integer, primary_key=True),
                    sa.Column("member_id", sa.Integer, sa.ForeignKey("members.id"), index=True))
    op.bulk_insert(sa.table("members", sa.column("email", sa.String), sa.column("born", sa.Date)),
                   [{"email": "planted-first", "born": None}])


def downgrade():
    op.drop_table("visits")
    op.drop_table("members")
"""
SECOND = """
import sqlalchemy as sa
from alembic import op

revision, down_revision = "2", "1"


def upgrade():
    op.add_column("members", sa.Column("phone", sa.String(20), nullable=False, server_default="planted-none"))
    op.alter_column("members", "phone", server_default=None)
    op.create_index("ix_members_phone", "members", ["phone"])
    op.create_unique_constraint("uq_members_both", "members", ["email", "phone"])
    op.drop_constraint("uq_members_email", "members")
    op.alter_column("members", "email", type_=sa.String(254), nullable=True)
    op.execute(sa.text("UPDATE members SET phone = 'planted-one' WHERE email = 'planted-first'"))


def downgrade():
    op.create_unique_constraint("uq_members_email", "members", ["email"])
    op.drop_constraint("uq_members_both", "members")
    op.drop_index("ix_members_phone", "members")
    op.drop_column("members", "phone")
"""


def main(url: str, revision: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "versions").mkdir()
        (root / "env.py").write_text(ENVIRONMENT)
        (root / "versions" / "one.py").write_text(FIRST)
        (root / "versions" / "two.py").write_text(SECOND)
        config = Config()
        config.set_main_option("script_location", folder)
        config.set_main_option("path_separator", "os")
        config.set_main_option("sqlalchemy.url", url)
        if revision == "head":
            command.upgrade(config, "head")
            engine = sa.create_engine(url)
            with engine.begin() as connection:
                found = connection.execute(sa.text("SELECT email, phone FROM members WHERE phone = 'planted-one'"))
                assert found.fetchall() == [("planted-first", "planted-one")]
        else:
            command.downgrade(config, revision)


if __name__ == "__main__":
    main(*sys.argv[1:])
