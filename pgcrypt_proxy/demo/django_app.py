"""A Django project as it comes: auth, admin log, sessions. Knows nothing of encryption.

Run as a program: `python -m pgcrypt_proxy.demo.django_app migrate|use`, the
database in PGHOST, PGPORT, PGDATABASE and PGUSER.
"""

from __future__ import annotations

import os
import sys

import django
from django.conf import settings
from django.core.management import call_command


def configure() -> None:
    """Django's settings, as `startproject` would write them, for the database in the environment."""
    settings.configure(
        SECRET_KEY="for a demo only",  # noqa: S106
        USE_TZ=True,
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        INSTALLED_APPS=[
            "django.contrib.admin",
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.messages",
            "django.contrib.sessions",
        ],
        PASSWORD_HASHERS=["django.contrib.auth.hashers.ScryptPasswordHasher"],
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.postgresql",
                "HOST": os.environ["PGHOST"],
                "PORT": os.environ["PGPORT"],
                "NAME": os.environ["PGDATABASE"],
                "USER": os.environ["PGUSER"],
                "OPTIONS": {"server_side_binding": os.environ.get("DEMO_BINDING") == "server"},
            }
        },
    )
    django.setup()


def use() -> None:
    """Everyday work of the ORM; raises AssertionError when an answer is not what it must be."""
    from django.contrib.admin.models import CHANGE, LogEntry
    from django.contrib.auth import authenticate
    from django.contrib.auth.models import User

    call_command("createsuperuser", interactive=False, username="root", email="root@planted.example")
    ada = User.objects.create_user("ada", "ada@planted.example", "pw", first_name="Ada", last_name="planted-Lovelace")
    User.objects.bulk_create(
        [
            User(username=f"bulk{n}", email=f"bulk{n}@planted.example", first_name=f"planted-First{n}", last_name="X")
            for n in range(5)
        ]
    )
    _equal(User.objects.get(pk=ada.pk).last_name, "planted-Lovelace")
    _equal(User.objects.get(email="ada@planted.example").username, "ada")
    _equal(
        list(User.objects.filter(email="bulk3@planted.example").values_list("username", "first_name")),
        [("bulk3", "planted-First3")],
    )
    found = User.objects.filter(email__in=["bulk1@planted.example", "bulk2@planted.example", "none@planted.example"])
    _equal(sorted(found.values_list("email", flat=True)), ["bulk1@planted.example", "bulk2@planted.example"])
    _equal(User.objects.exclude(email="ada@planted.example").count(), 6)
    _equal(User.objects.filter(email="nobody@planted.example").exists(), False)
    _equal(User.objects.filter(pk=ada.pk).update(email="countess@planted.example", first_name="planted-Augusta"), 1)
    ada.refresh_from_db()
    _equal((ada.email, ada.first_name), ("countess@planted.example", "planted-Augusta"))
    ada.last_name = "planted-King"
    ada.save()
    User.objects.bulk_update([ada], ["is_staff"])
    LogEntry.objects.log_actions(ada.pk, [ada], CHANGE, change_message="renamed", single_object=True)
    LogEntry.objects.create(user=ada, object_repr="planted-object", action_flag=CHANGE, change_message="by hand")
    _equal([e.object_repr for e in LogEntry.objects.select_related("user").order_by("pk")], ["ada", "planted-object"])
    _equal(LogEntry.objects.select_related("user").first().user.email, "countess@planted.example")
    _equal(authenticate(username="ada", password="pw"), ada)  # noqa: S106
    _equal(User.objects.filter(email="bulk4@planted.example").delete()[0], 1)
    _equal(User.objects.get_or_create(username="ada", defaults={"email": "x@planted.example"})[1], False)
    _equal(len(User.objects.all()), 6)


def _equal(got: object, expected: object) -> None:
    if got != expected:
        raise AssertionError("the application got another answer than it must")


if __name__ == "__main__":
    configure()
    if sys.argv[1] == "migrate":
        call_command("migrate", verbosity=0)
    else:
        use()
