"""Fills the README's tables from the cards and from benchmarks/results.md: `python -m benchmarks.readme`.

`--check` exits 1 when the README is stale (the tests call it), so that no figure there is older than its card.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from core import catalog

README = Path(__file__).resolve().parent.parent / "README.md"
FIRST = ("attributes_right", "free_right", "frechet", "attribute_coverage", "eq_t", "mean", "psnr", "pass_at_1")
RESULTS = Path(__file__).resolve().parent / "results.md"


def cards_table() -> str:
    """One row a model of ours or borrowed."""
    rows = ["| model | family | parameters | MB | trained on | steps | measured |", "|---|---|--:|--:|---|--:|---|"]
    for card in catalog.cards():
        if card.source not in ("embedded", "borrowed"):
            continue
        plain = {name: value for name, value in card.quality.items() if isinstance(value, (int, float))}
        names = [name for name in FIRST if name in plain] or list(plain)[:3]  # the card has them all
        quality = ", ".join(f"{name.replace('_', ' ')} {plain[name]}" for name in names)
        size = f"{card.parameters / 1e6:.2f} M"
        steps = f"{card.steps:,}" if card.steps else "borrowed" if card.source == "borrowed" else ""
        name = f"[{card.title}](assets/models/{card.id}/README.md)"
        rows.append(f"| {name} | {card.family} | {size} | {card.bytes / 1e6:.1f} | {card.data} | {steps} | {quality} |")
    return "\n".join(rows)


def filled(text: str) -> str:
    """The README's text with the parts between its markers made anew."""
    results = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else ""
    results = re.sub(r"^# .*\n+", "", results).replace("\n## ", "\n### ").strip()
    results = "### " + results[3:] if results.startswith("## ") else results
    for name, body in (("cards", cards_table()), ("benchmarks", results)):
        start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        before, rest = text.split(start, 1)
        text = f"{before}{start}{body}\n{end}{rest.split(end, 1)[1]}"
    return text


def main() -> int:
    text = README.read_text(encoding="utf-8")
    made = filled(text)
    if "--check" in sys.argv:
        return int(made != text)
    README.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
