"""What Django does by itself: its admin's pages, its auth's forms, its ORM's query shapes. Knows nothing of encryption.

Run as a program, the database in PGHOST, PGPORT, PGDATABASE and PGUSER.
"""

from __future__ import annotations

import re
from typing import Any

import django
from django.conf import settings

from pgcrypt_proxy.demo import django_app
from tests.integration.orm.record import Shape, record

_MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
_PROCESSORS = [
    "django.template.context_processors.request",
    "django.contrib.auth.context_processors.auth",
    "django.contrib.messages.context_processors.messages",
]


def configure() -> None:
    """The demo's project, and what its admin needs to answer requests."""
    django_app.configure()
    settings.MIDDLEWARE = _MIDDLEWARE
    settings.ROOT_URLCONF = "tests.integration.orm.django_shapes"
    settings.ALLOWED_HOSTS = ["testserver"]
    settings.STATIC_URL = "/static/"
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    settings.TEMPLATES = [
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {"context_processors": _PROCESSORS},
        }
    ]
    django.setup()


def _urls() -> list[Any]:
    from django.contrib import admin
    from django.contrib.auth.views import PasswordResetConfirmView
    from django.urls import path

    confirm = PasswordResetConfirmView.as_view()
    return [path("admin/", admin.site.urls), path("reset/<uidb64>/<token>/", confirm, name="password_reset_confirm")]


class Pages:
    """A browser that is logged in to the admin."""

    def __init__(self) -> None:
        from django.contrib.auth.models import User
        from django.test import Client

        self.root = User.objects.create_superuser("root", "root@planted.example", "pw")
        self.ada = User.objects.create_user("ada", "ada@planted.example", "pw", first_name="Ada", last_name="Lovelace")
        User.objects.create_user("bob", "bob@planted.example", "pw")
        self.client = Client()

    def get(self, url: str) -> str:
        """A page that must come."""
        response = self.client.get(url)
        assert response.status_code == 200, (response.status_code, url)
        return str(response.content.decode())

    def post(self, url: str, data: dict[str, Any]) -> None:
        """A form that must be taken, or its errors."""
        response = self.client.post(url, data)
        errors = re.findall(r"errorlist[^>]*>\s*<li>([^<]*)", response.content.decode())
        assert response.status_code == 302, (response.status_code, errors)

    def log_in(self) -> None:
        self.post("/admin/login/?next=/admin/", {"username": "root", "password": "pw"})

    def change(self, user: Any, **changes: Any) -> None:
        fields = {"username": user.username, "email": user.email, "first_name": user.first_name}
        fields |= {"last_name": user.last_name, "is_active": "on", "_save": "Save"}
        joined = user.date_joined
        fields |= {"date_joined_0": joined.strftime("%Y-%m-%d"), "date_joined_1": joined.strftime("%H:%M:%S")}
        self.post(f"/admin/auth/user/{user.pk}/change/", {**fields, **changes})
        user.refresh_from_db()
        assert all(getattr(user, name) == value for name, value in changes.items())


def admin_shapes(pages: Pages) -> dict[str, Shape]:
    """Everything a click in the admin does."""
    from django.contrib.auth.models import User

    ada, users = pages.ada, "/admin/auth/user/"

    def add() -> None:
        fields = {"username": "eve", "password1": "Xq9-planted", "password2": "Xq9-planted", "_save": "Save"}
        pages.post(f"{users}add/", {**fields, "usable_password": "true"})
        assert User.objects.filter(username="eve").exists()

    def delete() -> None:
        eve = User.objects.get(username="eve")
        pages.get(f"{users}{eve.pk}/delete/")
        pages.post(f"{users}{eve.pk}/delete/", {"post": "yes"})

    def delete_selected() -> None:
        doomed = User.objects.create_user("doomed", "doomed@planted.example")
        chosen = {"action": "delete_selected", "_selected_action": [doomed.pk]}
        assert "doomed" in pages.client.post(users, chosen).content.decode()
        pages.post(users, {**chosen, "post": "yes"})

    def listed() -> None:
        page = pages.get(users)
        assert "ada@planted.example" in page
        assert "Lovelace" in page

    def password() -> None:
        fields = {"password1": "Xq9-planted2", "password2": "Xq9-planted2", "usable_password": "true"}
        pages.post(f"{users}{ada.pk}/password/", fields)

    return {
        "admin: log in": pages.log_in,
        "admin: index with recent actions": lambda: pages.get("/admin/"),
        "admin: list of users": listed,
        "admin: list filtered by is_staff": lambda: pages.get(f"{users}?is_staff__exact=1"),
        "admin: list ordered by username": lambda: pages.get(f"{users}?o=-1"),
        "admin: list ordered by a protected column": lambda: pages.get(f"{users}?o=2"),
        "admin: list filtered by email=": lambda: pages.get(f"{users}?email=ada@planted.example"),
        "admin: search box of the list of users": lambda: pages.get(f"{users}?q=ada"),
        "admin: add a user": add,
        "admin: change a user": lambda: pages.change(ada, email="countess@planted.example", last_name="King"),
        "admin: change a user's password": password,
        "admin: history of a user": lambda: pages.get(f"{users}{ada.pk}/history/"),
        "admin: delete a user": delete,
        "admin: delete selected users": delete_selected,
        "admin: log out": lambda: pages.client.post("/admin/logout/"),
    }


