"""Counts of what became of the statements, by source and by construct, so that dead grammar is seen."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from tests.conformance.shapes import Kind
from tests.fuzz.checker import Answer
from tests.fuzz.samples import Sample


@dataclass(slots=True)
class Tally:
    """All counts of a run."""

    outcomes: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    constructs: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    words: Counter[str] = field(default_factory=Counter)

    def add(self, sample: Sample, answer: Answer) -> None:
        source = self.outcomes[sample.name.split()[0]]
        kind = "WRONG" if answer.problem is not None else answer.verdict.kind.value
        source["statements"] += 1
        source[kind] += 1
        if kind == Kind.SAME.value and sample.is_touching:
            source["accepted and touching"] += 1
            source["with rows"] += answer.rows > 0
        if kind == Kind.ERROR.value:
            self.words[f"error {answer.verdict.words}"] += 1
        if kind == Kind.REFUSED.value:
            self.words["refused: " + answer.verdict.words.split('"')[0].strip()] += 1
        for tag in sample.tags:
            self.constructs[tag][kind] += 1

    @property
    def statements(self) -> int:
        return sum(counts["statements"] for counts in self.outcomes.values())

    def summary(self) -> str:
        """A line for each source."""
        lines = []
        for source, counts in sorted(self.outcomes.items()):
            total = counts["statements"]
            shares = ", ".join(
                f"{100 * counts[what] / total:.1f} % {what}"
                for what in ("same", "error", "refused", "accepted and touching", "with rows")
            )
            lines.append(f"{source}: {total} statements, {shares}; {counts['WRONG']} wrong")
        return "\n".join(lines)

    def details(self) -> str:
        """A line for each construct, then the commonest errors and refusals."""
        lines = [f"{'construct':32} {'n':>7} {'same':>6} {'error':>6} {'refused':>8}"]
        for tag, counts in sorted(self.constructs.items()):
            total = sum(counts.values())
            shares = [f"{100 * counts[kind] / total:.0f} %" for kind in ("same", "error", "refused")]
            dead = "  dead" if not counts["same"] and total >= 20 else ""
            lines.append(f"{tag:32} {total:7} {shares[0]:>6} {shares[1]:>6} {shares[2]:>8}{dead}")
        lines += [f"{count:7} {words}" for words, count in self.words.most_common(40)]
        return "\n".join(lines)
