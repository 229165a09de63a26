"""A page as someone goes through it who hears it or has no mouse: headings, tables, figures, what can be reached."""

from html.parser import HTMLParser

VOID = {"meta", "link", "input", "br", "img", "hr"}


class Outline(HTMLParser):
    """What is on a page, in its order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[tuple[str, dict[str, str | None]]] = []
        self.levels: list[int] = []
        self.ids: list[str] = []
        self.named_by: list[str] = []
        self.problems: list[str] = []
        self.tables = self.figures = self.captions = self.fields = 0
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.ids += filter(None, [values.get("id")])
        self.named_by += (values.get("aria-labelledby") or "").split()
        if tag in ("h1", "h2", "h3", "h4"):
            self.levels.append(int(tag[1]))
        self.tables += tag == "table"
        self.captions += tag == "caption"
        self.check(tag, values)
        if tag not in VOID:
            self.open.append((tag, values))

    def check(self, tag: str, values: dict[str, str | None]) -> None:
        if tag == "svg" and values.get("aria-hidden") != "true":
            self.figures += 1
            if values.get("role") != "img" or not values.get("aria-label"):
                self.problems.append(f"a figure says nothing: {values}")
        if tag == "th" and values.get("scope") not in ("row", "col"):
            self.problems.append("a heading of a table says not what it is of")
        if "scroll" in (values.get("class") or "") and (values.get("tabindex") != "0" or not values.get("aria-label")):
            self.problems.append("a region that scrolls cannot be reached")
        if tag in ("input", "select"):
            self.fields += 1
            if not any(name == "label" for name, _ in self.open):
                self.problems.append(f"a field has no label: {values}")
        if tag == "section" and not values.get("aria-labelledby"):
            self.problems.append("a section has no name")

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop()[0] != tag:
            pass

    def found(self) -> list[str]:
        """What is wrong with the page; empty where nothing is."""
        skipped = [pair for pair in zip(self.levels, self.levels[1:], strict=False) if pair[1] > pair[0] + 1]
        return [
            *self.problems,
            *(f"heading {pair[1]} under {pair[0]}" for pair in skipped),
            *([] if self.levels.count(1) == 1 and self.levels[0] == 1 else ["not one title, first"]),
            *([] if self.tables == self.captions else ["a table without a caption"]),
            *(f"{name} names nothing" for name in self.named_by if name not in self.ids),
            *([] if len(self.ids) == len(set(self.ids)) else ["an id twice"]),
        ]
