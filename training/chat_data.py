"""Dialogues about portraits and emoji, made by grammar from their exact records.

A turn is (role, [part, ...]); a part is a text, a Picture, or a pair (text or Picture, weight): the words that carry
the fact weigh more in the loss than the words around them. An answer states the fact before the verdict ("The hair is
brown, so no."), so that the verdict can be read off the fact. Two pictures to compare are two turns of the user's.

Held out: the portraits and emoji of the split "heldout" (of an emoji: one style, the concept is known from three
others), the last phrasing of every list below, and the topics in FAR_TOPICS.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from core.chat.vocabulary import BOT, END, PICTURE, PICTURE_END, START, USER, Vocabulary
from training import portraits

Turn = tuple[str, list[Any]]
SLOTS = ("hair_color", "hair", "skin_color", "background", "style", "mouth", "glasses", "beard")
KINDS = (*SLOTS, "yes/no", "either")  # the ten kinds of question
COMPARED = (*SLOTS, "differs")  # questions about two pictures
MOUTH = {"smile": "smiling", "laugh": "laughing", "neutral": "straight", "sad": "sad", "open": "open"}
VALUES = {name: [v for v in portraits.ATTRIBUTES[name] if v != "none"] for name in SLOTS}


@dataclass(frozen=True)
class Picture:
    """64 codes; record: what it shows, an emoji's has a "label"; named: the attributes that were asked for before it was drawn; changed: which
    codes an edit changed, to be minded more than those that are copied."""

    codes: Any
    record: dict[str, Any] | None = None
    named: frozenset[str] = frozenset()
    changed: Any = None


ASK = {
    "hair_color": (
        "what colour is the hair",
        "which colour does the hair have",
        "hair colour",
        "what is the hair color",
        "tell me the colour of the hair",
        "what color of hair does the person have",
    ),
    "hair": (
        "what is the hair cut",
        "which haircut is it",
        "how is the hair cut",
        "what kind of hair is it",
        "what haircut does the person have",
        "tell me the hair cut",
    ),
    "skin_color": (
        "what colour is the skin",
        "skin colour",
        "which skin tone is it",
        "what is the skin tone",
        "how dark is the skin",
        "what skin colour does the person have",
    ),
    "background": (
        "what colour is the background",
        "background colour",
        "which colour is behind the person",
        "what is the background",
        "what is behind the face",
        "what colour does the background have",
    ),
    "style": (
        "what style is it",
        "in which style is it drawn",
        "what is the drawing style",
        "which style is this",
        "how is it drawn",
        "what style is the picture in",
    ),
    "mouth": (
        "what is the mood",
        "how is the mouth",
        "how does the person feel",
        "what is the person's mouth like",
        "describe the mouth",
        "which mood does the person have",
        "in what mood is the person",
        "tell me the mood of the person",
        "what mood is it",
        "what mood is the person in",
    ),
    "glasses": (
        "does the person wear glasses",
        "are there glasses",
        "is the person wearing glasses",
        "any glasses",
        "does the face have glasses",
        "do you see glasses",
    ),
    "beard": (
        "does the person have a beard",
        "is there a beard",
        "is the person bearded",
        "any beard",
        "does the face have a beard",
        "do you see a beard",
    ),
}
_CHECKS = (  # x: a statement such as "the hair is red"; the last one is held out
    "do you think that {x}",
    "would you say that {x}",
    "can you see that {x}",
    "am i right that {x}",
    "{x}, right",
    "is it so that {x}",
    "is it true that {x}",
)
CHECK = {
    "hair_color": (
        "is the hair {}",
        "does the person have {} hair",
        *(t.format(x="the hair is {}") for t in _CHECKS),
    ),
    "hair": ("is the hair cut {}", "is the haircut {}", *(t.format(x="the hair cut is {}") for t in _CHECKS)),
    "skin_color": (
        "is the skin {}",
        "does the person have {} skin",
        *(t.format(x="the skin is {}") for t in _CHECKS),
    ),
    "background": (
        "is the background {}",
        "is there a {} background",
        *(t.format(x="the background is {}") for t in _CHECKS),
    ),
    "style": ("is the style {}", "is it drawn in {} style", *(t.format(x="the style is {}") for t in _CHECKS)),
    "mouth": ("is the mouth {}", "is the person's mouth {}", *(t.format(x="the mouth is {}") for t in _CHECKS)),
}
EITHER = {
    "hair_color": "hair",
    "hair": "hair cut",
    "skin_color": "skin",
    "background": "background",
    "style": "style",
    "mouth": "mouth",
}
DESCRIBE = (
    "describe the picture",
    "describe this face",
    "what do you see",
    "tell me about the picture",
    "caption it",
    "describe the portrait",
    "what is in the picture",
)
DRAW = (
    "draw {}",
    "draw me {}",
    "paint {}",
    "make a picture of {}",
    "please draw {}",
    "show me {}",
    "could you draw {}",
    "can you paint {}",
    "i want you to draw {}",
    "draw a picture of {}",
    "i would like a picture of {}",
    "will you draw {}",
    "can you draw {}",
)
ANYONE = ("a face", "a person", "someone", "a portrait")
_CHANGES = (  # x: a noun phrase such as "red hair"; the last one is held out
    "same person, {x}",
    "give the person {x}",
    "the same face with {x}",
    "i would like {x}",
    "but with {x}",
    "please change it to {x}",
    "let it have {x}",
    "draw the same with {x}",
    "redo it with {x}",
    "now with {x}",
)
EDIT = {
    "background": (
        "make the background {}",
        "change the background to {}",
        "turn the background {}",
        "could the background be {}",
        "the background should be {}",
        *(t.format(x="a {} background") for t in _CHANGES),
    ),
    "hair_color": (
        "make the hair {}",
        "change the hair to {}",
        "dye the hair {}",
        "could the hair be {}",
        "the hair should be {}",
        *(t.format(x="{} hair") for t in _CHANGES),
    ),
    "glasses": (
        ("add glasses", "put on glasses", "put glasses on", *(t.format(x="glasses") for t in _CHANGES)),
        (
            "remove the glasses",
            "take off the glasses",
            "take the glasses away",
            "no glasses please",
            *(t.format(x="no glasses") for t in _CHANGES[:-1]),
            "same person, without glasses",
            "draw the same without glasses",
            "the same face without glasses",
            "now without glasses",
        ),
    ),
    "mouth": (
        "make the mouth {}",
        "change the mouth to {}",
        "turn the mouth {}",
        "could the mouth be {}",
        "the mouth should be {}",
        *(t.format(x="a {} mouth") for t in _CHANGES),
    ),
}
AGAIN = ("draw it again", "the same picture again", "copy it", "once more the same", "repeat the picture")
COMPARE = (
    "compare the {}",
    "is the {} the same",
    "do they have the same {}",
    "do both have the same {}",
    "is the {} different",
    "is it the same {}",
    "look at the {} of the two",
    "do the two have the same {}",
    "what about the {} of both",
)
DIFFER = ("what is different", "spot the difference", "what has changed", "what is the difference", "what differs")
# emojibase's labels of the emoji that are talked about; of the animals the word " face" is left out
EMOJI = (
    "dog face", "cat face", "pig face", "rabbit face", "frog", "panda", "bear", "lion", "fox", "koala", "penguin", "chicken",
    "owl", "fish", "octopus", "crab", "turtle", "snail", "butterfly", "lady beetle", "red apple", "green apple", "banana",
    "lemon", "strawberry", "grapes", "watermelon", "pineapple", "carrot", "tomato", "eggplant", "pizza", "hamburger",
    "doughnut", "cookie", "egg", "birthday cake", "ice cream", "red heart", "yellow heart", "green heart", "blue heart",
    "purple heart", "black heart", "skull", "ghost", "alien", "robot", "smiling face with sunglasses", "crying face", "bus",
    "automobile", "airplane", "sailboat", "police car", "sun", "full moon", "crescent moon", "star", "cloud", "rainbow", "fire",
    "snowman", "snowflake", "cactus", "mushroom", "sunflower", "rose", "evergreen tree", "light bulb", "key", "guitar", "bell",
    "trophy", "balloon", "soccer ball", "basketball",
)  # fmt: skip
EMOJI_GROUPS = ("animal", "food", "heart", "face", "vehicle", "weather", "plant", "object", "event", "sport", "music")
EMOJI_ASK = {
    "label": ("what emoji is it", "what is it", "which emoji is this", "what does the emoji show", "what is this"),
    "group": (
        "which group is it",
        "what group of emoji is it",
        "which group does it belong to",
        "what kind of thing is it",
    ),
    "background": ASK["background"],
    "style": ASK["style"],
}
EMOJI_CHECK = ("is it {}", "is this {}", "do you see {}", "would you say that it is {}", "is it true that it is {}")
PERSON = {"label": "person", "group": "person"}  # what a portrait is among emoji
EMOJI_DRAW = ("{}", "{} emoji", "{} as an emoji", "an emoji of {}")
HELLO = ("hello", "hi", "hey", "good morning", "good evening", "hello there", "hi there", "good afternoon", "good day")
WHO = ("who are you", "what are you", "what can you do", "help", "what do you know", "how can you help me")

HELLO_ANSWER = "Hello. Show me a drawn face or an emoji, or ask me to draw one."
WHO_ANSWER = "I am a small model that knows drawn faces and emoji: I describe, draw and change them."
BLIND_ANSWER = "I see no picture yet: add one, or ask me to draw a face."
FAR_ANSWER = "I only know faces and emoji, so I cannot answer that."
FAR_DRAW_ANSWER = "I can only draw faces and some emoji."
NO_PERSON_ANSWER = "I see an emoji and no person."

# fmt: off
TOPICS = (
    "dog", "cat", "car", "tree", "house", "river", "city", "france", "germany", "china", "history",
    "music", "guitar", "football", "weather", "rain", "snow", "sun", "moon", "stars", "ocean",
    "fish", "bird", "horse", "bread", "cheese", "coffee", "pizza", "money", "bank", "law", "war",
    "king", "president", "book", "poem", "novel", "physics", "chemistry", "atom", "energy",
    "engine", "train", "plane", "ship", "computer", "phone", "internet", "python", "java",
    "algebra", "number", "theory", "medicine", "doctor", "virus", "heart", "brain", "sleep",
    "dream", "love", "friend", "school", "teacher", "exam", "holiday", "beach", "mountain",
    "forest", "fire", "water", "ice", "stone", "gold", "iron", "glass", "paper", "pencil", "window",
    "garden", "flower", "rose", "apple", "banana", "orange", "juice", "tea", "sugar", "salt",
    "rice", "soup",
)
# fmt: on
# fmt: off
FAR_TOPICS = (
    "elephant", "volcano", "japan", "piano", "tennis", "storm", "galaxy", "whale", "sandwich",
    "lawyer", "empire", "opera", "magnet", "rocket", "keyboard", "geometry", "hospital",
    "philosophy", "airport", "desert", "diamond", "carpet", "tulip", "cherry", "pepper", "wolf",
    "spain", "trumpet", "cricket", "desk",
)
# fmt: on
FAR = (
    "what is the capital of {}",
    "who invented the {}",
    "how do i cook {}",
    "tell me a story about a {}",
    "how many {}s are there",
    "what is a {}",
    "explain {} to me",
    "where can i buy a {}",
    "how does a {} work",
    "what is the price of {}",
    "who was the first {}",
    "write a poem about {}",
    "is {} good for me",
    "why is the {} so big",
    "what do you think about {}",
    "can you help me with {}",
    "when was {} born",
    "translate {} into german",
    "what is 3 times 7",
    "how old is the person",
    "what is the name of the person",
    "is there a {} in the picture",
    "what colour are the eyes",
    "what is the person wearing",
    "is the person a {}",
    "does the person like {}",
    "how much is a {}",
    "which {} should i buy",
    "how far is the {}",
    "how big is a {}",
    "what colour is a {}",
    "what is the colour of the {}",
    "what is the {} made of",
    "what is {} plus {}",
    "what is the meaning of {}",
    "what is the largest {}",
    "what is the difference between {} and {}",
    "who is {}",
    "who wrote the {}",
    "who made this {}",
    "who is the person",
    "who won the {} yesterday",
    "when did the {} start",
    "when is the next {}",
    "when was the person born",
    "where is {}",
    "where does {} come from",
    "where is the person",
    "why do people like {}",
    "why is the person here",
    "how many people live in {}",
    "how heavy is the person",
    "how do you spell {}",
    "how do i get to {}",
    "how do i fix my {}",
    "how was the {} made",
    "can a {} fly",
    "can you sing about {}",
    "can i eat {}",
    "could you book a {}",
    "do you know {}",
    "do you have a {}",
    "does a {} sleep",
    "did you see the {}",
    "is it true that {} is a {}",
    "is a {} bigger than a {}",
    "are there {}s in {}",
    "are you a {}",
    "should i learn {}",
    "tell me about {}",
    "tell me a joke",
    "tell me the time in {}",
    "tell me the age of the person",
    "give me a recipe for {}",
    "give me advice on {}",
    "describe a {}",
    "describe the {} to me",
    "write a letter to {}",
    "write code for {}",
    "sing a song",
    "play some {}",
    "recommend a {}",
    "summarise {}",
    "list three {}s",
    "name a famous {}",
    "compare {} and {}",
    "find me a {}",
    "open the {}",
    "i want a {}",
    "i like {}",
    "my {} is broken",
    "please buy a {}",
    "let us talk about {}",
    "what does {} mean in english",
    "what day is it",
    "what is your favourite {}",
    "what happened in {}",
    "which {} is the oldest",
    "which language does the person speak",
    "how fast is a {}",
    "how long does {} take",
    "is the {} expensive",
    "show me how to cook {}",
    "show me where {} is",
    "show me the price of a {}",
    "show me how a {} works",
    "can you drive a {}",
    "can you tell me the size of a {}",
    "could you fix the {}",
    "will you buy me a {}",
    "what is the weather today",
    "where does the person live",
    "what time is it",
    "how tall is the person",
    "what is the best {} in the world",
    "do you like {}",
    "show me the way to {}",
)
# Sentences beside the list: one choice of each, put together by `far`; {n} and {m} are topics
FAR_PARTS: dict[str, tuple[str, ...]] = {
    "ask": (
        "{wh} {aux} {np} {vp}", "{wh} {aux} {np}", "how {adj} is {np}", "how {adj} are {n}s", "what is the {top} {n} {spot}",
        "what {unit} is it", "what {unit} was it {when}", "what is the {prop} of {np}", "what is the person's {prop}",
        "do you {verb} {np}", "do we {verb} {np} {when}", "did i {verb} the {n}", "can you {verb} {np}", "will {np} {vp} {when}",
        "show me the {prop} of {np}", "show me {n} {spot}", "{verb} {np} {when}", "{verb} {np} for me", "please {verb} {np}",
        "{np} is {adj}", "i {verb} {np} {when}", "my {n} {vp}s {when}", "is {np} {adj}", "is the person {adj} {spot}",
        "does the person {verb} {n}", "does {np} {vp}", "has {np} ever seen {m}", "who {verb}s {np}", "which {n} is the {top}",
        "where can {np} {vp}", "why did {np} {verb} {m}", "i am {adj} {when}", "you are {adj}", "the {n} and the {m} {vp}",
        "what if {np} {vp}s", "teach me {n}", "{n} or {m}", "{n}", "{n} {m}", "tell me the {prop} of {np}",
        "what is the {top} way to {verb} {np}", "how do you {verb} {np} {spot}", "how many {unit}s until {n}",
    ),
    "wh": ("what", "where", "when", "why", "how", "who", "how often", "since when", "with whom"),
    "aux": ("is", "are", "was", "does", "did", "do", "can", "will", "should", "would", "has"),
    "np": (
        "the {n}", "a {n}", "my {n}", "your {n}", "{n}", "this {n}", "every {n}", "the person", "people", "we", "they", "i", "it",
        "the {n} of the person", "her {n}", "his {n}", "everybody", "the {m} of {n}",
    ),
    "vp": (
        "work", "grow", "cost", "live", "sleep", "sing", "move", "fall", "burn", "travel", "eat", "hurt", "shine", "break", "run",
        "swim", "talk", "end", "help", "go to {m}", "come from {m}", "need {m}", "stay {spot}",
    ),
    "adj": (
        "old", "heavy", "rich", "strong", "fast", "deep", "wide", "hot", "cold", "clever", "far", "long", "loud", "hard", "big",
        "dangerous", "healthy", "cheap", "married", "famous", "hungry", "busy", "late", "lost", "real", "alive", "important",
    ),
    "top": ("largest", "smallest", "oldest", "fastest", "longest", "worst", "first", "last", "most famous", "cheapest", "nicest"),
    "spot": ("", "", "on earth", "in france", "at home", "in the city", "near the {m}", "of all", "in the morning", "here"),
    "when": ("", "", "today", "tomorrow", "yesterday", "now", "every day", "tonight", "next week"),
    "unit": ("year", "month", "season", "hour", "date", "week", "minute", "century"),
    "prop": (
        "size", "weight", "age", "job", "address", "number", "history", "map", "price", "speed", "name", "birthday", "mother",
        "country", "future", "inside", "phone", "colour", "sound", "taste", "rule", "religion", "shoe", "car", "house",
    ),
    "verb": (
        "want", "need", "own", "remember", "hate", "hear", "fear", "sell", "study", "solve", "cook", "clean", "count", "read",
        "spell", "measure", "call", "send", "find", "repair", "visit", "understand", "play", "win", "sort", "drink", "believe",
    ),
}  # fmt: skip
FAR_DRAWN = (
    "the {}",
    "some {}s",
    "a huge {}",
    "a tiny {}",
    "a little {} beside a {}",
    "an old {}",
    "a new {} in the {}",
    "many {}s",
    "a {} {}",
    "three {}s and a {}",
    "the {} of the {}",
    "a {} in front of a {}",
    "a round {}",
    "a white {}",
    "a black {} with {}",
    "a happy {}",
    "your {}",
    "a {} with a {}",
    "a green {}",
    "my {}",
    "a picture of a {}",
    "{}",
    "a {}",
    "a {} and a {}",
    "a big {}",
    "a red {}",
    "a {} on a {}",
    "a blue {}",
    "two {}s",
    "a small {}",
)


def said(name: str, value: Any) -> str:
    """A value as words: "sky blue", "smiling", "pixel art"."""
    return MOUTH[value] if name == "mouth" else str(value).replace("-", " ")


def fact(name: str, record: dict[str, Any]) -> list[Any]:
    """The answer's sentence without its end, the telling words weighted: ["The hair is", (" red", 1)]."""
    value = record[name]
    if name in ("glasses", "beard"):
        noun = "glasses" if name == "glasses" else "a beard"
        none = "no glasses" if name == "glasses" else "no beard"
        return [f"There {'are' if name == 'glasses' else 'is'}", (f" {noun if value else none}", 1.0)]
    if name in ("hair", "hair_color") and record["hair"] == "bald":
        return ["The", (" head is bald", 1.0)]
    head = {
        "hair_color": "The hair",
        "hair": "The hair cut",
        "skin_color": "The skin",
        "background": "The background",
        "style": "The style",
        "mouth": "The mouth",
    }[name]
    first, rest = head[:3], head[3:]
    mark = 1.0 if name in ("hair", "hair_color") else 0.3  # here "hair" or "head" is a fact
    return [first, (rest + " is", mark), (f" {said(name, value)}", 1.0)]


