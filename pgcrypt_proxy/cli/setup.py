"""`init` prepares a database, `check` compares rules with it, `version` names the program."""

from __future__ import annotations

import os
from pathlib import Path

import typer

from pgcrypt_proxy import __version__
from pgcrypt_proxy.cli import options
from pgcrypt_proxy.cli.output import note, say
from pgcrypt_proxy.ops import catalog_loader, catalog_phases, catalog_queries, catalog_rules, install
from pgcrypt_proxy.ops import protect as ops_protect
from pgcrypt_proxy.ops.catalog_views import VIEW_KINDS
from pgcrypt_proxy.policy.model import Rule
from pgcrypt_proxy.sql.catalog import Catalog


def init(
    dry_run: options.DryRun = False,
    rules: options.Rules = None,
    database_url_file: options.UrlFile = None,
) -> None:
    """Install schema pgcrypt in the database. A second run changes nothing."""
    with options.open_database(database_url_file) as connection:
        if dry_run:
            texts = install.pending_sql(connection)
            for text in texts:
                say(text)
            if not texts:
                note("Nothing to do: the schema is up to date.")
            return
        done = install.install(connection)
    if done.is_unchanged:
        say(f"schema pgcrypt is up to date (version {done.version})")
    elif done.version_before:
        say(f"schema pgcrypt upgraded from version {done.version_before} to {done.version}")
        note("note: restart every proxy of this database before keys are rotated")
    else:
        say(f"schema pgcrypt installed (version {done.version})")
    for text in done.notes:
        note(f"note: {text}")
    policy = options.load_policy(rules) if _has_rules(rules) else None
    if policy is None:
        note("note: no rules were named; keys are made when the first column needs them")
        return
    with options.open_store(database_url_file, policy) as store:
        store.ensure_keys(rule.data_class for rule in policy.rules if rule.tenant is None)
        store.unlock().zeroise()
    say(f"the keyring's keys are there, wrapped by provider {policy.keyring.provider}")


def check(rules: options.Rules = None, database_url_file: options.UrlFile = None) -> None:
    """Compare the rules with the database and the keyring. Exit status 1 when something is wrong."""
    policy = options.load_policy(rules)
    with options.open_database(database_url_file) as connection:
        joined = catalog_rules.join(policy, catalog_queries.fetch(connection))
        findings = [*joined.problems, *joined.absent]
        waiting = [c.qualified_name for c in joined.protected.values() if not c.is_armed]
        for rule in policy.rules:
            if rule.qualified_name in waiting:
                findings += _not_sealed(rule, ops_protect.preview_protect(connection, rule, ops_protect.Options()))
        catalog = None if joined.problems else catalog_loader.load(connection, policy)
    with options.open_store(database_url_file, policy) as store:
        store.unlock().zeroise()
    for column in joined.protected.values():
        if column.is_armed:
            say(f"sealed: {column.qualified_name} ({column.type}, {column.data_class}, id {column.id})")
    for text in catalog_phases.plain_notes({rule.qualified_name: rule for rule in policy.rules}, joined.plain):
        say(f"plain: {text}")
    for text in catalog_phases.withheld_notes(joined.protected.values()):
        say(f"withheld: {text}")
    if catalog is not None:
        _show_lineage(catalog)
    for finding in findings:
        say(f"finding: {finding}")
    if findings:
        raise typer.Exit(1)
    say("rules, database and keyring agree")


def version() -> None:
    """Print the program's version."""
    say(f"pgcrypt-proxy {__version__}")


def _show_lineage(catalog: Catalog) -> None:
    """What protected columns are reached by, besides their tables."""
    for relation in catalog.relations.values():
        where = f"{relation.schema}.{relation.name}"
        if relation.is_derived:
            say(f"refused: {where} is made from protected columns in a way that cannot be answered on ciphertext")
        elif relation.kind in VIEW_KINDS:
            for column in relation.columns:
                if column.protected is not None:
                    say(f"view: {where}.{column.name} shows {column.protected.qualified_name}")
        for event, what in relation.write_hazards:
            say(f"refused: {event} on {where}, because {what} may move protected values")
    for name in sorted(catalog.tainted_functions):
        say(f"refused: function {name} may touch protected tables; if it may be called, name it in safe_functions")


def _has_rules(rules: list[Path] | None) -> bool:
    return bool(rules or os.environ.get(options.RULES_VARIABLE))


def _not_sealed(rule: Rule, preview: ops_protect.Preview) -> list[str]:
    head = f"{rule.source}: {rule.qualified_name}"
    command = f"pgcrypt-proxy protect --table {rule.schema}.{rule.table} --column {rule.column}"
    return [
        f"{head} is not sealed yet: run `{command}`",
        *(f"{head} cannot be sealed: {reason}" for reason in preview.assessment.obstacles),
    ]
