"""Migrates, uses and inspects a Django project with every field type; prints what it found as JSON.

Run as a program: `python -m tests.integration.orm.django_fields FOLDER`, the database in PGHOST, PGPORT, PGDATABASE
and PGUSER. The migrations are written to FOLDER.
"""

from __future__ import annotations

import datetime
import io
import json
import os
import sys
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.core.management import call_command

VALUES: dict[str, Any] = {
    "code": "planted-1",
    "text": "planted-text\nüñ",
    "email": "planted@example.com",
    "slug": "planted-slug",
    "url": None,
    "file": "files/planted.txt",
    "image_path": "/planted",
    "key": uuid.UUID("9b2e8a66-3b7e-4d2c-8a62-4f7f2a0a1c11"),
    "flag": True,
    "small": -7,
    "whole": 2_000_000_000,
    "big": -(2**62),
    "real": 0.1,
    "amount": Decimal("-123456.70"),
    "day": datetime.date(1815, 12, 10),
    "moment": datetime.datetime(2024, 2, 29, 12, 30, 1, 5, datetime.UTC),
    "clock": datetime.time(23, 59, 59, 999999),
    "span": datetime.timedelta(days=-3, seconds=7, microseconds=9),
    "raw": b"\x00planted\xff",
    "data": {"planted": [1, None, {"a": "b"}]},
    "address": "2001:db8::1",
    "tags": ["planted", 'a"b', ""],
    "numbers": [1, -2],
}


def configure(folder: Path) -> None:
    (folder / "made_migrations").mkdir()
    (folder / "made_migrations" / "__init__.py").touch()
    sys.path.insert(0, str(folder))
    settings.configure(
        SECRET_KEY="for a test only",
        USE_TZ=True,
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        INSTALLED_APPS=["django.contrib.postgres", "tests.integration.orm.fields"],
        MIGRATION_MODULES={"fields": "made_migrations"},
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.postgresql",
                "HOST": os.environ["PGHOST"],
                "PORT": os.environ["PGPORT"],
                "NAME": os.environ["PGDATABASE"],
                "USER": os.environ["PGUSER"],
            }
        },
    )
    django.setup()


def said(command: str, *arguments: str, **options: Any) -> str:
    out = io.StringIO()
    call_command(command, *arguments, stdout=out, **options)
    return out.getvalue()


def use() -> dict[str, Any]:
    """Write, change, find and read; what came back."""
    from tests.integration.orm.fields.models import Everything

    made = Everything.objects.create(**VALUES)
    Everything.objects.bulk_create([Everything(**{**VALUES, "code": f"planted-{n}", "flag": None}) for n in (2, 3)])
    read = Everything.objects.get(pk=made.pk)
    for name, value in VALUES.items():
        found = getattr(read, name)
        assert (bytes(found) if name == "raw" else found) == value, name
    assert read.char == "planted-default"
    Everything.objects.filter(code="planted-2").update(text="planted-changed", amount=Decimal("0.5"))
    found = Everything.objects.get(code="planted-2")
    assert (found.text, found.amount) == ("planted-changed", Decimal("0.50"))
    assert Everything.objects.filter(email="planted@example.com").count() == 3
    assert Everything.objects.filter(code__in=["planted-1", "planted-9"]).count() == 1
    return dict(Everything.objects.values().get(code="planted-1"))


def main() -> None:
    configure(Path(sys.argv[1]))
    call_command("makemigrations", "fields", verbosity=0)
    call_command("migrate", verbosity=0)
    found = {
        "used": use(),
        "drift": said("makemigrations", check_changes=True, dry_run=True),
        "migrated again": said("migrate"),
        "inspected": said("inspectdb"),
    }
    print(json.dumps(found, default=repr))


if __name__ == "__main__":
    main()
