"""How well the colours of a page stand out from its paper, as WCAG 2 reckons it."""

import re

from rltk.report.page import TEMPLATES


def page_colours() -> dict[str, dict[str, str]]:
    css = (TEMPLATES / "page.css").read_text(encoding="utf-8")
    blocks = [dict(re.findall(r"--(\w+): (#\w+);", block)) for block in re.findall(r":root \{(.*?)\}", css, flags=re.S)]
    return dict(zip(("light", "dark", "print"), blocks, strict=True))


def contrast(one: str, other: str) -> float:
    low, high = sorted(map(luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    """Relative luminance of a colour such as #1c2430 or #000."""
    digits = colour[1:] if len(colour) == 7 else "".join(digit * 2 for digit in colour[1:])
    linear = [
        (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4)
        for v in (int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4))
    ]
    return sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
