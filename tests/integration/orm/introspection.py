"""What Django, SQLAlchemy and Alembic read in the catalogs of a database with the demo's tables, as JSON.

Run as a program: `python -m tests.integration.orm.introspection`, the database in PGHOST, PGPORT, PGDATABASE, PGUSER
and DEMO_URL.
"""

from __future__ import annotations

import io
import json
import os
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from django.core.management import call_command
from django.db import connection as django_connection

from pgcrypt_proxy.demo import django_app
from pgcrypt_proxy.demo.sqlalchemy_app import Base


def django() -> dict[str, Any]:
    """`inspectdb` of all tables, the constraints that migrations look for, and whether models have migrations."""
    models, drift = io.StringIO(), io.StringIO()
    call_command("inspectdb", stdout=models)
    call_command("makemigrations", check_changes=True, dry_run=True, stdout=drift)
    introspection = django_connection.introspection
    with django_connection.cursor() as cursor:
        constraints = {
            table: introspection.get_constraints(cursor, table) for table in introspection.table_names(cursor)
        }
    return {"inspectdb": models.getvalue(), "drift": drift.getvalue(), "constraints": constraints}


def sqlalchemy(connection: sa.Connection) -> dict[str, Any]:
    """All that the inspector says of each table."""
    inspector = sa.inspect(connection)
    return {
        table: {
            "columns": inspector.get_columns(table),
            "primary key": inspector.get_pk_constraint(table),
            "unique": sorted(inspector.get_unique_constraints(table), key=lambda found: str(found["name"])),
            "indexes": sorted(inspector.get_indexes(table), key=lambda found: str(found["name"])),
            "foreign keys": inspector.get_foreign_keys(table),
            "checks": inspector.get_check_constraints(table),
        }
        for table in sorted(inspector.get_table_names())
    }


def alembic(connection: sa.Connection) -> list[str]:
    """What autogenerate would change in the SQLAlchemy application's tables."""

    def is_ours(_object: object, name: str | None, kind: str, _reflected: bool, _to: object) -> bool:
        return kind != "table" or name in Base.metadata.tables

    context = MigrationContext.configure(
        connection, opts={"compare_type": True, "compare_server_default": True, "include_object": is_ours}
    )
    return [repr(change) for change in compare_metadata(context, Base.metadata)]


def main() -> None:
    django_app.configure()
    engine = sa.create_engine(os.environ["DEMO_URL"].replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        found = {"django": django(), "sqlalchemy": sqlalchemy(connection), "alembic": alembic(connection)}
    print(json.dumps(found, default=repr))


if __name__ == "__main__":
    main()
