from __future__ import annotations

from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies as st

from pgcrypt_proxy.cli import statement_files
from pgcrypt_proxy.cli.mask import template
from pgcrypt_proxy.cli.statement_files import Form, open_source
from pgcrypt_proxy.errors import ConfigError

LOG = """\
2026-01-02 03:04:05.678 UTC [12] app@db LOG:  statement: SELECT 1
2026-01-02 03:04:05.678 UTC [12] app@db LOG:  duration: 0.123 ms
2026-01-02 03:04:05.679 UTC [12] app@db LOG:  execute <unnamed>: UPDATE users
\tSET email = $1
\tWHERE id = $2
2026-01-02 03:04:05.679 UTC [12] app@db DETAIL:  parameters: $1 = 'secret', $2 = '7'
2026-01-02 03:04:05.680 UTC [12] app@db LOG:  duration: 1.5 ms  parse s1: SELECT 2
2026-01-02 03:04:05.680 UTC [12] app@db LOG:  duration: 1.5 ms  bind s1: SELECT 2
2026-01-02 03:04:05.680 UTC [12] app@db LOG:  duration: 1.5 ms  execute s1/p: SELECT 2
2026-01-02 03:04:05.680 UTC [12] app@db LOG:  execute fetch from s1/p: SELECT 2
2026-01-02 03:04:05.681 UTC [12] app@db ERROR:  syntax error at or near "x"
2026-01-02 03:04:05.681 UTC [12] app@db STATEMENT:  x
2026-01-02 03:04:05.682 UTC [12] app@db LOG:  checkpoint starting: time
LOG:  duration: 12.5 ms  statement: BEGIN; SELECT 3"""
IN_LOG = [(1, "SELECT 1"), (3, "UPDATE users\nSET email = $1\nWHERE id = $2"), (9, "SELECT 2"), (14, "BEGIN; SELECT 3")]


def csv_line(severity: str, message: str) -> str:
    fields = ["2026-01-02 03:04:05.678 UTC", "app", "db", "12", "[local]", "6.c", "1", "SELECT", "2026", "3/1", "0"]
    quoted = message.replace('"', '""')
    return ",".join([*fields, severity, "00000", f'"{quoted}"', *[""] * 12]) + "\n"


CSVLOG = (
    csv_line("LOG", "statement: SELECT \"a\",\n  'b'")
    + csv_line("ERROR", "statement: SELECT wrong")
    + csv_line("LOG", "duration: 2 ms")
    + csv_line("LOG", "execute S_1: SELECT $1")
)
JSONLOG = """\
{"timestamp":"2026-01-02","pid":7,"error_severity":"LOG","message":"statement: SELECT 'a',\\n2"}
{"timestamp":"2026-01-02","pid":7,"error_severity":"ERROR","message":"statement: SELECT 2"}
{"timestamp":"2026-01-02","pid":7,"error_sev
{"timestamp":"2026-01-02","pid":7,"error_severity":"LOG","message":"execute s: SELECT $1"}
"""
STATISTICS = """\
userid,query,calls
10,"SELECT $1,
  ""a"" FROM t",12
10,<insufficient privilege>,3
10,COMMIT,5
"""


def read(path: Path, text: str, form: Form = Form.AUTO) -> tuple[Form, list[tuple[int, str, int]]]:
    path.write_text(text, newline="")
    with open_source(path, form) as source:
        return source.form, [(one.line, one.text, one.count) for one in source.statements()]


def once(found: list[tuple[int, str]]) -> list[tuple[int, str, int]]:
    return [(*one, 1) for one in found]