def question(
    kind: str, record: dict[str, Any], rng: np.random.Generator, held: bool = False, about: str = ""
) -> tuple[str, list[Any]]:
    """A question of one of KINDS and its answer; `about`: the attribute of a yes/no or either-or question."""
    if kind in SLOTS:
        end = (", so yes." if record[kind] else ", so no.") if kind in ("glasses", "beard") else "."
        return pick(ASK[kind], rng, held), [*fact(kind, record), end]
    name = about or str(rng.choice(list(CHECK)))
    if record["hair"] == "bald" and name == "hair_color":
        name = "background"
    true = record[name]
    false = str(rng.choice([v for v in VALUES[name] if v != true]))
    if kind == "either":
        pair = [said(name, true), said(name, false)]
        rng.shuffle(pair)
        return f"is the {EITHER[name]} {pair[0]} or {pair[1]}", [*fact(name, record), "."]
    right = bool(rng.random() < 0.5)
    asked = pick(CHECK[name], rng, held).format(said(name, true if right else false))
    return asked, [*fact(name, record), ", so", (" yes" if right else " no", 6.0), "."]


def description(
    record: dict[str, Any], keep: set[str] | None = None, form: int = 0, rng: np.random.Generator | None = None
) -> str:
    """A noun phrase that names the attributes in `keep` (default all); absent glasses and beard are named.

    With `rng` the attributes stand in any order.
    """
    keep = set(SLOTS) if keep is None else keep
    parts = []
    if "hair" in keep:
        parts.append(portraits.hair_phrase(record))
    elif "hair_color" in keep and record["hair"] != "bald":
        parts.append(f"{record['hair_color']} hair")
    if "skin_color" in keep:
        parts.append(f"{record['skin_color']} skin")
    for name, one in (("glasses", "glasses"), ("beard", "a beard")):
        if name in keep:
            parts.append(one if record[name] else f"no {name}")
    if "mouth" in keep:
        parts.append(a(f"{MOUTH[record['mouth']]} mouth"))
    if rng is not None:
        rng.shuffle(parts)
    background, style = record["background"], record["style"].replace("-", " ")
    text = ANYONE[form % len(ANYONE)]
    if parts:
        text += " with " + portraits.join(parts)
    if "background" in keep:
        text += f" on {a(background)} background"
    if "style" in keep:
        text += f", in {style} style"
    return text


