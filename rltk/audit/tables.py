"""An audit on the terminal: a table of counts, then what is odd, with examples."""

from rich.table import Table
from rltk_eval.audit import Audit, Example

from rltk.evaluation.tables import say, show

COLUMNS = {
    "n": "n",
    "agree": "agree",
    "false_negative": "false negative",
    "false_positive": "false positive",
    "unreadable": "unreadable",
    "timeout": "timeout",
}


def show_audit(title: str, found: Audit, odd: dict[str, int]) -> None:
    """`odd`: how many rows there are of each oddity, of which the examples are the first."""
    say(title)
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for column in COLUMNS.values():
        table.add_column(column, justify="right")
    table.add_row(*(f"{found[key]:,}" for key in COLUMNS))
    show(table)
    for why, rows in odd.items():
        examples = [example for example in found["examples"] if example["why"] == why]
        more = f", the first {len(examples):,}" if 0 < len(examples) < rows else ""
        say(f"\n{why}: {rows:,}{more}")
        for example in examples:
            say(lines(example))
    if not odd:
        say("nothing disagrees")


def lines(example: Example) -> str:
    gold = "does not read" if example["gold"] is None else example["gold"]
    read = "nothing" if example["answer"] is None else example["answer"]
    return f"  {example['place']}: gold {gold}, read {read}: {example['verdict']}\n    {example['completion']}"
