"""The form in which every number is handed on."""

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Estimate:
    """A value measured on n examples and the interval that its true value lies in at the chosen level."""

    value: float
    low: float
    high: float
    n: int

    def to_dict(self) -> dict[str, float | int]:
        """Return the JSON form: `{"value": .., "low": .., "high": .., "n": ..}`."""
        return asdict(self)