def pick(options: tuple[str, ...], rng: np.random.Generator, held: bool = False, reserve: int = 1) -> str:
    """One phrasing; the last `reserve` are held out."""
    known = len(options) - reserve
    return options[known + int(rng.integers(reserve))] if held else options[int(rng.integers(known))]


def a(words: str) -> str:
    """ "a pink bob", "an orange background"."""
    return ("an " if words[0] in "aeio" else "a ") + words


def drawing(record: dict[str, Any], rng: np.random.Generator, held: bool = False) -> tuple[str, frozenset[str]]:
    """A wish for a drawing and the attributes it names; some are left unsaid, in one of ten wishes all of them."""
    chance = rng.random()
    keep = set() if chance < 0.1 else {n for n in SLOTS if chance > 0.6 or rng.random() < 0.6}
    for name in ("glasses", "beard"):  # what is absent is seldom named
        if not record[name] and rng.random() < 0.6:
            keep.discard(name)
    form, order = int(rng.integers(4)), rng if rng.random() < 0.5 else None
    said_so = keep | {"hair_color"} if "hair" in keep else keep
    return pick(DRAW, rng, held).format(description(record, keep, form, order)), frozenset(said_so)


def wish(name: str, value: Any, rng: np.random.Generator, held: bool = False) -> str:
    """The words of an edit: "make the hair blue"."""
    options: Any = EDIT[name]
    if name == "glasses":
        options = options[0 if value else 1]
    return pick(options, rng, held).format(said(name, value))


