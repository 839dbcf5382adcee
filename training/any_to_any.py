"""Train the any-to-any model: one decoder over words and picture codes.

    python -m training.any_to_any --minutes 40

Needs runs/data (python -m training.portraits) and the image tokenizer. Dialogues (training.chat_data): questions about
a picture, drawings, edits whose pairs are rendered from one record with one thing changed, two pictures compared, and
talk without a picture, most of it to be refused.

Two linear heads on the third layer, thrown away afterwards, read the attributes at a picture's marks: at </picture> what
it shows, at <picture> what was asked for. Answers and codes then find these facts in one place.
The embedding of a picture code is learned as the sum of its four FSQ digits' vectors and a rest of its own, and is
merged before saving, so the folder is a stock Qwen3ForCausalLM (the shape of Chameleon, https://arxiv.org/abs/2405.09818:
early fusion, QK-norm, z-loss).
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from core.chat.chat import positions
from core.chat.image_tokenizer import LEVELS, ImageTokenizer, Quantizer
from core.chat.vocabulary import PICTURE, Vocabulary
from training import chat_data, emoji, portraits
from training.chat_data import Picture, Turn
from training.code_model import MuonAndAdam, decoder, pad, product, warm_start
from training.loop import RUNS, Run, publish, to_tensor, to_uint8

FOLDER = Path("assets/models/any-to-any")
PAIRS = 12000
SIZES = [len(portraits.ATTRIBUTES[name]) for name in chat_data.SLOTS]
# shares of the dialogues
SORTS = {"see": 0.23, "draw": 0.18, "edit": 0.26, "compare": 0.1, "apart": 0.06, "see_emoji": 0.1, "draw_emoji": 0.07}
MIDDLE = 3  # layers below the attribute heads


class AnyToAny(nn.Module):
    """The decoder with factored embeddings of the picture codes and two heads that help to train it."""

    def __init__(self, words: Vocabulary, width: int = 160, layers: int = 5, heads: int = 5) -> None:
        super().__init__()
        self.words = words
        self.decoder = decoder(words.size, width, layers, heads, context=512, theta=500.0)  # 250 tokens are long here
        self.digits = nn.ParameterList(nn.Parameter(torch.randn(n, width) * 0.02) for n in LEVELS)
        self.heads = nn.ModuleList(nn.Linear(width, sum(SIZES)) for _ in range(2))  # wanted, seen
        with torch.no_grad():
            self.decoder.model.embed_tokens.weight[words.first_code :] *= 0.3
        codes = torch.arange(Quantizer().codes)
        strides = [1, 8, 40, 200]
        self.places = [codes // s % n for s, n in zip(strides, LEVELS, strict=True)]

    def table(self) -> torch.Tensor:
        """(V, D) embeddings, the codes' digits added in."""
        weight = self.decoder.model.embed_tokens.weight
        extra = sum(table[place] for table, place in zip(self.digits, self.places, strict=True))
        first = self.words.first_code
        return torch.cat([weight[:first], weight[first:] + extra])

    def losses(self, ids: torch.Tensor, weights: torch.Tensor, marks: list[chat_data.Marks]) -> dict[str, torch.Tensor]:
        """Mean loss of weighted words, of picture codes and of the heads, and the share of seen attributes that are
        right; ids, weights: (B, T); marks: B lists."""
        table = self.table()
        read = ids[:, :-1]
        places = torch.tensor([positions(row) for row in read.tolist()])
        out = self.decoder.model(
            inputs_embeds=table[read],
            position_ids=places,
            attention_mask=torch.ones_like(read),  # without it a jump in the positions is taken for a new sequence
            output_hidden_states=True,
            use_cache=False,
        )
        hidden = out.last_hidden_state  # (B, T-1, D)
        wanted = weights[:, 1:] > 0
        targets, share = ids[:, 1:][wanted], weights[:, 1:][wanted]
        drawn = targets >= self.words.first_code
        parts = {}
        # the logits are masked by modality, as in sampling: words against words, codes against codes
        for name, chosen, low, high in (
            ("text", ~drawn, 0, self.words.first_code),
            ("picture", drawn, self.words.first_code, self.words.size),
        ):
            logits = product(hidden[wanted][chosen], table[low:high])
            each = cross_entropy(logits, targets[chosen] - low, reduction="none") + 1e-4 * logits.logsumexp(-1) ** 2
            parts[name] = (each * share[chosen]).sum() / share[chosen].sum().clamp(min=1e-6)
        return parts | self._read(out.hidden_states[MIDDLE], marks)

    def _read(self, middle: torch.Tensor, marks: list[chat_data.Marks]) -> dict[str, torch.Tensor]:
        """What the heads read at the pictures' marks; middle: (B, T-1, D)."""
        parts = {}
        for sort, name in enumerate(("wanted", "seen")):
            found = [(b, place, y) for b, row in enumerate(marks) for place, s, y in row if s == sort]
            found = [f for f in found if f[1] < middle.shape[1]]
            if not found:
                parts[name] = middle.sum() * 0
                continue
            at = middle[[b for b, _, _ in found], [place for _, place, _ in found]]  # (N, D)
            at = nn.functional.rms_norm(at, (at.shape[-1],))
            y = torch.tensor([y for _, _, y in found])  # (N, 8)
            logits = self.heads[sort](at).split(SIZES, 1)
            known = [cross_entropy(z, y[:, i]) for i, z in enumerate(logits) if (y[:, i] >= 0).any()]
            parts[name] = torch.stack(known).mean() if known else middle.sum() * 0
            if name == "seen":
                known_too = [(z.argmax(1) == y[:, i])[y[:, i] >= 0].float() for i, z in enumerate(logits)]
                parts["right"] = torch.cat(known_too).mean()
        return parts

    @torch.no_grad()
    def merged(self) -> Any:
        """A stock Qwen3ForCausalLM with the same function."""
        model = copy.deepcopy(self.decoder)
        model.model.embed_tokens.weight.copy_(self.table())
        model.tie_weights()
        return model.eval()


