"""Settings for Django's own tests: PostgreSQL where PGHOST and PGPORT lead, and a runner that writes JUnit XML.

The database is one that exists, kept by --keepdb: a proxy serves one.
"""

from __future__ import annotations

import os
import unittest
import xml.etree.ElementTree as ElementTree
from typing import Any

from django.test.runner import DiscoverRunner


def _database(name: str, port: str) -> dict[str, Any]:
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": name,
        "USER": os.environ["PGUSER"],
        "HOST": os.environ["PGHOST"],
        "PORT": port,
        "TEST": {"NAME": name},
    }


DATABASES = {
    "default": _database(os.environ["PGDATABASE"], os.environ["PGPORT"]),
    "other": _database(os.environ["SUITE_SECOND_DATABASE"], os.environ["SUITE_SERVER_PORT"]),
}
SECRET_KEY = "not one"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
USE_TZ = False
TEST_RUNNER = "django_suite.Runner"


class Result(unittest.TextTestResult):
    """Keeps what became of each test; a subtest's failure is its test's."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.cases: list[ElementTree.Element] = []

    def _add(self, test: unittest.TestCase, tag: str | None = None, message: str = "") -> None:
        classname, _, name = test.id().rpartition(".")
        case = ElementTree.Element("testcase", {"classname": classname, "name": name})
        if tag is not None:
            ElementTree.SubElement(case, tag, {"message": message.partition("\n")[0]}).text = message
        self.cases.append(case)

    def addSuccess(self, test: unittest.TestCase) -> None:
        super().addSuccess(test)
        self._add(test)

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        super().addSkip(test, reason)
        self._add(test, "skipped", reason)

    def addExpectedFailure(self, test: unittest.TestCase, err: Any) -> None:
        super().addExpectedFailure(test, err)
        self._add(test, "skipped", "an expected failure")

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:
        super().addUnexpectedSuccess(test)
        self._add(test, "failure", "an unexpected success")

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:
        super().addFailure(test, err)
        self._add(test, "failure", self.failures[-1][1])

    def addError(self, test: unittest.TestCase, err: Any) -> None:
        super().addError(test, err)
        self._add(test, "error", self.errors[-1][1])

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Any) -> None:
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._add(test, "failure", f"{subtest}: {err[1]!r}")


class Runner(DiscoverRunner):
    def get_resultclass(self) -> type[unittest.TextTestResult]:
        return Result

    def run_suite(self, suite: unittest.TestSuite, **keywords: Any) -> Any:
        result = super().run_suite(suite, **keywords)
        root = ElementTree.Element("testsuite")
        root.extend(result.cases)
        # Messages may hold control characters, which XML forbids.
        text = ElementTree.tostring(root, encoding="unicode")
        with open(os.environ["SUITE_RESULTS"], "w", encoding="utf-8") as file:
            file.write("".join(c for c in text if c in "\t\n\r" or ord(c) >= 32))
        return result