def auth_shapes(pages: Pages) -> dict[str, Shape]:
    """The forms and commands of django.contrib.auth."""
    from django.contrib.auth import authenticate
    from django.contrib.auth.forms import PasswordResetForm, UserCreationForm
    from django.contrib.auth.models import User

    def reset() -> None:
        form = PasswordResetForm({"email": "bob@planted.example"})
        assert form.is_valid()
        form.save(domain_override="testserver")

    def create() -> None:
        form = UserCreationForm({"username": "new", "password1": "Xq9-planted", "password2": "Xq9-planted"})
        assert form.is_valid(), form.errors
        form.save()

    return {
        "auth: authenticate": lambda: authenticate(username="bob", password="pw"),
        "auth: UserCreationForm": create,
        "auth: PasswordResetForm": reset,
        "auth: with_perm": lambda: list(User.objects.with_perm("auth.view_user")),
        "auth: get_by_natural_key": lambda: User.objects.get_by_natural_key("bob"),
    }


def orm_shapes() -> dict[str, Shape]:
    """Query shapes of the ORM, over a searchable column (email) and one that is not (last_name)."""
    from django.contrib.admin.models import LogEntry
    from django.contrib.auth.models import Group, User
    from django.db.models import Case, Count, Exists, F, Max, OuterRef, Q, Subquery, Value, When
    from django.db.models.functions import Coalesce, Concat, Length, Lower, Upper

    people, email = User.objects, "bob@planted.example"
    by_user = LogEntry.objects.filter(user=OuterRef("pk"))

    def update_or_create() -> None:
        _, created = people.update_or_create(username="bob", defaults={"email": email, "last_name": "Planted"})
        assert not created

    def locked() -> None:
        from django.db import transaction

        with transaction.atomic():
            assert people.select_for_update().get(email=email).username == "bob"

    def bulk_upsert() -> None:
        rows = [User(username="bob", email=email, last_name="Again"), User(username="zed", email="z@planted.example")]
        people.bulk_create(
            rows, update_conflicts=True, unique_fields=["username"], update_fields=["email", "last_name"]
        )
        assert people.get(username="bob").last_name == "Again"

    return {
        "orm: filter(email=)": lambda: people.get(email=email),
        "orm: filter(email__in=)": lambda: list(people.filter(email__in=[email, "x@planted.example"])),
        "orm: exclude(email=)": lambda: list(people.exclude(email=email)),
        "orm: filter(Q(email=) | Q(username=))": lambda: list(people.filter(Q(email=email) | Q(username="ada"))),
        "orm: filter(email__isnull=)": lambda: list(people.filter(email__isnull=False)),
        "orm: filter(email=F('email'))": lambda: list(people.filter(email=F("email"))),
        "orm: filter(email__in=subquery)": lambda: list(people.filter(email__in=people.values("email"))),
        "orm: filter(Exists())": lambda: list(people.filter(Exists(by_user))),
        "orm: annotate(Count())": lambda: list(people.annotate(n=Count("logentry"))),
        "orm: values('email')": lambda: list(people.values("email", "last_name")),
        "orm: values_list().distinct()": lambda: list(people.values_list("email", flat=True).distinct().order_by()),
        "orm: values('email').annotate(Count())": lambda: list(
            people.order_by().values("email").annotate(n=Count("pk"))
        ),
        "orm: distinct()": lambda: list(people.filter(groups=None).distinct().order_by("pk").only("pk", "username")),
        "orm: annotate(Coalesce('email', 'x'))": lambda: list(people.annotate(x=Coalesce("email", Value("x")))),
        "orm: annotate(Case(When(), then='email'))": lambda: list(
            people.annotate(x=Case(When(is_staff=True, then="email"), default=Value("-")))
        ),
        "orm: annotate(Subquery('email'))": lambda: list(
            LogEntry.objects.annotate(x=Subquery(people.filter(pk=OuterRef("user")).values("email")[:1]))
        ),
        "orm: select_related, prefetch_related": lambda: list(
            LogEntry.objects.select_related("user").prefetch_related("user__groups")
        ),
        "orm: filter(user__email=)": lambda: list(LogEntry.objects.filter(user__email=email)),
        "orm: defer, only": lambda: [u.last_name for u in people.defer("last_name").only("email")],
        "orm: in_bulk": lambda: people.in_bulk(),
        "orm: first, last, exists, count": lambda: (people.first(), people.last(), people.count(), people.exists()),
        "orm: order_by('pk')[1:3]": lambda: list(people.order_by("pk")[1:3]),
        "orm: iterator()": lambda: list(people.iterator(chunk_size=1)),
        "orm: select_for_update()": locked,
        "orm: union(all=True)": lambda: list(
            people.filter(pk=1).values("email").union(people.filter(pk=2).values("email"), all=True)
        ),
        "orm: union()": lambda: list(people.filter(pk=1).values("email").union(people.filter(pk=2).values("email"))),
        "orm: update()": lambda: people.filter(email=email).update(last_name="Updated"),
        "orm: update(email=F('email'))": lambda: people.update(email=F("email")),
        "orm: bulk_update": lambda: people.bulk_update([people.get(email=email)], ["last_name", "is_staff"]),
        "orm: bulk_create(ignore_conflicts)": lambda: people.bulk_create(
            [User(username="bob", email=email)], ignore_conflicts=True
        ),
        "orm: bulk_create(update_conflicts)": bulk_upsert,
        "orm: get_or_create": lambda: people.get_or_create(username="bob", defaults={"email": email}),
        "orm: update_or_create": update_or_create,
        "orm: delete()": lambda: people.filter(email="nobody@planted.example").delete(),
        "orm: groups through m2m": lambda: list(Group.objects.filter(user__email=email)),
        "orm: raw()": lambda: list(people.raw("SELECT * FROM auth_user WHERE email = %s", [email])),
        "orm: explain()": lambda: people.filter(email=email).explain(),
        "orm: filter(email__iexact=)": lambda: list(people.filter(email__iexact=email)),
        "orm: annotate(Lower('email')).filter(=)": lambda: list(people.annotate(x=Lower("email")).filter(x=email)),
        "orm: filter(email__contains=)": lambda: list(people.filter(email__contains="bob")),
        "orm: filter(email__icontains=)": lambda: list(people.filter(email__icontains="bob")),
        "orm: filter(email__startswith=)": lambda: list(people.filter(email__startswith="bob")),
        "orm: filter(email__regex=)": lambda: list(people.filter(email__regex="^b")),
        "orm: filter(email__gt=)": lambda: list(people.filter(email__gt="b")),
        "orm: order_by('email')": lambda: list(people.order_by("email")),
        "orm: aggregate(Max('email'))": lambda: people.aggregate(Max("email")),
        "orm: annotate(Length('email'))": lambda: list(people.annotate(x=Length("email"))),
        "orm: annotate(Upper('email'))": lambda: list(people.annotate(x=Upper("email"))),
        "orm: annotate(Concat('email', ...))": lambda: list(people.annotate(x=Concat("email", Value("!")))),
        "orm: update(email=Lower('email'))": lambda: people.update(email=Lower("email")),
        "orm: filter(last_name=), not searchable": lambda: list(people.filter(last_name="Lovelace")),
    }


def main() -> None:
    configure()
    pages = Pages()

    def run(shape: Shape) -> None:
        from django.db import connection

        try:
            shape()
        finally:
            if connection.connection is not None and connection.needs_rollback:
                connection.close()

    record({**admin_shapes(pages), **auth_shapes(pages), **orm_shapes()}, run)


if __name__ == "__main__":
    main()
else:
    urlpatterns = _urls()
