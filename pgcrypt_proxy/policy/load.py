"""Rule files become a Policy. Every error names file and line, what is wrong, and the way out.

The form of a rule file is described in docs/rules.md.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import yaml

from pgcrypt_proxy.errors import PolicyError
from pgcrypt_proxy.policy import document
from pgcrypt_proxy.policy.document import items, mapping, nearest, place, text
from pgcrypt_proxy.policy.model import (
    EQUALITY,
    EQUALITY_CASEFOLD,
    EQUALITY_UPPER,
    IMPORTING,
    OPENING,
    REINDEXING,
    SEALED,
    SEALING,
    TENANT_SETTING,
    KeyringSettings,
    Policy,
    Rule,
    SafeFunction,
    TenantRule,
)

FILE_KEYS = ("version", "keyring", "defaults", "columns", "safe_functions")
COLUMN_KEYS = ("table", "column", "type", "search", "index_domain", "data_class", "phase", "tenant")
#: Keys and modes that are planned: refused by name, so that nobody believes them in force.
FUTURE_COLUMN_KEYS = ("readers", "mask")
PHASES = (SEALED, SEALING, OPENING, REINDEXING, IMPORTING)
SEARCH_MODES = (EQUALITY, EQUALITY_CASEFOLD, EQUALITY_UPPER)
FUTURE_SEARCH_MODES = ("deterministic", "match", "order")
DEFAULT_DATA_CLASS = "default"
_DATA_CLASS = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_FOLDED = frozenset({EQUALITY_CASEFOLD, EQUALITY_UPPER})
_FOLDABLE = ("text", "varchar", "character varying", "citext")


def load(paths: Sequence[Path]) -> Policy:
    """The rules of all files; a folder stands for its *.yaml and *.yml files. Raises PolicyError."""
    files = _files(paths)
    keyring: tuple[KeyringSettings, str] | None = None
    rules: list[Rule] = []
    safe: list[SafeFunction] = []
    has_columns = False
    for path in files:
        members = mapping(path, document.read(path), FILE_KEYS, "the file")
        _check_version(path, members.get("version"))
        if "keyring" in members:
            made = _keyring(path, members["keyring"])
            where = f"{path}:{place(members['keyring'])}"
            if keyring is not None and keyring[0] != made:
                raise PolicyError(f"{where}: another keyring than in {keyring[1]}", hint="Name it in one file only.")
            keyring = made, where
        has_columns = has_columns or "columns" in members
        rules += _rules(path, members)
        safe += _safe_functions(path, members)
    if keyring is None:
        raise PolicyError(
            f"{files[0]}: no keyring is named", hint="Add: keyring: {provider: file, path: /etc/pgcrypt/keyring.kek}"
        )
    if not has_columns:
        hint = "Add at least one entry under columns. A proxy that is to pass everything has: columns: []"
        raise PolicyError(f"{files[0]}: no column is named", hint=hint)
    _check_once(rules)
    _check_tenants(rules)
    _check_safe_once(safe)
    return Policy(1, keyring[0], tuple(rules), tuple(safe))


def _files(paths: Sequence[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.suffix in (".yaml", ".yml"))
            if not inside:
                raise PolicyError(f"{path} holds no *.yaml file")
            found += inside
        else:
            found.append(path)
    if not found:
        raise PolicyError("no rule file is named", hint="Give --rules FILE, or set PGCRYPT_RULES.")
    return found


def _check_version(path: Path, node: yaml.Node | None) -> None:
    if node is None:
        raise PolicyError(f"{path}:1: version is missing", hint="Add: version: 1")
    if text(path, node, "version") != "1":
        raise PolicyError(f"{path}:{place(node)}: version must be 1")


def _keyring(path: Path, node: yaml.Node) -> KeyringSettings:
    members = _open_mapping(path, node, "keyring")
    entries = items(path, members.pop("previous"), "previous") if "previous" in members else []
    previous = tuple(_provider(path, n, _open_mapping(path, n, "an entry of previous")) for n in entries)
    return _provider(path, node, members, previous)


def _open_mapping(path: Path, node: yaml.Node, what: str) -> dict[str, yaml.Node]:
    """A mapping whose keys are a provider's business."""
    if not isinstance(node, yaml.MappingNode):
        raise PolicyError(
            f"{path}:{place(node)}: {what} must be a mapping", hint="{provider: file, path: /etc/pgcrypt/keyring.kek}"
        )
    names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
    return mapping(path, node, names, what)


