"""How the command line speaks: results on standard output, everything else on standard error."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from pgcrypt_proxy.errors import PgcryptError
from pgcrypt_proxy.ops.column_rows import Progress as ProgressFunction
from pgcrypt_proxy.ops.column_rows import no_progress

WIDTH_OF_A_PIPE = 200


def say(text: str = "", style: str | None = None) -> None:
    """A line of the result. The text is never read as markup."""
    _console().print(text, style=style, markup=False, emoji=False, highlight=False, soft_wrap=True)


def note(text: str) -> None:
    """A line beside the result."""
    _console(stderr=True).print(text, markup=False, emoji=False, highlight=False, soft_wrap=True)


def show_table(*columns: str, rows: list[tuple[str, ...]]) -> None:
    """A table of plain texts."""
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(_plain(cell) for cell in row))
    _console().print(table, highlight=False)


def show_error(error: PgcryptError) -> None:
    """What, where, what to do: one line, more only when there is more to say."""
    console = _console(stderr=True)
    console.print(f"error: {error.message}", style="red", markup=False, emoji=False, highlight=False, soft_wrap=True)
    for line in (error.detail or "").splitlines():
        note(f"  {line}")
    if error.hint:
        note(f"hint: {error.hint}")


@contextlib.contextmanager
def progress_bar(title: str) -> Iterator[ProgressFunction]:
    """A function that moves a bar; without a terminal it does nothing."""
    if not sys.stderr.isatty():
        yield no_progress
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=_console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=None)

        def move(phase: str, done: int, total: int) -> None:
            progress.update(task, description=_plain(f"{title}: {phase}"), completed=done, total=total)

        yield move


@contextlib.contextmanager
def byte_counter(title: str) -> Iterator[Callable[[int], None]]:
    """A function that shows how many bytes are done, and how fast; without a terminal it does nothing."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    columns = (TextColumn("{task.description}"), DownloadColumn(), TransferSpeedColumn(), TimeElapsedColumn())
    with Progress(*columns, console=_console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=None)
        yield lambda done: progress.update(task, completed=done)


def _console(*, stderr: bool = False) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    return Console(file=stream, width=None if stream.isatty() else WIDTH_OF_A_PIPE)


def _plain(text: str) -> str:
    return text.replace("[", r"\[")
