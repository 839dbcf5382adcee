"""Text and tables in Markdown: Streamlit's own tables hand their rows to pandas and Arrow, 70 MB for a few figures."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st


def table(rows: Sequence[Mapping[str, Any]]) -> None:
    """Rows that share their columns (the first row's come first). Numbers stand to the right, text is never markup."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    if not columns:
        return
    numeric = [all(_number(row.get(name, 0)) for row in rows) for name in columns]
    lines = [
        [_cell(name) for name in columns],
        ["---:" if number else ":---" for number in numeric],
        *[[_cell(row.get(name, "")) for name in columns] for row in rows],
    ]
    st.markdown("\n".join(f"| {' | '.join(line)} |" for line in lines))


def _number(value: Any) -> bool:
    """Also a figure as text: "1,203", "92 %", "0.4 s", "12 (10 to 15)"."""
    return isinstance(value, (int, float)) or bool(
        re.fullmatch(r"[-+−]?[\d.,]+( ?(%|[a-zA-Z]{1,4})| \([^()]*\))?|", str(value))
    )


def facts(values: Mapping[str, Any]) -> None:
    """Names with one value each."""
    table([{"what": name, "value": str(value)} for name, value in values.items()])


def plain(text: str) -> str:
    """Text for a place that reads Markdown, made inert."""
    return re.sub(r"([\\`*_{}\[\]()#+\-.!|<>~$:^=&\"'@/])", r"\\\1", text.replace("\n", "↵"))


def _cell(value: Any) -> str:
    if isinstance(value, (int, float)):
        return str(value)
    return "" if value is None else plain(re.sub(r"\s+", " ", str(value)))