def _provider(
    path: Path, node: yaml.Node, members: dict[str, yaml.Node], previous: tuple[KeyringSettings, ...] = ()
) -> KeyringSettings:
    """A provider and its options; a list among them is handed over with commas between its texts."""
    if "provider" not in members:
        raise PolicyError(
            f"{path}:{place(node)}: keyring names no provider", hint="Built in: file, env, aws-kms, vault."
        )
    provider = text(path, members.pop("provider"), "provider")
    options = {}
    for name, value in members.items():
        listed = isinstance(value, yaml.SequenceNode)
        options[name] = ",".join(text(path, part, name) for part in (items(path, value, name) if listed else [value]))
    if provider == "file" and "path" in options:
        # relative to the rule file, so that it means the same wherever the proxy is started
        options["path"] = str((path.parent / options["path"]).absolute())
    return KeyringSettings(provider, options, previous)


def _rules(path: Path, members: dict[str, yaml.Node]) -> list[Rule]:
    default_class = DEFAULT_DATA_CLASS
    if "defaults" in members:
        defaults = mapping(path, members["defaults"], ("data_class",), "defaults")
        if "data_class" in defaults:
            default_class = _data_class(path, defaults["data_class"])
    if "columns" not in members:
        return []
    return [_rule(path, node, default_class) for node in items(path, members["columns"], "columns")]


def _data_class(path: Path, node: yaml.Node) -> str:
    name = text(path, node, "data_class")
    if _DATA_CLASS.fullmatch(name) is None:
        raise PolicyError(
            f'{path}:{place(node)}: data_class "{name}" is not a name',
            hint="Use small letters, digits, _ and -, starting with a letter, at most 63.",
        )
    return name


def _rule(path: Path, node: yaml.Node, default_class: str) -> Rule:
    members = mapping(path, node, (*COLUMN_KEYS, *FUTURE_COLUMN_KEYS), "a column")
    for key in FUTURE_COLUMN_KEYS:
        if key in members:
            raise PolicyError(
                f'{path}:{place(members[key])}: "{key}" is not available in this version',
                hint="Remove it; it would not be in force.",
            )
    for key in ("table", "column", "type"):
        if key not in members:
            raise PolicyError(f'{path}:{place(node)}: a column needs the key "{key}"')
    schema, table = _qualified(path, members["table"], "table must be schema.table")
    column, type_name = text(path, members["column"], "column"), text(path, members["type"], "type")
    search = _search(path, members["search"], type_name) if "search" in members else frozenset()
    if "index_domain" in members and not search:
        raise PolicyError(
            f"{path}:{place(members['index_domain'])}: index_domain has no meaning without search",
            hint="Add search: [equality], or remove index_domain.",
        )
    domain = text(path, members["index_domain"], "index_domain") if "index_domain" in members else ""
    return Rule(
        schema,
        table,
        column,
        type_name,
        _data_class(path, members["data_class"]) if "data_class" in members else default_class,
        search,
        (domain or f"{schema}.{table}.{column}") if search else "",
        f"{path}:{place(node)}",
        _phase(path, members["phase"], search, has_tenant="tenant" in members) if "phase" in members else SEALED,
        _tenant(path, members, column) if "tenant" in members else None,
    )


def _tenant(path: Path, members: dict[str, yaml.Node], column: str) -> TenantRule:
    node = members["tenant"]
    where = f"{path}:{place(node)}"
    given = mapping(path, node, ("column", "setting"), "tenant")
    if len(given) != 1:
        raise PolicyError(
            f"{where}: tenant names a column of the same row or a setting",
            hint=f"Write tenant: {{column: tenant_id}} or tenant: {{setting: {TENANT_SETTING}}}.",
        )
    if "setting" in given:
        if text(path, given["setting"], "setting") != TENANT_SETTING:
            raise PolicyError(f"{where}: the setting of a tenant is {TENANT_SETTING}", hint="There is no other one.")
        if "phase" in members and text(path, members["phase"], "phase") == SEALING:
            raise PolicyError(
                f"{where}: whose a plain value is, no setting says once it is stored: such a column is sealed in one"
                " pause only, without a phase",
                hint="Remove phase, and run protect without --online, with --tenant; or name a column of tenants.",
            )
        return TenantRule()
    name = text(path, given["column"], "column")
    if name == column or not name:
        raise PolicyError(f"{where}: the tenant's column is another one than the protected column")
    return TenantRule(name)


