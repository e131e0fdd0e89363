"""Rule files: what they mean, and that every mistake is named with its file and line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pgcrypt_proxy.errors import PolicyError
from pgcrypt_proxy.policy.load import load
from pgcrypt_proxy.policy.model import TenantRule, stored_tenant

HEAD = "version: 1\nkeyring: {provider: file, path: k.kek}\n"
COLUMN = "columns: [{table: a, column: b, type: text"
ROOT = Path(__file__).parents[2]


def write(folder: Path, text: str, name: str = "rules.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", ["compose.yaml", "django-auth.yaml", "example.yaml"])
def test_the_examples_load(name: str) -> None:
    assert load([ROOT / "rules" / name]).rules


def test_a_rule_is_read(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        HEAD + "defaults: {data_class: pii}\ncolumns:\n"
        "  - {table: shop.users, column: email, type: text, search: [equality], index_domain: mail}\n"
        "  - {table: users, column: ssn, type: text, data_class: restricted}\n"
        "  - {table: users, column: name, type: text, search: [equality]}\n",
    )
    policy = load([path])
    email, ssn, name = policy.rules
    assert email.qualified_name == "shop.users.email"
    assert (email.data_class, email.search, email.index_domain) == ("pii", {"equality"}, "mail")
    assert email.source == f"{path}:5"
    assert (ssn.schema, ssn.data_class, ssn.search, ssn.index_domain) == ("public", "restricted", set(), "")
    assert name.index_domain == "public.users.name"
    assert policy.keyring.provider == "file"
    assert policy.keyring.options == {"path": str(tmp_path / "k.kek")}


def test_safe_functions_of_all_files(tmp_path: Path) -> None:
    one = write(tmp_path, HEAD + COLUMN + "}]\nsafe_functions: [shop.f, Touch]", "1.yaml")
    two = write(tmp_path, "version: 1\nsafe_functions:\n  - other.f", "2.yaml")
    policy = load([one, two])
    assert [f.qualified_name for f in policy.safe_functions] == ["shop.f", "public.Touch", "other.f"]
    assert [f.source for f in policy.safe_functions] == [f"{one}:4", f"{one}:4", f"{two}:3"]
    assert load([write(tmp_path, HEAD + COLUMN + "}]")]).safe_functions == ()


def test_a_folder_is_all_its_files(tmp_path: Path) -> None:
    write(tmp_path, HEAD + "columns: [{table: a, column: b, type: text}]", "1.yaml")
    write(tmp_path, "version: 1\ncolumns: [{table: a, column: c, type: text}]", "2.yml")
    write(tmp_path, "not a rule file", "3.txt")
    assert [r.column for r in load([tmp_path]).rules] == ["b", "c"]


@pytest.mark.parametrize(
    ("text", "line", "message", "hint"),
    [
        ("", 1, "the file is empty", "version"),
        ("version: 2", 1, "version must be 1", None),
        ("columns: []", 1, "version is missing", "version: 1"),
        ("[1, 2]", 1, "must be a mapping", None),
        ("version: 1\nkeyrin: {}", 2, 'no key "keyrin"', 'Did you mean "keyring"?'),
        ("version: 1\nversion: 1", 2, "stands twice", "Remove one"),
        ("version: 1\nkeyring: file", 2, "keyring must be a mapping", "provider"),
        ("version: 1\nkeyring: {path: x}", 2, "names no provider", "file, env"),
        ("version: 1\nkeyring: {provider: env, previous: x}", 2, "previous must be a list", None),
        ("version: 1\nkeyring: {provider: env, previous: [x]}", 2, "an entry of previous must be a mapping", "file"),
        ("version: 1\nkeyring:\n  provider: env\n  previous:\n    - {path: x}", 5, "names no provider", None),
        ("version: 1\nkeyring: {provider: env, a: {b: c}}", 2, "a must be a text", None),
        ("version: 1\nkeyring: {provider: env, a: [[b]]}", 2, "a must be a text", None),
        (HEAD + "columns: {a: b}", 3, "columns must be a list", None),
        (HEAD + COLUMN + ", serch: [equality]}]", 3, 'no key "serch"', 'Did you mean "search"?'),
        (HEAD + COLUMN + ", readers: [x]}]", 3, "not available in this version", "Remove it"),
        (HEAD + COLUMN + ", tenant: x}]", 3, "tenant must be a mapping", None),
        (HEAD + COLUMN + ", tenant: {}}]", 3, "a column of the same row or a setting", "tenant: {column"),
        (HEAD + COLUMN + ", tenant: {colum: x}}]", 3, 'no key "colum"', 'Did you mean "column"?'),
        (HEAD + COLUMN + ", tenant: {column: x, setting: pgcrypt.tenant}}]", 3, "or a setting", None),
        (HEAD + COLUMN + ", tenant: {column: b}}]", 3, "another one than the protected column", None),
        (HEAD + COLUMN + ", tenant: {setting: app.tenant}}]", 3, "the setting of a tenant is pgcrypt.tenant", None),
        (HEAD + COLUMN + ", tenant: {column: x}, phase: importing}]", 3, "is imported in one pause", "without --online"),
        (HEAD + COLUMN + ", tenant: {setting: pgcrypt.tenant}, phase: sealing}]", 3, "without a phase", "without --online"),
        (HEAD + "columns:\n- {table: a, column: x, type: text}\n- {table: a, column: b, type: text, tenant: {column: x}}", 5, "is protected itself", "plain column"),
        (HEAD + "columns:\n- {table: a, column: b, type: text, tenant: {column: x}}\n- {table: a, column: c, type: text, tenant: {column: y}}", 5, "one tenant column", "same column"),
        (HEAD + COLUMN + ", search: [order]}]", 3, "not available in this version", None),
        (HEAD + COLUMN + ", search: [equalty]}]", 3, 'no search mode "equalty"', 'Did you mean "equality"?'),
        (HEAD + COLUMN + ", search: equality}]", 3, "search must be a list", None),
        (HEAD + COLUMN + ", search: [equality, equality]}]", 3, "stands twice", None),
        (HEAD + COLUMN + ", index_domain: x}]", 3, "no meaning without search", "search"),
        (HEAD + COLUMN + ", data_class: 'A B'}]", 3, "is not a name", "small letters"),
        (HEAD + "columns:\n- {table: a, column: b, type: date, search: [equality_casefold]}", 4, "text, varchar and citext only", None),
        (HEAD + "columns: [{table: a, column: b}]", 3, 'needs the key "type"', None),
        (HEAD + "columns: [{table: a.b.c, column: b, type: text}]", 3, "schema.table", None),
        (HEAD + "columns: [{table: a, column: , type: text}]", 3, "column must be a text", None),
        (HEAD + "columns: [{table: a, column: b, type: text}\n", 4, "expected", None),
        (HEAD + "columns:\n- {table: a, column: b, type: text}\n- {table: public.a, column: b, type: text}", 5, "has a rule already", "Remove one"),
        (HEAD + "safe_functions: public.f", 3, "safe_functions must be a list", None),
        (HEAD + "safe_functions: [a.b.c]", 3, "a safe function must be schema.name", None),
        (HEAD + "safe_functions: [{a: b}]", 3, "a safe function must be a text", None),
        (HEAD + "safe_functions:\n- f(int)", 4, "named without its arguments", "all functions of that name"),
        (HEAD + COLUMN + "}]\nsafe_functions:\n- f\n- public.f", 6, "safe function public.f is named already", "Remove one"),
    ],
)  # fmt: skip
def test_mistakes_are_named_with_file_and_line(
    tmp_path: Path, text: str, line: int, message: str, hint: str | None
) -> None:
    path = write(tmp_path, text)
    with pytest.raises(PolicyError) as caught:
        load([path])
    assert caught.value.message.startswith(f"{path}:{line}: ")
    assert message in caught.value.message
    assert hint is None or hint in str(caught.value.hint)


def test_no_rules_and_no_keyring(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="no column is named"):
        load([write(tmp_path, HEAD)])
    with pytest.raises(PolicyError, match="no keyring is named"):
        load([write(tmp_path, "version: 1\ncolumns: [{table: a, column: b, type: text}]")])
    with pytest.raises(PolicyError, match="no rule file"):
        load([])
    with pytest.raises(PolicyError, match="cannot be read"):
        load([tmp_path / "missing.yaml"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(PolicyError, match="holds no"):
        load([tmp_path / "empty"])


def test_two_keyrings_contradict(tmp_path: Path) -> None:
    one = write(tmp_path, HEAD + "columns: [{table: a, column: b, type: text}]", "1.yaml")
    two = write(tmp_path, "version: 1\nkeyring: {provider: env}", "2.yaml")
    with pytest.raises(PolicyError, match="another keyring"):
        load([one, two])


def test_not_utf8_and_too_long(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(PolicyError):
        load([path])
    path.write_bytes(b"#" * (2 << 20))
    with pytest.raises(PolicyError, match="longer than"):
        load([path])


def test_providers_and_those_before_them(tmp_path: Path) -> None:
    text = """