# 1. Pictures
@torch.no_grad()
def encode(tokenizer: ImageTokenizer, images: np.ndarray) -> np.ndarray:
    """(N, 64, 64, 3) uint8 to codes (N, 64) int16."""
    parts = [
        tokenizer.encode(to_tensor(images[i : i + 64])).flatten(1).short().numpy() for i in range(0, len(images), 64)
    ]
    return np.concatenate(parts)


Pair = tuple[str, Any, dict[str, Any], dict[str, Any], portraits.Options]


def edit_pairs(count: int, held: bool = False, seed: int = 7) -> tuple[list[int], list[Pair]]:
    """Rows of portraits of one split, and for each (name, value, record before, record after, options after): one
    attribute is changed. In training neither combination is held out; held out, the portrait before the change is."""
    rng = np.random.default_rng([seed, held])
    drawn = (portraits.draw(i, portraits.SEED) for i in range(portraits.COUNT))
    rows: list[int] = []
    pairs: list[Pair] = []
    for row, (record, options) in enumerate(d for d in drawn if portraits.is_heldout(d[0]) == held):
        name = str(rng.choice(list(chat_data.EDIT), p=(0.3, 0.3, 0.2, 0.2)))
        changed = change(name, record, options, rng)
        if changed is not None and (held or not portraits.is_heldout(changed[0])):
            rows.append(row)
            pairs.append((name, changed[0][name], record, *changed))
        if len(pairs) == count:
            break
    return rows, pairs


def change(
    name: str, record: dict[str, Any], options: portraits.Options, rng: np.random.Generator
) -> tuple[dict[str, Any], portraits.Options] | None:
    """Record and options with another value of attribute `name`; None where the style cannot show it."""
    spec = portraits.STYLES[record["style"]]
    after, changed = dict(record), dict(options)
    if name == "glasses":
        if "glasses" not in spec.get("probability", {}):
            return None
        after["glasses"] = not record["glasses"]
        changed[spec["probability"]["glasses"]] = 100 if after["glasses"] else 0
        changed |= spec["glasses"][0] if after["glasses"] else {}
    elif name == "hair_color":
        if record["hair"] == "bald" or record["hair_color"] in ("black", "none"):
            return None  # black cuts of one style exist in black only
        after[name] = str(rng.choice([c for c in portraits.HAIR_COLORS if c not in (record[name], "black")]))
        changed |= {key: [portraits.HAIR_COLORS[after[name]]] for key in spec["hair_color"]}
    elif name == "background":
        after[name] = str(rng.choice([c for c in portraits.BACKGROUNDS if c != record[name]]))
        changed["backgroundColor"] = [portraits.BACKGROUNDS[after[name]]]
    else:
        after[name] = str(rng.choice([m for m in spec["mouth"] if m != record[name]]))
        changed |= spec["mouth"][after[name]][0]
    return after, changed