def invented(rng: np.random.Generator) -> str:
    """A word that does not exist: "sorilu"."""
    return "".join(
        f"{rng.choice(list('bcdfghjklmnprstvwz'))}{rng.choice(list('aeiou'))}" for _ in range(int(rng.integers(2, 5)))
    )


def apart(rng: np.random.Generator, seen: bool, held: bool = False) -> tuple[str, list[Any]]:
    """A question that is not about a picture, or that no picture is there to answer, and the answer."""
    chance = rng.random()
    topics: tuple[str, ...] = FAR_TOPICS if held else TOPICS
    drawn = [topic for topic in topics if not any(topic in label for label in EMOJI)]
    nouns = [str(n) if held or rng.random() < 0.6 else invented(rng) for n in rng.choice(topics, 2, replace=False)]
    if chance < 0.12:
        return pick(HELLO, rng, held), [(HELLO_ANSWER, 0.5)]
    if chance < 0.24:
        return pick(WHO, rng, held), [(WHO_ANSWER, 0.5)]
    if chance < 0.44 and not seen:
        kind = str(rng.choice(KINDS))
        asked = question(kind, portraits.draw(int(rng.integers(10**6)), 5)[0], rng, held)[0]
        return (asked if rng.random() < 0.8 else pick(DESCRIBE, rng, held)), [(BLIND_ANSWER, 0.5)]
    if chance < 0.6:
        nouns = [noun if noun in drawn or noun not in topics else str(rng.choice(drawn)) for noun in nouns]
        return pick(DRAW, rng, held).format(pick(FAR_DRAWN, rng, held).format(*nouns)), [(FAR_DRAW_ANSWER, 0.5)]
    words = pick(FAR, rng, held, 5).format(*nouns) if held or rng.random() < 0.4 else far(nouns, rng)
    return words, [(FAR_ANSWER, 0.5)]


