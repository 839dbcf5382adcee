"""The attributes of a portrait, in the order and with the values that the conditional GANs were trained on."""

from __future__ import annotations

from typing import Any

ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "style": ("avataaars", "adventurer", "micah", "open-peeps", "personas", "big-smile", "pixel-art", "toon-head"),
    "hair": ("short", "long", "bob", "bun", "curly", "mohawk", "bald"),
    "hair_color": ("black", "brown", "blond", "red", "grey", "pink", "blue", "green", "none"),
    "skin_color": ("light", "tan", "brown", "dark"),
    "background": ("white", "sky blue", "navy", "mint green", "yellow", "orange", "pink", "lavender"),
    "glasses": ("no", "yes"),
    "beard": ("no", "yes"),
    "mouth": ("smile", "laugh", "neutral", "sad", "open"),
}
C_DIM = sum(len(values) for values in ATTRIBUTES.values())  # 45


def row_of(record: dict[str, Any]) -> list[int]:
    """Value numbers of a portrait's record, one an attribute; glasses and beard may be booleans."""
    return [
        values.index(("no", "yes")[record[name]] if isinstance(record[name], bool) else record[name])
        for name, values in ATTRIBUTES.items()
    ]


def one_hot(rows: Any) -> Any:
    """(B, 8) value numbers to (B, 45) floats, one group of ones and zeros an attribute."""
    import torch
    import torch.nn.functional as F

    rows = torch.as_tensor(rows).long()
    return torch.cat([F.one_hot(rows[:, i], len(v)) for i, v in enumerate(ATTRIBUTES.values())], 1).float()
