"""Measure the chat models on what was held out and write the figures into their cards.

    python -m training.measure_chat image-tokenizer      # PSNR, of emoji too; attributes that survive the codes (classifier B)
    python -m training.measure_chat any-to-any           # questions, refusals, drawings, edits, round trip, emoji
    python -m training.measure_chat code-lm              # pass@1 on held-out tasks, run in the sandbox

Held out: portraits of the split "heldout", the last phrasing of every list, topics that were never refused in training.
Answers are taken at temperature 0 and must state the fact and the verdict exactly; pictures with the page's own settings.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import yaml

from core.catalog import MODELS_DIR
from core.pipeline import Control
from core.result import TextResult
from training import chat_data, emoji, portraits


def folder(name: str) -> SimpleNamespace:
    """What a loader needs of a card."""
    return SimpleNamespace(id=name, folder=MODELS_DIR / name)


def write(name: str, quality: dict[str, Any], **more: Any) -> None:
    """Quality (and bytes, parameters, steps) into the card's front matter, the rest as it stands."""
    path: Path = MODELS_DIR / name / "README.md"
    _, front, prose = path.read_text(encoding="utf-8").split("---\n", 2)
    values = yaml.safe_load(front)
    values["quality"] = quality
    values["bytes"] = sum(f.stat().st_size for f in path.parent.glob("*.safetensors"))
    values.update({key: value for key, value in more.items() if value})
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=118)
    path.write_text(f"---\n{text}---\n{prose}", encoding="utf-8")
    print(name, quality)


def steps(run: str) -> int:
    """Optimizer steps of the newest run, 0 when it is not on this machine."""
    log = Path("runs") / run / "log.csv"
    return int(log.read_text().strip().splitlines()[-1].split(",")[0]) if log.exists() else 0