def _phase(path: Path, node: yaml.Node, search: frozenset[str], *, has_tenant: bool) -> str:
    phase = text(path, node, "phase")
    if phase not in PHASES:
        raise PolicyError(f'{path}:{place(node)}: there is no phase "{phase}"', hint=f"A rule is {', '.join(PHASES)}.")
    if phase == REINDEXING and not search:
        raise PolicyError(
            f"{path}:{place(node)}: phase {phase} has no meaning without search", hint="The column has no index terms."
        )
    if phase == IMPORTING and has_tenant:
        raise PolicyError(
            f"{path}:{place(node)}: a column with tenants is imported in one pause only, without a phase",
            hint="Remove phase, and run import without --online.",
        )
    return phase


def _qualified(path: Path, node: yaml.Node, form: str) -> tuple[str, str]:
    """`schema.name`, as it is in the catalog (case matters, no quotes); without schema: public."""
    parts = text(path, node, form.split(" must ")[0]).split(".")
    if len(parts) == 1:
        parts.insert(0, "public")
    if len(parts) != 2 or not all(parts):
        raise PolicyError(f"{path}:{place(node)}: {form}")
    return parts[0], parts[1]


def _safe_functions(path: Path, members: dict[str, yaml.Node]) -> list[SafeFunction]:
    if "safe_functions" not in members:
        return []
    found = []
    for node in items(path, members["safe_functions"], "safe_functions"):
        schema, name = _qualified(path, node, "a safe function must be schema.name")
        if "(" in name:
            raise PolicyError(
                f"{path}:{place(node)}: a safe function is named without its arguments",
                hint="The name stands for all functions of that name in that schema.",
            )
        found.append(SafeFunction(schema, name, f"{path}:{place(node)}"))
    return found


def _search(path: Path, node: yaml.Node, type_name: str) -> frozenset[str]:
    modes = set()
    for item in items(path, node, "search"):
        mode = text(path, item, "a search mode")
        where = f"{path}:{place(item)}"
        if mode in FUTURE_SEARCH_MODES:
            raise PolicyError(f'{where}: search mode "{mode}" is not available in this version')
        if mode not in SEARCH_MODES:
            raise PolicyError(f'{where}: there is no search mode "{mode}"', hint=nearest(mode, list(SEARCH_MODES)))
        if mode in modes:
            raise PolicyError(f'{where}: search mode "{mode}" stands twice')
        if mode in _FOLDED and type_name.split("(")[0].split(".")[-1].strip().lower() not in _FOLDABLE:
            raise PolicyError(f"{where}: {mode} is for text, varchar and citext only")
        modes.add(mode)
        if modes >= _FOLDED:
            raise PolicyError(
                f"{where}: {EQUALITY_CASEFOLD} and {EQUALITY_UPPER} exclude each other",
                hint="lower() and upper() make different texts equal, and there is room for one of the two terms.",
            )
    return frozenset(modes)


def _check_once(rules: list[Rule]) -> None:
    seen: dict[str, Rule] = {}
    for rule in rules:
        other = seen.setdefault(rule.qualified_name, rule)
        if other is not rule:
            raise PolicyError(
                f"{rule.source}: column {rule.qualified_name} has a rule already ({other.source})", hint="Remove one."
            )


def _check_tenants(rules: list[Rule]) -> None:
    """One table has one tenant column, which is plain."""
    protected = {rule.qualified_name: rule for rule in rules}
    first: dict[tuple[str, str], Rule] = {}
    for rule in rules:
        if rule.tenant is None or not rule.tenant.column:
            continue
        named = f"{rule.schema}.{rule.table}.{rule.tenant.column}"
        if named in protected:
            raise PolicyError(
                f"{rule.source}: the tenant's column {named} is protected itself ({protected[named].source})",
                hint="Name a plain column: it stands beside each value and says whose it is.",
            )
        other = first.setdefault((rule.schema, rule.table), rule)
        if other.tenant != rule.tenant:
            raise PolicyError(
                f"{rule.source}: a table has one tenant column ({other.source} names another one)",
                hint="Name the same column in all rules of the table.",
            )


def _check_safe_once(functions: list[SafeFunction]) -> None:
    seen: dict[str, SafeFunction] = {}
    for function in functions:
        other = seen.setdefault(function.qualified_name, function)
        if other is not function:
            raise PolicyError(
                f"{function.source}: safe function {function.qualified_name} is named already ({other.source})",
                hint="Remove one.",
            )
