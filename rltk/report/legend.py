"""What the lines of a chart stand for, for pictures that stand without a page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rltk.report.chart import GREY, LEFT, WIDTH, Chart

LETTER, SAMPLE = 7, 36
"""Pixels of a wide letter, and of the piece of line before a name with the room around it."""
LONGEST = (WIDTH - LEFT - SAMPLE) // LETTER
"""Characters of a name in a row of its own."""


class Entry(NamedTuple):
    label: str
    colour: int


def entries(chart: Chart) -> list[Entry]:
    """Of the lines that have a name, or of the marks of a chart without."""
    lines = [(line.label, line.colour) for line in chart.lines if line.label and not line.is_faint]
    marks = [(mark.label, mark.colour) for mark in chart.marks if mark.colour != GREY and not chart.x_labels]
    return [Entry(fitting(label), colour) for label, colour in lines or marks]


def fitting(label: str) -> str:
    """With its end, which tells runs of one name apart."""
    return label if len(label) <= LONGEST else f"...{label[3 - LONGEST :]}"


def rows_of(found: Sequence[Entry]) -> list[Sequence[Entry]]:
    """As many in a row as the longest of them leaves room for."""
    width = SAMPLE + LETTER * max((len(entry.label) for entry in found), default=0)
    a_row = max(1, (WIDTH - LEFT) // width)
    return [found[start : start + a_row] for start in range(0, len(found), a_row)]