def far(nouns: list[str], rng: np.random.Generator) -> str:
    """A sentence of FAR_PARTS about something else than pictures, sometimes hardly one: what is not known to be about
    a picture is to be refused, however it is said."""
    words = pick(FAR_PARTS["ask"], rng, True, len(FAR_PARTS["ask"]))
    for _ in range(3):  # parts may hold parts
        parts = {name: pick(options, rng, True, len(options)) for name, options in FAR_PARTS.items()}
        words = words.format(**parts, n="{n}", m="{m}") if "{" in words else words
    return " ".join(words.format(n=nouns[0], m=nouns[1]).split())


# Emoji
def emoji_name(label: str) -> str:
    """ "dog", "red apple"."""
    return label.removesuffix(" face") if label in EMOJI[:4] else label


def emoji_description(record: dict[str, Any], keep: set[str] | None = None, form: str = "{} emoji") -> str:
    """ "a red apple emoji on a navy background, in 3d style"; keep: which of background and style are named."""
    keep = {"background", "style"} if keep is None else keep
    text = form.format(a(emoji_name(record["label"])))
    if "background" in keep:
        text += f" on {a(record['background'])} background"
    return text + (f", in {record['style']} style" if "style" in keep else "")


def emoji_question(
    kind: str, record: dict[str, Any], rng: np.random.Generator, held: bool = False
) -> tuple[str, list[Any]]:
    """A question about an emoji and its answer; kind: a key of EMOJI_ASK, "is" (is it a lemon) or "sort" (a food)."""
    head = {"label": "It is", "group": "The group is", "background": "The background is", "style": "The style is"}
    name = {"is": "label", "sort": "group"}.get(kind, kind)
    value = a(emoji_name(record["label"])) if name == "label" else record[name]
    answer: list[Any] = [(head[name], 0.5), (f" {value}", 1.0)]
    if kind in EMOJI_ASK:
        return pick(EMOJI_ASK[kind], rng, held), [*answer, "."]
    right = bool(rng.random() < 0.5)
    options = (*EMOJI_GROUPS, "person") if kind == "sort" else tuple(a(emoji_name(label)) for label in EMOJI)
    shown = value if right else str(rng.choice([v for v in options if v != value]))
    return pick(EMOJI_CHECK, rng, held).format(a(shown) if kind == "sort" else shown), [
        *answer,
        ", so",
        (" yes" if right else " no", 4.0),
        ".",
    ]


