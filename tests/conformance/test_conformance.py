"""Every shape, in every variant: what a plain database answers, or a refusal as expected; never anything else."""

from __future__ import annotations

import pytest

from tests.conformance import docs
from tests.conformance.judge import is_ordered, judge
from tests.conformance.shapes import Shape, Variant, read, selected
from tests.conftest import NOT_APPLICABLE
from tests.helpers.twins import Twins

CASES = [(shape, variant) for shape in read() for variant in shape.variants()]


@pytest.mark.integration
@pytest.mark.parametrize(("shape", "variant"), CASES, ids=[f"{shape}-{variant}" for shape, variant in CASES])
def test_conformance(twins: Twins, shape: Shape, variant: Variant) -> None:
    if twins.database.server.major_version < shape.min_version:
        pytest.skip(f"{NOT_APPLICABLE}needs PostgreSQL {shape.min_version}")
    verdict = judge(twins, shape, variant)
    assert verdict.problem is None, shape.text
    expected = shape.expected_of(variant)
    assert verdict.fits(expected), f"{shape.text}\n{verdict.kind.value}: {verdict.words}\nexpected {expected}"


def test_there_are_cases() -> None:
    assert len({str(shape) for shape, _ in CASES}) >= 230
    assert len(CASES) >= 1500


def test_a_thin_run_has_every_shape_and_every_way_of_every_file() -> None:
    thin = list(selected(read()))
    assert {str(shape) for shape, _ in thin} == {str(shape) for shape, _ in CASES}
    assert {(shape.path, variant) for shape, variant in thin} == {(shape.path, variant) for shape, variant in CASES}
    assert len(thin) < len(CASES) / 3


def test_the_page_says_what_is_tested() -> None:
    assert docs.PAGE.read_text() == docs.page(), "run: python -m tests.conformance --docs"


def test_order_counts_where_the_statement_asks_for_one() -> None:
    assert is_ordered("SELECT 1 ORDER  BY 1")
    assert not is_ordered("SELECT array_agg(x ORDER BY x) FROM (SELECT 1 ORDER BY 1) s WHERE t = 'order by'")