version: 1
keyring:
  provider: aws-kms
  key_id: arn:1
  replicas: [arn:2, arn:3]
  previous:
    - {provider: file, path: old.kek}
    - {provider: env, variable: OLD}
columns: [{table: a, column: b, type: text}]
"""
    keyring = load([write(tmp_path, text)]).keyring
    assert (keyring.provider, keyring.options) == ("aws-kms", {"key_id": "arn:1", "replicas": "arn:2,arn:3"})
    old_file, old_env = keyring.previous
    assert (old_file.provider, old_file.options) == ("file", {"path": str(tmp_path / "old.kek")})
    assert (old_env.provider, old_env.options, old_env.previous) == ("env", {"variable": "OLD"}, ())


def test_a_digest_tells_rules_apart_and_is_the_same_in_every_process(tmp_path: Path) -> None:
    path = write(tmp_path, HEAD + COLUMN + ", search: [equality, equality_upper]}]\n")
    script = f"from pathlib import Path; from pgcrypt_proxy.policy.load import load; print(load([Path({str(path)!r})]).digest)"
    seen = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2", "3")
    }
    first = load([path]).digest
    assert seen == {first}
    for text in (HEAD.replace("k.kek", "l.kek") + COLUMN + "}]", HEAD + COLUMN + ", search: [equality]}]"):
        assert load([write(tmp_path, text)]).digest != first


@pytest.mark.parametrize("phase", ["sealed", "sealing", "opening", "importing"])
def test_phases(tmp_path, phase):
    path = tmp_path / "rules.yaml"
    path.write_text(
        "version: 1\nkeyring: {provider: env}\n"
        f"columns: [{{table: public.users, column: email, type: text, phase: {phase}}}]\n"
    )
    assert load([path]).rules[0].phase == phase


def test_another_phase_is_refused(tmp_path):
    path = tmp_path / "rules.yaml"
    path.write_text(
        "version: 1\nkeyring: {provider: env}\n"
        "columns: [{table: public.users, column: email, type: text, phase: plain}]\n"
    )
    with pytest.raises(PolicyError, match=r'rules\.yaml:3: there is no phase "plain"'):
        load([path])


def test_only_terms_are_reindexed(tmp_path):
    path = tmp_path / "rules.yaml"
    column = "{table: public.users, column: email, type: text, phase: reindexing%s}"
    head = "version: 1\nkeyring: {provider: env}\ncolumns:\n  - "
    path.write_text(head + column % ", search: [equality]")
    assert load([path]).rules[0].phase == "reindexing"
    assert load([path]).moving_tables == {("public", "users")}
    path.write_text(head + column % "")
    with pytest.raises(PolicyError, match=r"rules\.yaml:4: phase reindexing has no meaning without search"):
        load([path])


def test_tenants(tmp_path: Path) -> None:
    text = (
        HEAD
        + """columns:
- {table: a, column: b, type: text, tenant: {column: tenant_id}}
- {table: a, column: c, type: text, tenant: {setting: pgcrypt.tenant}}
- {table: a, column: d, type: text}
"""
    )
    tenants = [rule.tenant for rule in load([write(tmp_path, text)]).rules]
    assert tenants == [TenantRule("tenant_id"), TenantRule(), None]
    assert [stored_tenant(tenant.stored if tenant else "") for tenant in tenants] == tenants
