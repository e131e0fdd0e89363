"""`learn` says what the proxy would do with the statements of an application, read from a file of them."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from pgcrypt_proxy.cli import options
from pgcrypt_proxy.cli.mask import UNREADABLE, template
from pgcrypt_proxy.cli.output import note, progress_bar, say
from pgcrypt_proxy.cli.planning import Names
from pgcrypt_proxy.cli.statement_files import Form, Source, open_source
from pgcrypt_proxy.cli.supposing import Supposing
from pgcrypt_proxy.errors import ConfigError, Refusal
from pgcrypt_proxy.ops import catalog_loader
from pgcrypt_proxy.sql.catalog import Catalog
from pgcrypt_proxy.sql.plan import Plan

#: Templates beyond these are counted and not shown.
MAX_TEMPLATES = 20_000
FURTHER = "(further templates)"
MAX_SHOWN = 300
STATEMENTS_PER_STEP = 500
UNTOUCHED, REWRITTEN, REFUSED = "untouched", "rewritten", "refused"


@dataclass(slots=True)
class Tally:
    """How often a template came, and the line it came on first."""

    line: int
    count: int = 0


@dataclass(slots=True)
class Reason:
    """Why statements are refused."""

    refusal: Refusal
    templates: dict[str, Tally] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return sum(tally.count for tally in self.templates.values())


@dataclass(slots=True)
class Findings:
    """What was learned. `wanted` counts refused statements by the search term that they lack, `answerable` those
    that all such terms together would let pass."""

    counts: Counter[str] = field(default_factory=Counter)
    passed: dict[str, dict[str, Tally]] = field(default_factory=lambda: {UNTOUCHED: {}, REWRITTEN: {}})
    reasons: dict[str, Reason] = field(default_factory=dict)
    wanted: Counter[tuple[str, str]] = field(default_factory=Counter)
    answerable: int = 0
    unreadable: int = 0
    too_long: int = 0
    templates: int = 0

    @property
    def total(self) -> int:
        return self.counts.total()

    def add(self, plan: Plan, shown: str, line: int, count: int) -> None:
        """Count a statement under what becomes of it."""
        refusal = plan.refusal
        if refusal is not None:
            outcome = REFUSED
            templates = self.reasons.setdefault(refusal.message, Reason(refusal)).templates
        else:
            outcome = UNTOUCHED if plan.is_untouched else REWRITTEN
            templates = self.passed[outcome]
        self.counts[outcome] += count
        if shown not in templates and self.templates >= MAX_TEMPLATES:
            shown = FURTHER
        if shown not in templates:
            self.templates += 1
        templates.setdefault(shown, Tally(line)).count += count


def learn(
    file: Annotated[
        Path,
        typer.Argument(help="SQL script, PostgreSQL log, or dump of pg_stat_statements; - reads standard input."),
    ],
    form: Annotated[Form, typer.Option("--format", help="How statements stand in the file.")] = Form.AUTO,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    search_path: Annotated[
        str | None, typer.Option("--search-path", help="The client's search_path; else the database's.")
    ] = None,
    rules: options.Rules = None,
    database_url_file: options.UrlFile = None,
) -> None:
    """Say which of an application's statements pass, and what those that do not would need.

    Values are never shown: statements that differ in them only are one template.
    Columns that rules name count as sealed, whether they are or not yet. Exit status 1 when any is refused.
    """
    policy = options.load_policy(rules)
    with open_source(file, form) as source, options.open_database(database_url_file) as connection:
        catalog = catalog_loader.load(connection, policy, suppose_sealed=True)
        ruled = {rule.qualified_name for rule in policy.rules}
        sealed = [c.qualified_name for c in catalog.protected_columns if c.id < 0 and c.qualified_name in ruled]
        findings = _read(source, Names(connection, search_path), Supposing(catalog, ruled))
    if not findings.total and not findings.too_long:
        raise ConfigError(
            f"no statement was found in {source.name}, read as {source.form.value}",
            hint="Name its form: --format sql, log, csvlog, jsonlog, csv or lines.",
        )
    if as_json:
        say(json.dumps(_document(findings, source, sealed), indent=2, ensure_ascii=False))
    else:
        _show(findings, source, sealed, _search_of(catalog))
    if findings.counts[REFUSED]:
        raise typer.Exit(1)


def _read(source: Source, names: Names, supposing: Supposing) -> Findings:
    findings = Findings()
    with progress_bar("learn") as progress:
        for number, found in enumerate(source.statements()):
            if number % STATEMENTS_PER_STEP == 0:
                progress(source.name, source.position(), source.size)
            if found.is_too_long:
                findings.too_long += found.count
                continue
            shown = template(found.text)
            if shown is None:
                continue
            plan = names.plan(supposing.planner(), found.text, extended=False)
            findings.add(plan, shown, found.line, found.count)
            findings.unreadable += found.count if shown == UNREADABLE else 0
            if plan.refusal is not None:
                needed, is_answered = supposing.needs(plan.refusal, found.text, names)
                findings.wanted.update(dict.fromkeys(needed, found.count))
                findings.answerable += found.count if is_answered else 0
    return findings


def _search_of(catalog: Catalog) -> dict[str, frozenset[str]]:
    return {column.qualified_name: column.search for column in catalog.protected_columns}


def _show(findings: Findings, source: Source, sealed: list[str], search: dict[str, frozenset[str]]) -> None:
    say(f"{source.name}, read as {source.form.value}: {findings.total:,} statements, {findings.templates:,} templates")
    for name in sealed:
        say(f"  as if it were sealed: {name}")
    for outcome in (UNTOUCHED, REWRITTEN, REFUSED):
        say(f"  {outcome:9} {findings.counts[outcome]:>9,}")
    for outcome in (UNTOUCHED, REWRITTEN):
        if findings.passed[outcome]:
            say()
            say(f"{outcome}:")
            _show_templates(findings.passed[outcome])
    if findings.reasons:
        say()
        say("refused:")
    for reason in sorted(findings.reasons.values(), key=lambda reason: -reason.count):
        say(f"  {reason.refusal.message} (SQLSTATE {reason.refusal.code}), {reason.count:,} statements")
        _show_templates(reason.templates)
        if reason.refusal.hint:
            say(f"    hint: {reason.refusal.hint}")
    if findings.wanted:
        say()
        say(f"search terms, with which {findings.answerable:,} of the refused statements would pass:")
        for column, modes in _wanted(findings).items():
            every = ", ".join(sorted(search.get(column, frozenset()).union(modes)))
            count = max(findings.wanted[column, mode] for mode in modes)
            say(f"  {column}: search: [{every}]  ({count:,} statements)")
    if findings.unreadable:
        note(f"note: {findings.unreadable:,} statements cannot be parsed; perhaps they were cut short")
    if findings.too_long:
        note(f"note: {findings.too_long:,} statements are longer than 1 MiB and were left out")


def _show_templates(templates: dict[str, Tally]) -> None:
    for shown, tally in sorted(templates.items(), key=lambda item: -item[1].count):
        text = shown if len(shown) <= MAX_SHOWN else f"{shown[:MAX_SHOWN]} ..."
        say(f"  {tally.count:>9,}  {text}  (line {tally.line:,})")


def _wanted(findings: Findings) -> dict[str, list[str]]:
    """The search modes that columns lack, by column."""
    found: dict[str, list[str]] = {}
    for column, mode in sorted(findings.wanted):
        found.setdefault(column, []).append(mode)
    return found


def _document(findings: Findings, source: Source, sealed: list[str]) -> dict[str, Any]:
    return {
        "file": source.name,
        "format": source.form.value,
        "supposed_sealed": sealed,
        "statements": findings.total,
        "unreadable": findings.unreadable,
        "too_long": findings.too_long,
        **{
            outcome: {"statements": findings.counts[outcome], "templates": _listed(findings.passed[outcome])}
            for outcome in (UNTOUCHED, REWRITTEN)
        },
        REFUSED: {
            "statements": findings.counts[REFUSED],
            "reasons": [
                {
                    "message": reason.refusal.message,
                    "hint": reason.refusal.hint,
                    "sqlstate": reason.refusal.code,
                    "statements": reason.count,
                    "templates": _listed(reason.templates),
                }
                for reason in findings.reasons.values()
            ],
        },
        "search": [
            {"column": column, "mode": mode, "statements": count}
            for (column, mode), count in sorted(findings.wanted.items())
        ],
        "answerable_with_search": findings.answerable,
    }


def _listed(templates: dict[str, Tally]) -> list[dict[str, Any]]:
    return [{"template": shown, "statements": tally.count, "line": tally.line} for shown, tally in templates.items()]
