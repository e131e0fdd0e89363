"""The exercise in small: thousands of rows, two kills."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.exercise.run import exercise
from tests.helpers.servers import PostgresServer


@pytest.mark.slow
@pytest.mark.one_server
@pytest.mark.timeout(300)
def test_nobody_notices(postgres: PostgresServer, tmp_path: Path) -> None:
    result = asyncio.run(exercise(postgres, tmp_path, rows=3000, kills=2, seed=1, pause_s=0.02))
    assert result.faults == []
    assert len(result.kills) == 2
    assert all(phase.operations > 0 for phase, _, _ in result.phases)
