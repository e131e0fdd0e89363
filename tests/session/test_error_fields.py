"""What errors of the server may tell."""

from __future__ import annotations

import pytest

from pgcrypt_proxy.session.error_fields import client_position, for_client, scrub_detail
from pgcrypt_proxy.sql.plan import UNTOUCHED, LiteralSlot, Plan, Splice, StatementPlan, Use
from pgcrypt_proxy.wire.backend import ErrorResponse, NoticeResponse
from tests.helpers.session_doubles import EMAIL, catalog
from tests.session.conversations import error, fields_of

SLOT = LiteralSlot("x", Use.TERM, EMAIL, None, 30)
#         client:   SELECT 1 FROM users u WHERE (u.email = 'x') AND bad
#         upstream: SELECT 1 FROM users u WHERE (pgcrypt.eq(u.email) = <10 characters>) AND bad
PLAN = Plan(
    False,
    (StatementPlan(False),),
    (),
    (Splice(29, 36, ("pgcrypt.eq(u.email)",)), Splice(39, 42, (SLOT,))),
)
LENGTHS = {SLOT: 10}
TERM = rb"\x" + b"ab" * 16
HEX = TERM.decode()


@pytest.mark.parametrize(
    ("upstream", "client"),
    [
        (1, 1),
        (29, 29),
        (30, 30),  # inside the call: where the replaced text began
        (48, 30),
        (49, 37),  # " = " behind it
        (52, 30),  # inside the literal: its own position
        (61, 30),
        (62, 43),
        (68, 49),
    ],
)
def test_positions_are_mapped_back(upstream: int, client: int):
    assert client_position(PLAN, LENGTHS, upstream) == client


def test_position_behind_a_literal_of_unknown_length_is_not_told():
    assert client_position(PLAN, {}, 62) is None


@pytest.mark.parametrize(
    ("detail", "shown"),
    [
        (b"Key (pgcrypt.eq(email))=(" + TERM + b") already exists.", b"Key (email) already exists."),
        (
            b"Key (org, pgcrypt.eq(email))=(7, " + TERM + b") already exists.",
            b"Key (org, email) already exists.",
        ),
        (b"Key (email)=(" + TERM + b') is not present in table "x".', b'Key (email) is not present in table "x".'),
        (b"Key (id)=(5) already exists.", b"Key (id)=(5) already exists."),
        (b"Key (pgcrypt.eq(email::bytea))=(" + TERM + b") already exists.", b"Key (email) already exists."),
        (b"Key (pgcrypt.eq((email)::bytea))=(" + TERM + b") already exists.", b"Key (email) already exists."),
        (b"Something quotes " + TERM, None),
        (b"Key (lower(pgcrypt.other(email)))=(x) already exists.", None),
    ],
)
def test_details_tell_columns_only(detail: bytes, shown: bytes | None):
    assert scrub_detail(detail, b"23505") == shown


def test_failing_row_is_not_told():
    assert scrub_detail(b"Failing row contains (1, " + TERM + b").", b"23502") is None


def test_error_of_an_untouched_statement_is_kept_whole():
    raw = error("23505", D="Key (id)=(5) already exists.", s="public", t="orders", P="8", W="PL/pgSQL", q="SELECT 1")
    assert for_client(raw, UNTOUCHED, {}, catalog()) is raw


def test_error_about_a_protected_table_is_scrubbed_whatever_the_statement():
    raw = error("23502", D=f"Failing row contains (1, {HEX}).", s="public", t="users", W="SQL statement")
    fields = fields_of(for_client(raw, UNTOUCHED, {}, catalog()))
    assert "D" not in fields
    assert fields["W"] == "SQL statement"


def test_check_option_of_a_view_shows_no_envelope_and_leaves_plain_rows():
    raw = error("44000", D=f"Failing row contains (1, {HEX}...).")
    assert "D" not in fields_of(for_client(raw, UNTOUCHED, {}, catalog()))
    assert "D" not in fields_of(for_client(raw, None, {}, catalog()))
    plain = error("44000", D="Failing row contains (1, abc).")
    assert for_client(plain, UNTOUCHED, {}, catalog()) == plain


def test_error_of_a_rewritten_statement():
    raw = error(
        "23505",
        D=f"Key (pgcrypt.eq(email))=({HEX}) already exists.",
        P="68", p="3", q="SELECT pgcrypt.eq(x)", W="SQL function eq", n="users_email_key", Z="future",
    )  # fmt: skip
    fields = fields_of(for_client(raw, PLAN, LENGTHS, catalog()))
    assert fields["D"] == "Key (email) already exists."
    assert fields["P"] == "49"
    assert not {"p", "q", "W"} & set(fields)
    assert (fields["n"], fields["Z"]) == ("users_email_key", "future")


def test_error_without_sqlstate():
    raw = ErrorResponse(((ord("S"), b"ERROR"), (ord("M"), b"odd"))).encode()
    assert for_client(raw, PLAN, LENGTHS, catalog()) == raw


def test_notices_are_treated_alike():
    raw = NoticeResponse(((ord("S"), b"NOTICE"), (ord("D"), b"quotes " + TERM))).encode()
    assert for_client(raw, PLAN, LENGTHS, catalog()) == NoticeResponse(((ord("S"), b"NOTICE"),)).encode()


def test_messages_name_the_logical_type():
    raw = error("42883", f"function any_value(pgcrypt.sealed_{EMAIL.id}) does not exist, nor f(pgcrypt.sealed_999)")
    shown = fields_of(for_client(raw, PLAN, LENGTHS, catalog()))
    assert shown["M"] == "function any_value(text) does not exist, nor f(pgcrypt.sealed_999)"
