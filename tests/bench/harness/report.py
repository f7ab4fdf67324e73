"""Figures of one benchmark: a row per subject, a value per round, ratios with targets."""

from __future__ import annotations

import operator
import statistics
from dataclasses import dataclass, field
from typing import Any, Callable

OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "<": operator.lt,
}


@dataclass(frozen=True)
class Column:
    key: str
    title: str
    digits: int = 0


@dataclass(frozen=True)
class Check:
    """A ratio (or a figure) beside what it should be.  Met or not, nothing fails."""

    label: str
    unit: str
    values: list[float]
    operator: str
    target: float

    @property
    def value(self) -> float:
        return statistics.median(self.values)

    @property
    def met(self) -> bool | None:
        return OPERATORS[self.operator](self.value, self.target) if self.values else None

    def as_json(self) -> dict[str, Any]:
        return {
            "label": self.label,
            "unit": self.unit,
            "value": self.value if self.values else None,
            "values": self.values,
            "operator": self.operator,
            "target": self.target,
            "met": self.met,
        }


def spread_percent(values: list[float]) -> float:
    """Half the range, relative to the median."""
    middle = statistics.median(values)
    return (max(values) - min(values)) / 2 / middle * 100 if middle else 0.0


def number(value: float, digits: int) -> str:
    return f"{value:,.{digits}f}".replace(",", " ")


@dataclass
class Table:
    name: str
    title: str
    columns: list[Column]
    rows: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)

    def add(self, row: str, figures: dict[str, float]) -> None:
        """One round's figures of one subject."""
        for key, value in figures.items():
            self.rows.setdefault(row, {}).setdefault(key, []).append(value)

    def fail(self, row: str, reason: str) -> None:
        self.rows.pop(row, None)
        self.failures[row] = reason

    def skip(self, row: str, reason: str) -> None:
        self.skipped[row] = reason

    def values(self, row: str, key: str) -> list[float]:
        return self.rows.get(row, {}).get(key, [])

    def ratio(self, top: str, bottom: str, key: str, op: str, target: float) -> None:
        """Pairs the rounds: what slowed the whole machine down then cancels out."""
        pairs = zip(self.values(top, key), self.values(bottom, key))
        ratios = [above / below for above, below in pairs if below]
        self.checks.append(Check(f"{top} / {bottom}", "x", ratios, op, target))

    def limit(self, row: str, key: str, unit: str, op: str, target: float) -> None:
        title = next(column.title for column in self.columns if column.key == key)
        label = f"{row}: {title}"
        self.checks.append(Check(label, unit, self.values(row, key), op, target))

    def as_json(self) -> dict[str, Any]:
        rows = {
            row: {
                key: {"median": statistics.median(values), "values": values}
                for key, values in figures.items()
            }
            for row, figures in self.rows.items()
        }
        return {
            "name": self.name,
            "title": self.title,
            "rows": rows,
            "failures": self.failures,
            "skipped": self.skipped,
            "checks": [check.as_json() for check in self.checks],
        }

    def __str__(self) -> str:
        lines = ["", f"{self.name}: {self.title}", ""]
        lines += grid(["", *(column.title for column in self.columns), "spread"], self._cells())
        lines += [f"  {row}: not measured, {why}" for row, why in self.skipped.items()]
        lines += [f"  {row}: FAILED, {why}" for row, why in self.failures.items()]
        if self.checks:
            cells = [_check_cells(check) for check in self.checks]
            lines += ["", *grid(["", "measured", "lowest .. highest", "target", "met"], cells)]
        return "\n".join(lines)

    def _cells(self) -> list[list[str]]:
        cells = []
        for row, figures in self.rows.items():
            line = [row]
            for column in self.columns:
                values = figures.get(column.key)
                line.append(number(statistics.median(values), column.digits) if values else "")
            first = figures.get(self.columns[0].key, [])
            line.append(f"±{spread_percent(first):.0f} %" if len(first) > 1 else "")
            cells.append(line)
        return cells


def _check_cells(check: Check) -> list[str]:
    target = f"{check.operator} {check.target:g} {check.unit}"
    if not check.values:
        return [check.label, "-", "", target, "-"]
    span = f"{min(check.values):.2f} .. {max(check.values):.2f}"
    met = "yes" if check.met else "NO"
    return [check.label, f"{check.value:.2f} {check.unit}", span, target, met]


def grid(head: list[str], rows: list[list[str]]) -> list[str]:
    """Lines of aligned columns: the first to the left, the others to the right."""
    widths = [max(len(line[i]) for line in [head, *rows]) for i in range(len(head))]
    lines = []
    for line in [head, *rows]:
        cells = [line[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(line[1:], widths[1:])]
        lines.append("  " + "  ".join(cells).rstrip())
    return lines
