"""The catalogue of findings on the terminal."""

from typing import Any

from rich.table import Table

from rltk.evaluation.tables import say, show

Row = dict[str, Any]
NOT_MEASURED = "not measured here"
HOW = {"comparison": "a comparison", "reanalysis": "from the runs of"}


def show_catalogue(rows: list[Row]) -> None:
    table = columns("finding", "tier", "status", "measured by", "claim")
    for row in rows:
        table.add_row(row["id"], str(row["tier"]), row["status"], how(row["experiment"]), row["claim"])
    show(table)
    say("`rltk findings ID` measures one, `rltk findings --tier 0` the quick ones, `--status` tells results.")


def show_status(rows: list[Row]) -> None:
    table = columns("finding", "documented", "measured", "verdict", "date", "commit")
    for row in rows:
        table.add_row(row["id"], row["reference"], *result_cells(row))
    show(table)
    if any(row["here"] is None and row["published"] for row in rows):
        say("* published with rltk, not measured on this machine")


def markdown(rows: list[Row]) -> str:
    """A page of all findings: what is documented, what came out, and how each is measured again."""
    head = "| finding | claim | documented | measured | verdict | date, commit |\n|---|---|---|---|---|---|"
    measured = [row for row in rows if row["here"] or row["published"]]
    others = [row for row in rows if row not in measured]
    lines = [f"{len(measured)} of {len(rows)} findings measured.", "", head, *map(markdown_row, measured)]
    if others:
        lines += ["", "## Not measured yet", "", "| finding | claim | documented | how |", "|---|---|---|---|"]
        lines += [
            table_row(row["id"], row["claim"], row["reference"], f"`rltk findings {row['id']}`") for row in others
        ]
    commands = [f"- {row['id']}: `{(row['here'] or row['published'])['command']}`" for row in measured]
    return "\n".join([*lines, "", "## Commands", "", *commands])


def markdown_row(row: Row) -> str:
    summary, verdict, date, commit = (cell.rstrip("*") for cell in result_cells(row))
    return table_row(row["id"], row["claim"], row["reference"], summary, verdict, f"{date} {commit}")


def table_row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def columns(*names: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in names:
        is_text = name in ("claim", "documented", "measured")
        table.add_column(name, overflow="fold", ratio=1 if is_text else None, no_wrap=not is_text)
    return table


def how(experiment: Row) -> str:
    if experiment["type"] == "function":
        return "a command"
    return f"{HOW[experiment['type']]} {experiment['of']}" if "of" in experiment else HOW[experiment["type"]]


def result_cells(row: Row) -> tuple[str, str, str, str]:
    result = row["here"] or row["published"]
    if result is None:
        return (NOT_MEASURED, "", "", "")
    star = "" if row["here"] else "*"
    return (
        f"{result['summary']}{interval(result)}",
        result["verdict"] + star,
        result["date"][:10],
        result["commit"] or "",
    )


def interval(result: Row) -> str:
    if result["interval"] is None:
        return ""
    low, high = result["interval"]
    return f" [{low:.3g}, {high:.3g}]"
