"""One vocabulary for words, control marks and picture codes, without loss.

A text is cut into pieces: a word, a digit, a sign or a line break with its indent; a piece carries the one space before
it. A piece the vocabulary does not know is spelled in single characters, so every ASCII text survives
`decode(encode(text)) == text`; a character outside ASCII becomes "?".

The order of ids is: control marks, single characters, pieces, picture codes. Ids are stable: they are saved with the
weights as vocabulary.json.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

PAD, START, END, USER, BOT, PICTURE, PICTURE_END = range(7)
MARKS = ("<pad>", "<start>", "<end>", "<user>", "<bot>", "<picture>", "</picture>")
ROW_MARKS = tuple(f"<row {row}>" for row in range(8))  # one before each row of a picture's codes
CHARACTERS = tuple(chr(code) for code in (10, *range(32, 127)))
SPLIT = re.compile(r"\n(?:    )*| ?[A-Za-z_]+| ?[0-9]|\*\*|//| ?==| ?[^\sA-Za-z_0-9]|\s")


class Vocabulary:
    """Maps texts and picture codes to ids and back.

    Args:
        pieces: the known pieces, longer than one character each, in a fixed order.
        codes: how many picture codes there are (0: text only); code c has the id `first_code + c`.
    """

    def __init__(self, pieces: list[str], codes: int = 0) -> None:
        self.pieces, self.codes = list(pieces), codes
        marks = MARKS + (ROW_MARKS if codes else ())
        self.labels = [*marks, *CHARACTERS, *self.pieces]
        self.first_row = len(MARKS)
        self.first_text = len(marks)
        self.first_code = len(self.labels)
        self.size = self.first_code + codes
        self._ids = {label: self.first_text + i for i, label in enumerate(self.labels[self.first_text :])}

    def encode(self, text: str) -> list[int]:
        """Text to ids; characters that are not ASCII become "?", tabs and carriage returns a space."""
        clean = "".join(c if c in self._ids else " " if c.isspace() else "?" for c in text)
        ids: list[int] = []
        for piece in SPLIT.findall(clean):
            known = self._ids.get(piece)
            ids.extend([known] if known is not None else [self._ids[c] for c in piece])
        return ids

    def decode(self, ids: list[int] | tuple[int, ...]) -> str:
        """The text among the ids; marks and picture codes are left out."""
        return "".join(self.labels[i] for i in ids if self.first_text <= i < self.first_code)

    def label(self, token: int) -> str:
        """How one token is shown: its text, its mark, or the picture code as "#417"."""
        return f"#{token - self.first_code}" if token >= self.first_code else self.labels[token]

    def modality(self, token: int) -> str:
        """ "mark", "text" or "picture"."""
        if token < self.first_text:
            return "mark"
        return "text" if token < self.first_code else "picture"

    def save(self, path: Path) -> None:
        path.write_text(json.dumps({"codes": self.codes, "pieces": self.pieces}, indent=0) + "\n")

    @classmethod
    def load(cls, path: Path) -> Vocabulary:
        data = json.loads(path.read_text())
        return cls(data["pieces"], data["codes"])
