"""Splits an SQL script into statements at its semicolons, a line at a time, as psql does.

Knows quotes, comments, dollar quotes, bodies between BEGIN ATOMIC and END, the
data behind COPY ... FROM STDIN, and skips psql's own commands.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

#: Characters of one statement; the proxy's own limit is the same by default.
MAX_STATEMENT = 1 << 20

_TOKEN = re.compile(
    r"""--[^\n]* | /\* | [eE]' | ' | " | \$(?:[A-Za-z_\x80-\uffff][\w\x80-\uffff]*)?\$ | ; | [^\W\d][\w$]*""",
    re.VERBOSE,
)
_ENDS = {
    "'": re.compile(r"'"),
    '"': re.compile(r'"'),
    "e'": re.compile(r"\\.|'", re.DOTALL),
    "/*": re.compile(r"/\*|\*/"),
}
_COPY_DATA = re.compile(r"\s*copy\b.*\bfrom\s+stdin\b", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Found:
    """A statement, the line it begins on (from 1), and how often it ran. A too long one has no text."""

    text: str
    line: int
    count: int = 1
    is_too_long: bool = False


@dataclass(slots=True)
class _Reader:
    """Where the script stands: inside a quote or comment of that kind, and what the statement holds so far."""

    line: int = 0
    is_line_begun: bool = False
    began: int = 0
    parts: list[str] = field(default_factory=list)
    length: int = 0
    has_words: bool = False
    inside: str = ""
    comment_depth: int = 0
    #: nesting of BEGIN ATOMIC and the CASEs in it
    body_depth: int = 0
    last_word: str = ""
    is_copying: bool = False

    def feed(self, piece: str) -> Iterator[Found]:
        """Take a line, or a piece of a very long one, and give the statements that end in it."""
        self.line += not self.is_line_begun
        self.is_line_begun = not piece.endswith("\n")
        if self.is_copying:
            self.is_copying = piece.rstrip("\r\n") != "\\."
        elif piece.startswith("\\") and not self.has_words and not self.inside:
            self._clear()
        else:
            yield from self._scan(piece)

    def _scan(self, piece: str) -> Iterator[Found]:
        at = start = 0
        while True:
            if self.inside:
                at = self._leave(piece, at)
                if self.inside:
                    break
            found = _TOKEN.search(piece, at)
            if found is None:
                break
            at = found.end()
            if self._is_end(found[0]):
                self._keep(piece[start : found.start()])
                yield from self.end()
                start = at
        self._keep(piece[start:])

    def _is_end(self, met: str) -> bool:
        """Note what stands outside of quotes; whether it ends the statement."""
        if met == ";":
            return self.body_depth == 0
        if met.startswith("--"):
            return False
        if met == "/*":
            self.inside, self.comment_depth = met, 1
            return False
        if not self.has_words:
            self.has_words, self.began = True, self.line
        if met in ("'", '"') or met.startswith("$"):
            self.inside = met
        elif met.endswith("'"):
            self.inside = "e'"
        else:
            word = met.lower()
            if word == "atomic" and self.last_word == "begin":
                self.body_depth = 1
            elif self.body_depth:
                self.body_depth += {"case": 1, "end": -1}.get(word, 0)
            self.last_word = word
        return False

    def _leave(self, piece: str, at: int) -> int:
        """Go on to the end of the quote or comment, if it is in this piece."""
        if self.inside.startswith("$"):
            end = piece.find(self.inside, at)
            if end < 0:
                return at
            at, self.inside = end + len(self.inside), ""
            return at
        for found in _ENDS[self.inside].finditer(piece, at):
            if self.inside == "/*":
                self.comment_depth += 1 if found[0] == "/*" else -1
                if self.comment_depth:
                    continue
            elif found[0].startswith("\\"):
                continue
            self.inside = ""
            return found.end()
        return at

    def _keep(self, text: str) -> None:
        self.length += len(text)
        if self.length <= MAX_STATEMENT:
            self.parts.append(text)

    def _clear(self) -> None:
        self.parts, self.length, self.has_words = [], 0, False
        self.body_depth, self.last_word = 0, ""

    def end(self) -> Iterator[Found]:
        """The statement so far, if there is one; the next one begins."""
        text, is_too_long = "".join(self.parts).strip(), self.length > MAX_STATEMENT
        has_words = self.has_words
        self._clear()
        if has_words and is_too_long:
            yield Found("", self.began, is_too_long=True)
        elif has_words:
            self.is_copying = _COPY_DATA.match(text) is not None
            yield Found(text, self.began)


def split(pieces: Iterable[str]) -> Iterator[Found]:
    """The statements of a script that comes in lines; the last one needs no semicolon."""
    reader = _Reader()
    for piece in pieces:
        yield from reader.feed(piece)
    yield from reader.end()
