"""The table of faults in the documentation: rows of families that were run are replaced, others stay."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from coteach.files import write_text

BEGIN, END = "<!-- faults: begin -->", "<!-- faults: end -->"
_HEAD = "| Fault | Tried | Survived | Seed | What surviving means |\n|---|---:|---:|---:|---|\n"


@dataclass(frozen=True)
class Row:
    """One family's outcome."""

    name: str
    tried: int
    survived: int
    seed: int
    meaning: str

    def line(self) -> str:
        """The row in Markdown."""
        return f"| {self.name} | {self.tried} | {self.survived} | {self.seed} | {self.meaning} |\n"


def rows_in(text: str) -> dict[str, Row]:
    """The rows of a page's table, by name; the text between the marks."""
    table = text.split(BEGIN)[1].split(END, maxsplit=1)[0].strip().splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    return {name: Row(name, int(t), int(s), int(seed), meaning) for name, t, s, seed, meaning in cells}


def update_table(page: Path, rows: list[Row]) -> None:
    """Put the rows into the page's table, sorted by name, beside those of other families."""
    text = page.read_text(encoding="utf-8")
    merged = rows_in(text) | {row.name: row for row in rows}
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    lines = "".join(merged[name].line() for name in sorted(merged))
    write_text(page, f"{before}{BEGIN}\n{_HEAD}{lines}{END}{after}")