def see_emoji(picture: Picture, rng: np.random.Generator, turns: int = 4) -> list[Turn]:
    """An emoji and questions about it; what is asked about a person is to be refused."""
    record = picture.record
    assert record is not None
    talk: list[Turn] = []
    for i, kind in enumerate(str(k) for k in rng.permutation([*EMOJI_ASK, "is", "sort", "describe", "person"])[:turns]):
        if kind == "describe":
            words, answer = pick(DESCRIBE, rng), [(sentence(emoji_description(record)), 1.0)]
        elif kind == "person":
            about = str(rng.choice([s for s in SLOTS if s not in EMOJI_ASK]))
            words, answer = pick(ASK[about], rng), [(NO_PERSON_ANSWER, 0.5)]
        else:
            words, answer = emoji_question(kind, record, rng)
        talk += [("user", [*([picture] if i == 0 else []), asked(words, rng)]), ("bot", answer)]
    return talk


def emoji_wish(
    record: dict[str, Any], rng: np.random.Generator, held: bool = False, keep: set[str] | None = None
) -> tuple[str, frozenset[str]]:
    """A wish for a drawing of an emoji, and which of background and style it names (keep: these)."""
    named = keep if keep is not None else {n for n in ("background", "style") if rng.random() < 0.6}
    words = emoji_description(record, named, pick(EMOJI_DRAW, rng, True, len(EMOJI_DRAW)))
    return pick(DRAW, rng, held).format(words), frozenset(named)


def draw_emoji(picture: Picture, rng: np.random.Generator) -> list[Turn]:
    """A drawing of an emoji, and perhaps a question about it."""
    assert picture.record is not None
    words, named = emoji_wish(picture.record, rng)
    talk: list[Turn] = [
        ("user", [asked(words, rng)]),
        ("bot", [Picture(picture.codes, picture.record, named & {"background"})]),
    ]
    if rng.random() < 0.3:
        words, answer = emoji_question(str(rng.choice(["label", "group", "background"])), picture.record, rng)
        talk += [("user", [asked(words, rng)]), ("bot", answer)]
    return talk