# 1. The picture tokenizer
def tokenizer(count: int) -> None:
    from core.chat import image_tokenizer
    from core.chat.chat import from_codes, to_codes
    from core.metrics import attributes

    model = image_tokenizer.load(folder("image-tokenizer"))

    def through(images: np.ndarray) -> tuple[np.ndarray, float]:
        """What comes back, and its mean PSNR in dB."""
        back = np.stack([from_codes(to_codes(image, model), model) for image in images])
        mse = ((images.astype(np.float64) - back) ** 2).mean((1, 2, 3))
        return back, round(float((10 * np.log10(255**2 / mse)).mean()), 1)

    images, records = portraits.load("heldout", 64)
    images, records = np.array(images[:count]), records[:count]
    back, psnr = through(images)
    judge = attributes.load(folder("attributes-b"))
    before, after = judge.adherence(images, records), judge.adherence(back, records)
    objects = emoji.load("heldout")[0]
    quality = {"psnr_db": psnr, "psnr_db_emoji": through(objects[np.linspace(0, len(objects) - 1, count // 4, dtype=int)])[1],
               "attributes_after_codes": round(after["mean"], 3), "attributes_of_originals": round(before["mean"], 3),
               "pictures": count}  # fmt: skip
    write("image-tokenizer", quality, steps=steps("image-tokenizer"),
          parameters=sum(p.numel() for p in model.parameters()))  # fmt: skip


# 2. The any-to-any model
class Speaker:
    """The model, the tokenizer and classifier B, loaded once."""

    def __init__(self) -> None:
        from core.chat import decoder, image_tokenizer
        from core.metrics import attributes

        self.model = decoder.load(folder("any-to-any"))
        self.tokenizer = image_tokenizer.load(folder("image-tokenizer"))
        self.judge = attributes.load(folder("attributes-b"))

    def say(self, turns: list[tuple[str, str, Any]], seed: int = 0) -> TextResult:
        """The answer at temperature 0, its picture with the default settings."""
        from core.chat.chat import ChatRequest, generate

        request = ChatRequest(conversation=tuple(turns), temperature=0.0, seed=seed)
        *_, result = generate(request, Control(), self.model, self.tokenizer)
        assert isinstance(result, TextResult)
        return result

    def codes(self, image: np.ndarray) -> tuple[int, ...]:
        from core.chat.chat import to_codes

        return to_codes(image, self.tokenizer)


def text_of(parts: list[Any]) -> str:
    """An answer of chat_data as plain text."""
    return "".join(part if isinstance(part, str) else part[0] for part in parts)


def facts(text: str) -> Iterator[tuple[str, str]]:
    """(attribute, value) pairs that a description names, read by its grammar."""
    words = text.lower().replace(",", " ").replace(".", " ")
    for name in ("skin_color", "background", "style", "mouth"):
        for value in chat_data.VALUES[name]:
            noun = {"skin_color": "skin", "background": "background", "style": "style", "mouth": "mouth"}[name]
            if f" {chat_data.said(name, value)} {noun}" in words:
                yield name, value
    for value in chat_data.VALUES["hair_color"]:
        for cut in (*chat_data.VALUES["hair"], "hair"):
            if f" {value} {cut}" in words:
                yield "hair_color", value
    for cut in chat_data.VALUES["hair"]:
        if f" {cut}" in words:
            yield "hair", cut
    for name in ("glasses", "beard"):
        if name in words:
            yield name, "no" if f"no {name}" in words else "yes"


Seen = list[tuple[dict[str, Any], tuple[int, ...]]]


def share(marks: list[Any]) -> float:
    return round(float(np.mean(marks)), 3) if marks else 0.0


def questions(speaker: Speaker, seen: Seen, rng: np.random.Generator) -> dict[str, float]:
    """Ten kinds, half of each in the held-out phrasing; bias: how much more often "yes" is said than right."""
    right: dict[str, list[bool]] = {kind: [] for kind in chat_data.KINDS}
    yes = []
    for kind in chat_data.KINDS:
        for i, (record, codes) in enumerate(seen):
            asked, answer = chat_data.question(kind, record, rng, held=i % 2 == 0)
            said = speaker.say([("user", asked + "?", codes)]).text
            right[kind].append(said == text_of(answer))
            if text_of(answer).endswith(("so yes.", "so no.")):
                yes.append(said.endswith("so yes.") - text_of(answer).endswith("so yes."))
    return {
        "questions_right": share([m for marks in right.values() for m in marks]),
        "yes_bias": share(yes),
        **{f"right_{kind.replace('/', '_')}": share(marks) for kind, marks in right.items()},
    }


def comparisons(speaker: Speaker, seen: Seen, rng: np.random.Generator) -> float:
    """Two pictures and a question about one attribute of both."""
    right = []
    for i, (record, codes) in enumerate(seen):
        other, more = seen[(i + 1) % len(seen)]
        asked, answer = chat_data.compared(chat_data.SLOTS[i % 8], record, other, rng, held=i % 2 == 0)
        said = speaker.say([("user", "", codes), ("user", asked + "?", more)]).text
        right.append(said == text_of(answer))
    return share(right)


def refusals(speaker: Speaker, seen: Seen, rng: np.random.Generator) -> float:
    """Topics and phrasings that training never had, with and without a picture."""
    refused = []
    for i, (_, codes) in enumerate(seen):
        asked, answer = "", [""]
        while not text_of(answer).startswith(("I only know", "I can only draw")):
            asked, answer = chat_data.apart(rng, i % 2 == 1, held=True)
        refused.append(speaker.say([("user", asked, codes if i % 2 else b"")]).text == text_of(answer))
    return share(refused)


def drawings(speaker: Speaker, seen: Seen, rng: np.random.Generator) -> dict[str, float]:
    """Every attribute named, the phrasing held out; classifier B judges."""
    drawn, wishes = [], []
    for i, (record, _) in enumerate(seen):
        wish = chat_data.pick(chat_data.DRAW, rng, held=True).format(chat_data.description(record))
        result = speaker.say([("user", wish, b"")], seed=i)
        if result.extras["codes"]:
            drawn.append(result.extras["picture"])
            wishes.append(record)
    follow = speaker.judge.adherence(np.stack(drawn), wishes) if drawn else {"mean": 0.0}
    return {
        "drawings_follow_words": round(follow["mean"], 3),
        "drawn_when_asked": share([1] * len(drawn) + [0] * (len(seen) - len(drawn))),
        **{f"drawn_{name}": round(value, 3) for name, value in follow.items() if name != "mean"},
    }


def round_trip(speaker: Speaker, seen: Seen) -> float:
    """Describe a picture, draw the description, describe that in a new conversation: facts said both times."""
    survived = []
    for i, (_, codes) in enumerate(seen):
        first = speaker.say([("user", "describe the picture", codes)]).text
        wanted = dict(facts(first))
        result = speaker.say([("user", "draw " + first.lower().rstrip("."), b"")], seed=i)
        got = {}
        if result.extras["codes"]:
            got = dict(facts(speaker.say([("user", "describe the picture", result.extras["codes"])]).text))
        survived += [got.get(name) == wanted.get(name, "?") for name in chat_data.SLOTS if name in {**wanted, **got}]
    return share(survived)


def edits(speaker: Speaker, count: int, rng: np.random.Generator) -> dict[str, float]:
    """The named attribute changes, the others stay; classifier B judges. The phrasing is held out."""
    from training.any_to_any import edit_pairs

    images, _ = portraits.load("heldout", 64)
    rows, pairs = edit_pairs(count, held=True, seed=11)
    done, stayed, both = [], [], []  # both: what stays of the pictures in which the change was made
    for i, (row, (name, value, before, after, _)) in enumerate(zip(rows, pairs, strict=True)):
        wish = chat_data.wish(name, value, rng, held=True)
        result = speaker.say([("user", wish, speaker.codes(images[row]))], seed=i)
        if not result.extras["codes"]:
            done.append(0.0)
            continue
        picture = result.extras["picture"][None]
        done.append(speaker.judge.adherence(picture, [{name: after[name]}])["mean"])
        rest = {k: v for k, v in before.items() if k in portraits.ATTRIBUTES and k != name}
        stayed.append(speaker.judge.adherence(picture, [rest])["mean"])
        both += [stayed[-1]] if done[-1] else []
    return {"edit_done": share(done), "edit_keeps_the_rest": share(stayed), "edit_keeps_where_done": share(both)}


def emojis(speaker: Speaker, count: int, rng: np.random.Generator) -> dict[str, float]:
    """Concepts in the one style in which training never had them. A drawing is right when the nearest, by its pixels, of
    the true emoji on the background that was asked for is one of the concept, in any of its four styles."""
    images, records = emoji.load("heldout")
    known = [i for i, record in enumerate(records) if record["label"] in chat_data.EMOJI]
    right: dict[str, list[bool]] = {}
    for n, i in enumerate(rng.permutation(known)[:count]):
        for kind in ("label", "group", "background", "style", "is", "sort"):
            asked, answer = chat_data.emoji_question(kind, records[i], rng, held=n % 2 == 0)
            said = speaker.say([("user", asked + "?", speaker.codes(images[i]))]).text
            right.setdefault(kind, []).append(said == text_of(answer))
    shelf, names = emoji.load("all")
    drawn: list[bool] = []
    for n, i in enumerate(rng.permutation(known)[:count]):
        wish, _ = chat_data.emoji_wish(records[i], rng, held=True, keep={"background", "style"})
        picture = speaker.say([("user", wish, b"")], seed=n).extras["picture"]
        near = [
            j
            for j, record in enumerate(names)
            if record["label"] in chat_data.EMOJI and record["background"] == records[i]["background"]
        ]
        off = [np.square(shelf[j] - picture.astype(np.float32)).mean() for j in near] if picture is not None else []
        drawn.append(bool(off) and names[near[int(np.argmin(off))]]["label"] == records[i]["label"])
    return {
        "emoji_questions_right": share([m for marks in right.values() for m in marks]),
        **{f"emoji_{kind}": share(marks) for kind, marks in right.items()},
        "emoji_drawn": share(drawn),
    }


def any_to_any(count: int) -> None:
    speaker = Speaker()
    images, records = portraits.load("heldout", 64)
    rng = np.random.default_rng(0)
    order = rng.permutation(len(records))
    seen = [(records[i], speaker.codes(images[i])) for i in order[:count]]
    some = seen[: max(4, 64 * count // 100)]
    asked = questions(speaker, seen, rng)
    print(asked)
    quality = {
        "questions_right": asked.pop("questions_right"),
        **drawings(speaker, some, rng),
        **edits(speaker, len(some), rng),
        "round_trip": round_trip(speaker, some),
        "refuses_far_questions": refusals(speaker, seen, rng),
        "comparisons_right": comparisons(speaker, some, rng),
        **asked,
        **emojis(speaker, len(some), rng),
        "questions": count * len(chat_data.KINDS),
        "drawings": len(some),
    }
    write("any-to-any", quality, steps=steps("any-to-any"), parameters=speaker.model.parameters)


# 3. The code model
def code_lm(count: int) -> None:
    from core.chat import code, decoder, sandbox, tasks

    model = decoder.load(folder("code-lm"))
    rng = np.random.default_rng(99)
    passed: dict[str, list[bool]] = {kind: [] for kind in tasks.KINDS}
    while sum(map(len, passed.values())) < count:
        task = tasks.make(rng)
        if not task.held_out:
            continue
        *_, result = code.generate(code.CodeRequest(prompt=task.prompt), Control(), model)
        wanted = tasks.expected(task)
        outcome = sandbox.run(result.extras["code"], [call for call, _ in wanted])  # type: ignore[union-attr]
        passed[task.kind].append(all(sandbox.passed(outcome, wanted)))
    quality = {"pass_at_1": round(float(np.mean([m for marks in passed.values() for m in marks])), 3),
               **{f"pass_{kind}": round(float(np.mean(marks)), 3) for kind, marks in passed.items() if marks},
               "tasks": count}  # fmt: skip
    write("code-lm", quality, steps=steps("code-lm"), parameters=model.parameters)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=("image-tokenizer", "any-to-any", "code-lm"))
    parser.add_argument("--count", type=int, default=0, help="pictures, questions a kind, or tasks")
    options = parser.parse_args()
    run, usual = {"image-tokenizer": (tokenizer, 256), "any-to-any": (any_to_any, 100), "code-lm": (code_lm, 200)}[
        options.model
    ]
    run(options.count or usual)


if __name__ == "__main__":
    main()
