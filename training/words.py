"""Many ways to say a portrait's attributes: the phrasings that text encoders and latent models train on.

`captions` of training.portraits name every attribute in eight templates. Here any subset of them is said, in any
order, with synonyms and filler, as people type. assets/prompts/free.json holds phrasings written by hand, which
are only measured, never trained on.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from training.portraits import ATTRIBUTES

Record = dict[str, Any]

HAIR_COLORS = {
    "black": ["black", "black", "jet black", "raven", "jet-black"],
    "brown": ["brown", "brown", "chestnut", "brunette"],
    "blond": ["blond", "blonde", "golden", "fair", "flaxen"],
    "red": ["red", "red", "ginger", "auburn", "copper"],
    "grey": ["grey", "gray", "silver", "silvery"],
    "pink": ["pink", "pink", "bubblegum", "hot pink"],
    "blue": ["blue", "blue", "cobalt", "bright blue"],
    "green": ["green", "green", "emerald", "bright green"],
}
SKIN_COLORS = {
    "light": ["light", "pale", "fair", "white"],
    "tan": ["tan", "tanned", "olive", "golden-brown"],
    "brown": ["brown", "medium brown"],
    "dark": ["dark", "deep brown", "dark brown", "ebony"],
}
BACKGROUNDS = {
    "white": ["white", "white", "plain white", "blank", "snow-white", "empty"],
    "sky blue": ["sky blue", "sky-blue", "light blue", "pale blue", "baby blue", "azure"],
    "navy": ["navy", "navy", "navy blue", "dark blue", "midnight blue", "deep blue"],
    "mint green": ["mint green", "mint", "pale green", "light green", "minty"],
    "yellow": ["yellow", "yellow", "sunny yellow", "lemon", "bright yellow", "lemon yellow"],
    "orange": ["orange", "orange", "tangerine", "bright orange"],
    "pink": ["pink", "pink", "rose", "light pink", "pale pink", "rosy"],
    "lavender": ["lavender", "lavender", "lilac", "light purple", "purple", "pale violet", "violet"],
}
MOUTHS = {  # adjectives before the noun, phrases after it
    "smile": (
        ["smiling", "happy", "grinning", "cheerful", "smiley"],
        ["a smile", "a grin", "smiling", "a happy smile", "a friendly smile", "who smiles"],
    ),
    "laugh": (
        ["laughing", "chuckling", "giggling"],
        ["a laughing mouth", "laughing", "a laugh", "laughing out loud", "who laughs", "cracking up"],
    ),
    "neutral": (
        ["serious", "calm", "straight-faced", "neutral", "stern"],
        [
            "a straight mouth",
            "a neutral mouth",
            "a straight face",
            "looking serious",
            "no smile",
            "a neutral expression",
            "a poker face",
        ],
    ),
    "sad": (
        ["sad", "frowning", "unhappy", "gloomy", "sorrowful"],
        ["a sad mouth", "a frown", "looking sad", "frowning", "a sad face", "who is sad"],
    ),
    "open": (
        ["surprised", "shocked", "amazed", "astonished"],
        ["an open mouth", "mouth open", "mouth wide open", "looking surprised", "gasping", "an o-shaped mouth"],
    ),
}
STYLES = {
    "avataaars": ["avataaars"],
    "adventurer": ["adventurer"],
    "micah": ["micah"],
    "open-peeps": ["open peeps", "open-peeps", "peeps", "hand-drawn", "sketchy", "line drawing"],
    "personas": ["personas", "persona"],
    "big-smile": ["big smile", "big-smile"],
    "pixel-art": ["pixel art", "pixel-art", "pixelated", "8-bit", "retro game", "pixel"],
    "toon-head": ["toon head", "toon-head", "toon"],
}
GLASSES = ["glasses", "glasses", "spectacles", "specs", "eyeglasses", "shades", "sunglasses", "a pair of glasses"]
BEARDS = ["a beard", "a beard", "facial hair", "whiskers", "a full beard", "a bushy beard"]
NO_GLASSES = ["no glasses", "without glasses", "not wearing glasses", "no spectacles"]
NO_BEARD = ["no beard", "without a beard", "clean-shaven", "beardless", "no facial hair"]
NOUNS = [
    "person",
    "guy",
    "man",
    "woman",
    "girl",
    "boy",
    "lady",
    "face",
    "character",
    "kid",
    "fellow",
    "figure",
    "someone",
    "human",
    "dude",
    "avatar",
    "portrait",
    "gentleman",
    "lad",
    "cartoon",
]
FILLER = [
    "please",
    "nice",
    "cute",
    "a picture of",
    "draw",
    "show me",
    "i want",
    "an image of",
    "very",
    "lovely",
    "give me",
    "really",
    "can you make",
    "one",
    "make",
    "a drawing of",
    "a portrait of",
    "cool",
    "generate",
    "the",
    "with",
    "some",
    "now",
    "who looks",
    "just",
    "little",
    "young",
    "old",
    "here is",
    "there is",
    "looking",
    "at me",
    "today",
]


def hair_words(record: Record, pick: Any, cut: bool = True, color: bool = True) -> tuple[str, str]:
    """Hair as (adjective before the noun or "", phrase after it or ""); exactly one of them is empty."""
    name = record["hair"]
    shade = pick(HAIR_COLORS[record["hair_color"]]) if color and record["hair_color"] != "none" else ""
    if name == "bald":
        return pick(
            [
                (pick(["bald", "bald-headed", "hairless", "shaven-headed"]), ""),
                ("", pick(["a bald head", "no hair", "no hair at all", "a shaved head", "without hair", "bald"])),
            ]
        )
    if not cut:
        if pick([True, False]):
            return pick(
                [
                    f"{shade}-haired",
                    f"{shade} haired",
                    *(["redheaded", "ginger"] if shade == "red" else []),
                    *([shade] if shade in ("blonde", "brunette", "blond", "ginger") else []),
                ]
            ), ""
        return "", pick(
            [f"{shade} hair", f"hair in {shade}", f"{shade} locks", f"hair that is {shade}", f"{shade}-colored hair"]
        )
    long = {
        "short": ["short", "short", "cropped", "close-cropped", "short cut"],
        "long": ["long", "long", "flowing", "waist-long"],
        "curly": ["curly", "curly", "frizzy", "wild curly"],
        "bob": ["bob-cut", "bobbed", "chin-length"],
        "bun": ["tied-up", "bun-tied"],
        "mohawk": ["punk", "mohawk", "spiked"],
    }[name]
    style = pick(long)
    forms = [f"{style} {shade} hair".replace("  ", " "), f"{shade} {style} hair".strip()]
    if name in ("bob", "bun", "mohawk"):
        forms += [
            f"a {shade} {name}".replace("  ", " "),
            f"a {name} of {shade} hair" if shade else f"a {name}",
            f"{shade} hair in a {name}".strip(),
        ] * 2
        forms += [f"a {shade} topknot".replace("  ", " ")] * (name == "bun")
    if name == "curly":
        forms += [f"{shade} curls".strip(), f"{shade} afro".strip(), f"curls, {shade}" if shade else "curls"]
    if name in ("short", "long", "curly") and pick([True, False, False]):
        return f"{name}-haired" + (f", {shade}-haired" if shade else ""), ""
    return "", pick(forms)


def phrase(record: Record, rng: np.random.Generator) -> tuple[str, dict[str, bool]]:
    """One free phrasing of a random subset of the attributes, and which of them it names.

    Glasses and a beard that are there are almost always named, so that silence means none.
    """

    def pick(values: list[Any]) -> Any:
        return values[int(rng.integers(len(values)))]

    keep = pick([0.25, 0.5, 0.75, 1.0, 1.0])
    said = {name: bool(rng.random() < keep) for name in ATTRIBUTES}
    for part in ("glasses", "beard"):
        said[part] = bool(rng.random() < (0.95 if record[part] else 0.25))
    said["hair_color"] = said["hair_color"] and record["hair_color"] != "none"
    if record["hair"] == "bald":
        said["hair"] = bool(rng.random() < 0.9)
    before, after, around = [], [], []
    if said["mouth"]:
        adjectives, phrases = MOUTHS[record["mouth"]]
        if rng.random() < 0.5:
            before.append(pick(adjectives))
        else:
            after.append(pick(phrases))
    if said["hair"] or said["hair_color"]:
        first, second = hair_words(record, pick, said["hair"], said["hair_color"])
        before += [first] * bool(first)
        after += [second] * bool(second)
    if said["skin_color"]:
        tone = pick(SKIN_COLORS[record["skin_color"]])
        if rng.random() < 0.4:
            before.append(pick([f"{tone}-skinned", f"{tone} skinned"]))
        else:
            after.append(pick([f"{tone} skin", f"a {tone} complexion", f"skin that is {tone}"]))
    for part, yes, no, adjective in (
        ("glasses", GLASSES, NO_GLASSES, "bespectacled"),
        ("beard", BEARDS, NO_BEARD, "bearded"),
    ):
        if said[part] and record[part] and rng.random() < 0.25:
            before.append(adjective)
        elif said[part]:
            after.append(pick(yes) if record[part] else pick(no))
    if said["background"]:
        shade = pick(BACKGROUNDS[record["background"]])
        around.append(
            pick(
                [
                    f"on a {shade} background",
                    f"{shade} background",
                    f"{shade} backdrop",
                    f"against a {shade} wall",
                    f"in front of a {shade} wall",
                    f"{shade} behind",
                    f"on {shade}",
                    f"against {shade}",
                    f"on a {shade} backdrop",
                    f"with a {shade} background",
                    f"background {shade}",
                    f"the background is {shade}",
                    f"{shade} bg",
                ]
            )
        )
    if said["style"]:
        name = pick(STYLES[record["style"]])
        around.append(
            pick(
                [
                    f"in the {name} style",
                    f"{name} style",
                    f"drawn as {name}",
                    f"{name} avatar",
                    f"{name}",
                    f"as {name}",
                    f"{name} look",
                    f"in {name} style",
                ]
            )
        )
    for words in (before, after, around):
        rng.shuffle(words)
    form = rng.random()
    if form < 0.2:  # keywords
        words = [*before, *after, *around]
        rng.shuffle(words)
        text = pick([", ", " ", ", ", " / "]).join(words)
    else:
        noun = pick(NOUNS)
        text = " ".join(
            [*(["a"] if rng.random() < 0.8 else []), *([pick([", ", " "]).join(before)] if before else []), noun]
        )
        if after:
            link = pick([" with ", " with ", ", ", " has ", " who has ", " in ", " and ", " wearing "])
            text += link + pick([" and ", ", ", " and "]).join(after)
        where = pick([", ", " ", ", "]).join(around)
        if around:
            text = (
                text + pick([", ", " ", ". "]) + where
                if rng.random() < 0.75
                else where + pick([", ", ": ", " "]) + text
            )
    if rng.random() < 0.3:
        text = pick(FILLER) + " " + text
    if rng.random() < 0.15:
        words = text.split(" ")
        words.insert(int(rng.integers(len(words) + 1)), pick(FILLER))
        text = " ".join(words)
    if rng.random() < 0.1:  # a word no one knows: learn to pass over it
        words = text.split(" ")
        word = "".join(pick(list("abcdefghijklmnopqrstuvwxyz")) for _ in range(int(rng.integers(3, 8))))
        words.insert(int(rng.integers(len(words) + 1)), word)
        text = " ".join(words)
    return text, said


def caption(record: Record, rng: np.random.Generator, free: float = 0.6) -> tuple[str, dict[str, bool]]:
    """A training caption and which attributes it names: a free phrasing, or one of the record's own templates."""
    if rng.random() < free:
        return phrase(record, rng)
    text = record["captions"][int(rng.integers(len(record["captions"])))]
    said = dict.fromkeys(ATTRIBUTES, True)
    said["hair_color"] = record["hair_color"] != "none"
    for part in ("glasses", "beard"):
        said[part] = record[part] or f"no {part}" in text
    return text, said


def targets(records: list[Record], said: list[dict[str, bool]]) -> np.ndarray:
    """(N, 8) class of each attribute in the order of ATTRIBUTES; the number of its values where it is not named."""
    rows = []
    for record, named in zip(records, said, strict=True):
        row = []
        for name, values in ATTRIBUTES.items():
            value = record[name]
            value = ("yes" if value else "no") if isinstance(value, bool) else value
            row.append(values.index(value) if named[name] else len(values))
        rows.append(row)
    return np.array(rows, np.int64)


def corpus(records: list[Record], seed: int = 0) -> list[str]:
    """Every word the grammar can say, for the tokenizers: several phrasings of each record, and the lists above."""
    rng = np.random.default_rng(seed)
    texts = [
        phrase(record, rng)[0] if rng.random() < 0.9 else record["captions"][i % 8] for i, record in enumerate(records)
    ]
    plain = [w for table in (HAIR_COLORS, SKIN_COLORS, BACKGROUNDS, STYLES) for words in table.values() for w in words]
    plain += [w for pair in MOUTHS.values() for words in pair for w in words]
    return [*texts, *(plain + GLASSES + BEARDS + NO_GLASSES + NO_BEARD + NOUNS + FILLER) * 20]