@pytest.mark.parametrize(
    ("text", "form", "found"),
    [
        (LOG, Form.LOG, once(IN_LOG)),
        (LOG + "\n", Form.LOG, once(IN_LOG)),
        (CSVLOG, Form.CSVLOG, once([(1, "SELECT \"a\",\n  'b'"), (5, "SELECT $1")])),
        (JSONLOG, Form.JSONLOG, once([(1, "SELECT 'a',\n2"), (4, "SELECT $1")])),
        (STATISTICS, Form.CSV, [(2, 'SELECT $1,\n  "a" FROM t', 12), (5, "COMMIT", 5)]),
        ("query\nSELECT 1\n", Form.CSV, [(2, "SELECT 1", 1)]),
        ("SELECT $1\n\nUPDATE t SET a = $1\n", Form.LINES, once([(1, "SELECT $1"), (3, "UPDATE t SET a = $1")])),
        ("SELECT 1", Form.SQL, once([(1, "SELECT 1")])),
        ("SELECT a\nFROM t\nWHERE b", Form.SQL, once([(1, "SELECT a\nFROM t\nWHERE b")])),
        ("SELECT 1;\nSELECT 2;\n", Form.SQL, once([(1, "SELECT 1"), (2, "SELECT 2")])),
        (
            "SELECT 'LOG:  statement: x';\r\nSELECT 2;\r\n",
            Form.SQL,
            once([(1, "SELECT 'LOG:  statement: x'"), (2, "SELECT 2")]),
        ),
    ],
)
def test_the_form_is_found_and_read(tmp_path, text, form, found):
    assert read(tmp_path / "f", text) == (form, found)


@pytest.mark.parametrize("sample", [1, 7, 40, 100])
@pytest.mark.parametrize(
    ("text", "form"), [(LOG, Form.LOG), (CSVLOG, Form.CSVLOG), (JSONLOG, Form.JSONLOG), (STATISTICS, Form.CSV)]
)
def test_how_much_is_read_at_first_changes_nothing(tmp_path, monkeypatch, text, form, sample):
    whole = read(tmp_path / "f", text, form)
    monkeypatch.setattr(statement_files, "SAMPLE", sample)
    assert read(tmp_path / "f", text, form) == whole


def test_a_form_that_is_named_is_taken(tmp_path):
    assert read(tmp_path / "f", "SELECT a\nFROM t", Form.LINES)[1] == once([(1, "SELECT a"), (2, "FROM t")])


def test_long_statements_in_logs_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(statement_files, "MAX_STATEMENT", 60)
    path = tmp_path / "f"
    path.write_text(
        "LOG:  statement: SELECT '" + "x" * 500 + "'\nERROR:  " + "x" * 500 + "\nLOG:  statement: SELECT 2\n"
    )
    with open_source(path, Form.LOG) as source:
        found = [(one.text, one.line, one.is_too_long) for one in source.statements()]
    assert found == [("", 1, True), ("SELECT 2", 3, False)]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"PGDMP\x01\x0e\x00\x04", "is no text file"),
        (b"\x1f\x8b\x08", "is no text file"),
        ("SELECT 1;".encode("utf-16"), "is no text file"),
    ],
)
def test_files_that_cannot_be_read_as_statements(tmp_path, content, problem):
    path = tmp_path / "f"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=problem), open_source(path, Form.AUTO):
        pass


def test_missing_files_and_folders(tmp_path):
    for path, problem in ((tmp_path / "missing", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(ConfigError, match=f"cannot be read: {problem}"), open_source(path, Form.AUTO):
            pass


def test_a_table_without_a_query_column(tmp_path):
    with pytest.raises(ConfigError, match="no column query"):
        read(tmp_path / "f", "a,b\n1,2\n", Form.CSV)


@hypothesis.settings(suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
@hypothesis.given(
    form=st.sampled_from(Form),
    parts=st.lists(
        st.one_of(
            st.binary(max_size=20),
            st.sampled_from(
                [b"LOG:  ", b"statement: ", b"\n\t", b"\n", b'"', b",", b"query", b"calls", b"{", b"[" * 5000]
            )
            | st.sampled_from([CSVLOG.encode(), JSONLOG.encode(), b"SELECT 1;", b"$$", b"'", b"/*", b"\r"]),
        ),
        max_size=12,
    ),
)
def test_whatever_a_file_holds_is_read_or_refused(tmp_path, form, parts):
    path = tmp_path / "f"
    path.write_bytes(b"".join(parts))
    try:
        with open_source(path, form) as source:
            for one in source.statements():
                assert one.line > 0
                assert one.count >= 0
                template(one.text)
    except ConfigError as error:
        assert str(path) in error.message or "CSV" in error.message


def test_bytes_that_are_no_utf8_do_not_stop_the_reading(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"SELECT '\xe4'; SELECT 2;")
    with open_source(path, Form.AUTO) as source:
        assert [one.text for one in source.statements()] == ["SELECT '\ufffd'", "SELECT 2"]
