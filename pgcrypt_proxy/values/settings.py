"""The session's settings that decide how texts are read and written."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TextSettings:
    """As ParameterStatus reports them; `bytea_output` is known from the form that envelopes come in."""

    date_style: str = "ISO, MDY"
    time_zone: str = "UTC"
    bytea_output: str = "hex"
    interval_style: str = "postgres"

    @property
    def output_style(self) -> str:
        """ISO, SQL, Postgres or German."""
        return self.date_style.split(",")[0].strip()

    @property
    def date_order(self) -> str:
        """MDY, DMY or YMD."""
        parts = self.date_style.split(",")
        return parts[1].strip() if len(parts) > 1 else "MDY"