def sentence(words: str) -> str:
    """With a capital and a full stop."""
    return words[0].upper() + words[1:] + "."


def asked(text: str, rng: np.random.Generator) -> str:
    """With or without its question mark or full stop."""
    return text + ("" if rng.random() < 0.4 else "." if text.startswith(("draw", "make", "change", "des")) else "?")


def compared(
    name: str,
    one: dict[str, Any],
    two: dict[str, Any],
    rng: np.random.Generator,
    held: bool = False,
    found: bool = False,
) -> tuple[str, list[Any]]:
    """A question about one attribute of two pictures (found: the only one that differs, not named) and its answer."""

    def value(record: dict[str, Any]) -> str:
        if name in ("glasses", "beard"):
            return str(fact(name, record)[1][0]).strip()
        return "bald" if name in ("hair", "hair_color") and record["hair"] == "bald" else said(name, record[name])

    head = {"glasses": "There are", "beard": "There is"}.get(name) or f"The {EITHER[name]} is"
    words = pick(DIFFER, rng, held) if found else pick(COMPARE, rng, held).format(EITHER.get(name, name))
    verdict = " the same" if value(one) == value(two) else " not the same"
    return words, [
        (head, 1.0 if found else 0.3),
        (f" {value(one)}", 1.0),
        " in the first and",
        (f" {value(two)}", 1.0),
        " in the second, so",
        (verdict, 1.0),
        ".",
    ]


def compare(one: Picture, two: Picture, rng: np.random.Generator, changed: str = "", turns: int = 3) -> list[Turn]:
    """Two pictures and questions about both; changed: the one attribute in which they differ, if it is only one."""
    assert one.record is not None and two.record is not None
    talk: list[Turn] = [("user", [one])]
    names = [str(n) for n in rng.permutation(SLOTS)[:turns]]
    for i, name in enumerate(names):
        found = bool(changed) and i == 0
        words, answer = compared(changed if found else name, one.record, two.record, rng, found=found)
        talk += [("user", [*([two] if i == 0 else []), asked(words, rng)]), ("bot", answer)]
    return talk


def see(picture: Picture, rng: np.random.Generator, turns: int = 5, other: dict[str, Any] | None = None) -> list[Turn]:
    """A picture and questions about it, each about another attribute.

    One in four was drawn by the model a turn before; with `other`, a record, half of these were not what was asked for,
    so that answers come from the picture and not from the wish.
    """
    record = picture.record
    assert record is not None
    kinds = [str(k) for k in rng.permutation(SLOTS)[:turns]]
    talk: list[Turn] = []
    drawn = rng.random() < 0.25
    if drawn:
        words, weight = pick(ANYONE, rng), 0.15
        if other is not None and rng.random() < 0.5:
            words, weight = description(other, None, int(rng.integers(4))), 0.0
        talk += [("user", [pick(DRAW, rng).format(words)]), ("bot", [(picture, weight)])]
    for i, kind in enumerate(kinds):
        chance = rng.random()
        if chance < 0.1:
            words, answer = apart(rng, True)
        elif chance < 0.14:  # the questions about emoji have an answer here too
            words, answer = emoji_question(str(rng.choice(["label", "group", "is", "sort"])), PERSON, rng)
        elif i == len(kinds) - 1 and rng.random() < 0.5:
            words, answer = pick(DESCRIBE, rng), [(sentence(description(record)), 1.0)]
        else:
            swap = rng.random()
            form = kind if kind not in CHECK or swap > 0.6 else "yes/no" if swap < 0.45 else "either"
            words, answer = question(form, record, rng, about=kind)
        first = [picture] if i == 0 and not drawn else []
        talk += [("user", [*first, asked(words, rng)]), ("bot", answer)]
    return talk


def draw(picture: Picture, rng: np.random.Generator, before: list[Turn] | None = None) -> list[Turn]:
    """A drawing, at once, after small talk or after `before`, talk about another picture."""
    assert picture.record is not None
    words, named = drawing(picture.record, rng)
    talk: list[Turn] = [("user", [asked(words, rng)]), ("bot", [Picture(picture.codes, picture.record, named)])]
    if before:
        return [*before, *talk]
    for _ in range(int(rng.integers(0, 2))):
        words, answer = apart(rng, False)
        talk = [("user", [asked(words, rng)]), ("bot", answer), *talk]
    return talk


def small_talk(rng: np.random.Generator, turns: int = 4) -> list[Turn]:
    """Questions without a picture, most of them to be refused."""
    talk: list[Turn] = []
    for _ in range(turns):
        words, answer = apart(rng, False)
        talk += [("user", [asked(words, rng)]), ("bot", answer)]
    return talk