def render_after(pairs: list[Pair]) -> np.ndarray:
    """Pictures (N, 64, 64, 3) of the changed records."""
    return portraits.halve(portraits.render([(after["style"], options) for *_, after, options in pairs], processes=1))


def prepared(
    tokenizer: ImageTokenizer,
) -> tuple[list[Picture], list[tuple[str, Any, Picture, Picture]], list[Picture]]:
    """All train portraits, the edit pairs as (name, value, before, after), and the emoji that are talked about.

    The changed portraits are rendered once (runs/any-to-any/after.npy); the codes (codes.npz) are made again when that
    file is deleted, as after a training of the tokenizer.
    """
    folder = RUNS / "any-to-any"
    folder.mkdir(parents=True, exist_ok=True)
    images, records = portraits.load("train", 64)
    rows, pairs = edit_pairs(PAIRS)
    if not (folder / "after.npy").exists():
        np.save(folder / "after.npy", render_after(pairs))
    if not (folder / "codes.npz").exists():
        after = np.load(folder / "after.npy", mmap_mode="c")
        np.savez(
            folder / "codes.npz",
            train=encode(tokenizer, images),
            after=encode(tokenizer, after),
            emoji=encode(tokenizer, emoji.load("train")[0]),
        )
    codes = np.load(folder / "codes.npz")
    seen = [Picture(c, r) for c, r in zip(codes["train"], records, strict=True)]
    changed = [Picture(c, pair[3]) for c, pair in zip(codes["after"], pairs, strict=True)]
    objects = [
        Picture(c, r)
        for c, r in zip(codes["emoji"], emoji.load("train")[1], strict=True)
        if r["label"] in chat_data.EMOJI
    ]
    return seen, [(p[0], p[1], seen[i], after) for i, p, after in zip(rows, pairs, changed, strict=True)], objects


# 2. Dialogues
def dialogue(
    seen: list[Picture],
    pairs: list[tuple[str, Any, Picture, Picture]],
    objects: list[Picture],
    rng: np.random.Generator,
) -> list[Turn]:
    """One dialogue of a random sort."""

    def one() -> Picture:
        return seen[int(rng.integers(len(seen)))]

    sort = str(rng.choice(list(SORTS), p=list(SORTS.values())))
    name, value, before, after = pairs[int(rng.integers(len(pairs)))]
    if sort == "see":
        picture = one() if rng.random() < 0.85 else after
        return chat_data.see(picture, rng, other=one().record)
    if sort == "draw":  # one time in eight it follows talk about another picture
        return chat_data.draw(one(), rng, chat_data.see(one(), rng, turns=1) if rng.random() < 0.12 else None)
    if sort == "edit":
        if rng.random() < 0.1:
            again = one()
            return chat_data.edit("", None, again, again, rng)
        if rng.random() < 0.5 and before.record:  # a change read backwards is a change too
            value = before.record[name]
            before, after = after, before
        return chat_data.edit(name, value, before, after, rng)
    if sort in ("see_emoji", "draw_emoji"):
        return getattr(chat_data, sort)(objects[int(rng.integers(len(objects)))], rng)
    if sort == "compare":
        if rng.random() < 0.4:
            return chat_data.compare(before, after, rng, changed=name)
        return chat_data.compare(one(), one(), rng)
    return chat_data.small_talk(rng)


def batches(
    make: Any, words: Vocabulary, batch: int, rng: np.random.Generator
) -> Iterator[tuple[torch.Tensor, torch.Tensor, list[chat_data.Marks]]]:
    """Endless batches of dialogues of about the same length, so that little is padding."""
    while True:
        pool = sorted((chat_data.rows(make(), words) for _ in range(16 * batch)), key=lambda row: len(row[0]))
        for i in rng.permutation(16):
            rows = pool[i * batch : (i + 1) * batch]
            yield *pad([row[:2] for row in rows]), [row[2] for row in rows]


