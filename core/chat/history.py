"""A conversation as a tree: editing a turn or asking again grows a branch, nothing is lost.

Plain data: turns hold text, picture bytes or codes, and what is known of the answer. Exported as Markdown and JSON
(pictures inside as base64), imported again from JSON.
"""

from __future__ import annotations

import base64
import copy
import json
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from core.errors import BadRequest

MAX_TURNS, MAX_BYTES = 400, 12_000_000
MEDIA = {"image": "image/png", "audio": "audio/wav", "video": "video/mp4"}


@dataclass
class Turn:
    """One turn. parent: index of the turn before it, -1 for the first; picture: file bytes or 64 codes or b"";
    media: (kind, file bytes) of what a tool made besides, or what the user said; kind "image", "audio" or "video"."""

    role: str
    text: str
    picture: bytes | tuple[int, ...] = b""
    parent: int = -1
    model: str = ""
    note: str = ""  # "stopped", a fault, the seed: one short sentence
    media: tuple[tuple[str, bytes], ...] = ()


@dataclass
class History:
    """Turns in the order in which they were made, and `leaf`, the end of the branch that is shown (-1: empty)."""

    turns: list[Turn] = field(default_factory=list)
    leaf: int = -1

    def path(self) -> list[int]:
        """Indices of the shown branch, oldest first."""
        found, at = [], self.leaf
        while at >= 0:
            found.append(at)
            at = self.turns[at].parent
        return found[::-1]

    def add(self, turn: Turn, parent: int | None = None) -> int:
        """Append after `parent` (default: the leaf) and show it. Raises BadRequest when the conversation is full."""
        if len(self.turns) >= MAX_TURNS:
            raise BadRequest(f"The conversation has {MAX_TURNS} turns; export it and start a new one.")
        turn.parent = self.leaf if parent is None else parent
        self.turns.append(turn)
        self.leaf = len(self.turns) - 1
        return self.leaf

    def siblings(self, index: int) -> list[int]:
        """The turns that stand at the same place, `index` among them."""
        return [i for i, turn in enumerate(self.turns) if turn.parent == self.turns[index].parent]

    def show(self, index: int) -> None:
        """Show the branch through `index`, to its newest end."""
        children = [index]
        while children:
            self.leaf = children[-1]
            children = [i for i, turn in enumerate(self.turns) if turn.parent == self.leaf]

    def conversation(self, upto: int | None = None) -> tuple[tuple[str, str, bytes | tuple[int, ...]], ...]:
        """(role, text, picture) of the branch that ends at `upto` (default: the leaf), as ChatRequest takes it."""
        kept, self_leaf = self.leaf, self.leaf if upto is None else upto
        self.leaf = self_leaf
        turns = [self.turns[i] for i in self.path()]
        self.leaf = kept
        return tuple((t.role, t.text, t.picture) for t in turns)

    def sounds(self, upto: int) -> tuple[tuple[int, bytes], ...]:
        """(place in the conversation, WAV file) of what the user said in sound on the branch that ends at `upto`."""
        kept, self.leaf = self.leaf, upto
        turns = [self.turns[i] for i in self.path()]
        self.leaf = kept
        return tuple(
            (place, data)
            for place, turn in enumerate(turns)
            for kind, data in turn.media
            if kind == "audio" and turn.role == "user"
        )

    def to_json(self) -> str:
        """The whole tree."""

        def plain(turn: Turn) -> dict[str, Any]:
            picture: Any = list(turn.picture)
            if isinstance(turn.picture, bytes):
                picture = base64.b64encode(turn.picture).decode()
            media = [[kind, base64.b64encode(data).decode()] for kind, data in turn.media]
            return {**turn.__dict__, "picture": picture, "media": media}

        return json.dumps(
            {"format": "generative-lab-chat", "version": 1, "leaf": self.leaf, "turns": [plain(t) for t in self.turns]},
            indent=1,
        )

    @classmethod
    def from_json(cls, data: bytes | str) -> History:
        """Raises BadRequest for anything that `to_json` would not write."""
        if len(data) > MAX_BYTES:
            raise BadRequest(f"The file is larger than {MAX_BYTES // 10**6} MB; give a conversation exported here.")
        try:
            raw = json.loads(data)
            if raw["format"] != "generative-lab-chat" or raw["version"] != 1 or len(raw["turns"]) > MAX_TURNS:
                raise ValueError
            turns = []
            for i, item in enumerate(raw["turns"]):
                picture = item["picture"]
                if isinstance(picture, str):
                    picture = base64.b64decode(picture, validate=True)
                else:
                    picture = tuple(picture)
                    if picture and (len(picture) != 64 or not all(type(c) is int and 0 <= c < 1000 for c in picture)):
                        raise ValueError
                media = tuple((kind, base64.b64decode(data, validate=True)) for kind, data in item.get("media", ()))
                if any(kind not in MEDIA for kind, _ in media):
                    raise ValueError
                turn = Turn(item["role"], item["text"], picture, item["parent"], item["model"], item["note"], media)
                texts = (turn.text, turn.model, turn.note)
                if turn.role not in ("user", "bot") or not all(isinstance(t, str) and len(t) < 20_000 for t in texts):
                    raise ValueError
                if type(turn.parent) is not int or not -1 <= turn.parent < i:
                    raise ValueError
                turns.append(turn)
            leaf = raw["leaf"]
            if type(leaf) is not int or not -1 <= leaf < len(turns):
                raise ValueError
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise BadRequest("This is no conversation exported here; give the JSON file of an export.") from None
        return cls(turns, leaf)

    def to_markdown(self, pictures: dict[int, bytes] | None = None) -> str:
        """The shown branch; `pictures`: PNG bytes by turn index, put in as data links."""
        parts = ["# Conversation\n"]
        for i in self.path():
            turn = self.turns[i]
            who = "You" if turn.role == "user" else f"Model ({turn.model})" if turn.model else "Model"
            parts.append(f"**{who}**\n")
            png = (pictures or {}).get(i) or (turn.picture if isinstance(turn.picture, bytes) else b"")
            if png:
                parts.append(f"![picture](data:image/png;base64,{base64.b64encode(png).decode()})\n")
            for kind, data in turn.media:
                parts.append(f"[{kind}](data:{MEDIA[kind]};base64,{base64.b64encode(data).decode()})\n")
            if turn.text:
                parts.append(turn.text + "\n")
            if turn.note:
                parts.append(f"_{turn.note}_\n")
        return "\n".join(parts)


class Shelf:
    """Conversations kept for reloads, the least recently used dropped first; every taker gets a copy of its own."""

    def __init__(self, size: int = 48) -> None:
        self._lock, self._size = threading.Lock(), size
        self._kept: OrderedDict[str, History] = OrderedDict()

    def put(self, key: str, history: History) -> None:
        held = sum(len(t.picture) + sum(len(data) for _, data in t.media) for t in history.turns)
        if held > MAX_BYTES // 4:
            return  # too large to keep beside everyone else's
        with self._lock:
            self._kept[key] = copy.deepcopy(history)
            self._kept.move_to_end(key)
            while len(self._kept) > self._size:
                self._kept.popitem(last=False)

    def take(self, key: str) -> History | None:
        with self._lock:
            found = self._kept.get(key)
            return copy.deepcopy(found) if found else None


shelf = Shelf()