def edit(name: str, value: Any, before: Picture, after: Picture, rng: np.random.Generator) -> list[Turn]:
    """The same person with one thing changed (name "": nothing); the first picture was sent or drawn."""
    words = asked(wish(name, value, rng) if name else pick(AGAIN, rng), rng)
    after = Picture(after.codes, after.record, frozenset(SLOTS), np.asarray(before.codes) != np.asarray(after.codes))
    chance = rng.random()
    if chance < 0.45:
        return [("user", [before, words]), ("bot", [after])]
    if chance < 0.7:
        talk = see(before, rng, turns=int(rng.integers(1, 3)))
    else:
        talk = [("user", [pick(DRAW, rng).format(pick(ANYONE, rng))]), ("bot", [(before, 0.15)])]
    return [*talk, ("user", [words]), ("bot", [after])]


def picture_ids(codes: Any, words: Vocabulary) -> list[int]:
    """64 codes in reading order to <picture>, eight rows with their marks, </picture>: 74 ids."""
    ids = [PICTURE]
    for row in range(8):
        ids += [words.first_row + row, *(words.first_code + int(c) for c in codes[8 * row : 8 * row + 8])]
    return [*ids, PICTURE_END]


def labels(record: dict[str, Any], named: frozenset[str] | tuple[str, ...] = SLOTS) -> list[int]:
    """The index of each attribute's value in portraits.ATTRIBUTES, -100 for those that are not named."""
    return [
        (int(record[name]) if isinstance(record[name], bool) else portraits.ATTRIBUTES[name].index(record[name]))
        if name in named and (name == "background" or "label" not in record)
        else -100
        for name in SLOTS
    ]


Marks = list[tuple[int, int, list[int]]]  # place in the sequence, 0 wanted or 1 seen, labels


def rows(talk: list[Turn], words: Vocabulary) -> tuple[list[int], list[float], Marks]:
    """Ids of a dialogue, the weight of each in the loss (0: not predicted), and where attributes should be known:
    at <picture> those that were asked for, at </picture> all that it shows."""
    ids, weights, marks = [START], [0.0], []
    for role, parts in talk:
        ids.append(USER if role == "user" else BOT)
        weights.append(0.0)
        for part in parts:
            content, weight = part if isinstance(part, tuple) else (part, 0.3 if isinstance(part, str) else 0.5)
            if isinstance(content, str):
                more = words.encode(content.lower() if role == "user" else content)
                share = [weight if role == "bot" else 0.0] * len(more)
            else:
                more = picture_ids(content.codes, words)
                weight = weight if role == "bot" else 0.15  # what pictures look like is learned from sent ones too
                share = [weight if i >= words.first_code else 0.0 for i in more]
                if content.changed is not None:
                    for cell in np.flatnonzero(content.changed):
                        share[2 + cell + cell // 8] *= 3
                if role == "bot" and weight == 0.5:
                    share[0] = 0.3
                if content.record and content.named:
                    marks.append((len(ids), 0, labels(content.record, content.named)))
                if content.record:
                    marks.append((len(ids) + len(more) - 1, 1, labels(content.record)))
            ids += more
            weights += share
        if role == "bot":
            ids.append(END)
            weights.append(0.3)
    return ids, weights, marks


def vocabulary(known: list[str] | tuple[str, ...] = (), codes: int = 1000, count: int = 1500) -> Vocabulary:
    """The pieces of the grammar itself, after those in `known`; topics outside it are spelled in characters, as any
    unknown word is."""
    from collections import Counter

    from core.chat.vocabulary import SPLIT

    rng = np.random.default_rng(1)
    seen: Counter[str] = Counter()
    for i in range(count):
        record = portraits.draw(i, 5)[0]
        texts = [
            drawing(record, rng)[0],
            sentence(description(record)),
            HELLO_ANSWER,
            WHO_ANSWER,
            BLIND_ANSWER,
            FAR_ANSWER,
            FAR_DRAW_ANSWER,
            NO_PERSON_ANSWER,
            pick(FAR, rng).replace("{}", "?"),
            far(["?", "?"], rng),
            pick(HELLO, rng),
            pick(WHO, rng),
            pick(DESCRIBE, rng),
            pick(AGAIN, rng),
        ]
        other = portraits.draw(i + count, 5)[0]
        pairs = [question(kind, record, rng) for kind in KINDS]
        pairs += [compared(name, record, other, rng, found=bool(i % 2)) for name in SLOTS]
        texts += [wish(n, record[n], rng) for n in EDIT if record[n] != "none"]
        thing = {"label": EMOJI[i % len(EMOJI)], "group": EMOJI_GROUPS[i % len(EMOJI_GROUPS)]}
        thing |= {"background": record["background"], "style": ("3d", "flat", "noto", "twemoji")[i % 4]}
        texts += [emoji_wish(thing, rng)[0], sentence(emoji_description(thing))]
        pairs += [emoji_question(kind, thing, rng) for kind in (*EMOJI_ASK, "is", "sort")]
        for words, answer in pairs:
            texts += [words, *(part if isinstance(part, str) else part[0] for part in answer)]
        for text in texts:
            seen.update(SPLIT.findall(text))
    new = {p for p, n in seen.items() if n >= 4 and len(p) > 1} - set(known)
    return Vocabulary([*known, *sorted(new)], codes)