# 3. Training
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=40.0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=16)
    options = parser.parse_args()
    from core.catalog import MODELS_DIR
    from core.chat import image_tokenizer

    torch.manual_seed(0)
    card = type("Folder", (), {"folder": MODELS_DIR / "image-tokenizer"})
    tokenizer = image_tokenizer.load(card)
    seen, pairs, objects = prepared(tokenizer)
    words = vocabulary(RUNS / "any-to-any")
    model = AnyToAny(words)
    if warm_start(model.decoder, FOLDER, "any-to-any", words):
        for table in model.digits:  # they are merged into the shipped embeddings
            torch.nn.init.zeros_(table)
    rate = 2e-3
    run = Run("any-to-any", model, options.minutes, rate, batch=options.batch, ema=0.998,
              optimizer=MuonAndAdam(model, rate))  # fmt: skip
    rng = np.random.default_rng(run.step)
    stream = batches(lambda: dialogue(seen, pairs, objects, rng), words, options.batch, rng)
    for _ in run:
        parts = model.losses(*next(stream))
        loss = parts["text"] + 0.6 * parts["picture"] + 0.5 * parts["seen"] + 0.3 * parts["wanted"]
        run.update(loss, **{name: float(part.detach()) for name, part in parts.items()})
        if run.due("sheet", 4.0):
            save(run, tokenizer, words)
        if run.due("soon", 0.3):  # on a busy machine a minute of CPU time is long
            run.checkpoint()
    print(f"{run.step} steps, {save(run, tokenizer, words):,} bytes")


def vocabulary(folder: Path) -> Vocabulary:
    """The vocabulary of the run in `folder` once it has begun, whatever was added to the grammar since; else the shipped
    one with what the grammar has gained at its end."""
    if not (folder / "last.pt").exists():
        shipped = FOLDER / "vocabulary.json"
        chat_data.vocabulary(Vocabulary.load(shipped).pieces if shipped.exists() else []).save(
            folder / "vocabulary.json"
        )
    return Vocabulary.load(folder / "vocabulary.json")


def save(run: Run, tokenizer: ImageTokenizer, words: Vocabulary) -> int:
    """The averaged weights into FOLDER, and a sheet of drawings."""
    model = run.ema.merged()
    size = publish(FOLDER, _=model)
    words.save(FOLDER / "vocabulary.json")
    run.sheet(samples(model, tokenizer, words))
    return size


@torch.no_grad()
def samples(model: Any, tokenizer: ImageTokenizer, words: Vocabulary) -> np.ndarray:
    """Sixteen drawings of held-out records at temperature 0.8."""
    _, records = portraits.load("heldout", 64)
    rng, noise = np.random.default_rng(0), torch.Generator().manual_seed(0)
    rows = []
    for record in records[:16]:
        wish = chat_data.pick(chat_data.DRAW, rng).format(chat_data.description(record))
        rows.append([*chat_data.rows([("user", [wish]), ("bot", [])], words)[0][:-1], PICTURE])
    codes = draw_codes(model, rows, words, noise, temperature=0.8)
    return to_uint8(tokenizer.decode(codes.view(-1, 8, 8)))


@torch.no_grad()
def draw_codes(
    model: Any, rows: list[list[int]], words: Vocabulary, noise: torch.Generator, temperature: float
) -> torch.Tensor:
    """64 codes (N, 64) after each row of ids, which ends with <picture>; rows of one length share a batch."""
    result = torch.zeros(len(rows), 64, dtype=torch.long)
    for length in sorted({len(r) for r in rows}):
        chosen = [i for i, r in enumerate(rows) if len(r) == length]
        ids = torch.tensor([rows[i] for i in chosen])
        past = None
        for cell in range(64):
            if cell % 8 == 0:
                ids = torch.cat([ids, torch.full((len(chosen), 1), words.first_row + cell // 8)], 1)
            out = model(input_ids=ids, past_key_values=past, use_cache=True, logits_to_keep=1)
            past = out.past_key_values
            logits = out.logits[:, -1, words.first_code :] / temperature
            code = torch.multinomial(logits.softmax(-1), 1, generator=noise)
            result[chosen, cell] = code[:, 0]
            ids = code + words.first_code
    return result


if __name__ == "__main__":
    main()
