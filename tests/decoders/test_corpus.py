"""Every target takes every seed of its corpus, whole and cut off, without atheris."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.decoders.targets import TARGETS

CORPUS = Path(__file__).with_name("corpus")


@pytest.mark.parametrize("name", TARGETS)
def test_seeds(name: str) -> None:
    seeds = sorted(p for p in (CORPUS / name).iterdir())
    assert len(seeds) >= 3
    for seed in seeds:
        data = seed.read_bytes()
        assert len(data) <= 4096, "seeds are small"
        TARGETS[name](data)
        for end in {0, 1, len(data) // 2, len(data) - 1}:
            TARGETS[name](data[: max(end, 0)])


def test_every_corpus_has_a_target() -> None:
    assert {p.name for p in CORPUS.iterdir()} == set(TARGETS)
