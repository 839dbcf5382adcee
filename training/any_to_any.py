"""Train the any-to-any model: one decoder over words and picture codes.

    python -m training.any_to_any --minutes 15

Needs runs/data (python -m training.portraits) and the image tokenizer. Three sorts of dialogue (training.chat_data):
questions about a picture, drawings, and edits whose pairs are rendered from one record with one thing changed.
The embedding of a picture code is learned as the sum of its four FSQ digits' vectors and a rest of its own, and is
merged before saving, so the folder is a stock Qwen3ForCausalLM (the shape of Chameleon, https://arxiv.org/abs/2405.09818:
early fusion, QK-norm, z-loss).
"""

from __future__ import annotations

import argparse
import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from core.chat.image_tokenizer import LEVELS, ImageTokenizer, Quantizer
from core.chat.vocabulary import PICTURE, Vocabulary
from training import chat_data, portraits
from training.code_model import decoder, pad, warm_start
from training.loop import RUNS, Run, publish, to_tensor, to_uint8

FOLDER = Path("assets/models/any-to-any")
PORTRAITS, PAIRS = 6000, 1000


class AnyToAny(nn.Module):
    """The decoder with factored embeddings of the picture codes."""

    def __init__(self, words: Vocabulary, width: int = 128, layers: int = 4, heads: int = 4) -> None:
        super().__init__()
        self.words = words
        self.decoder = decoder(words.size, width, layers, heads, context=512)
        self.digits = nn.ParameterList(nn.Parameter(torch.randn(n, width) * 0.02) for n in LEVELS)
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

    def losses(self, ids: torch.Tensor, weights: torch.Tensor) -> dict[str, torch.Tensor]:
        """Mean loss of weighted words and of picture codes; ids, weights: (B, T)."""
        table = self.table()
        hidden = self.decoder.model(inputs_embeds=table[ids[:, :-1]]).last_hidden_state  # (B, T-1, D)
        wanted = weights[:, 1:] > 0
        targets, share = ids[:, 1:][wanted], weights[:, 1:][wanted]
        drawn = targets >= self.words.first_code
        parts = {}
        # the logits are masked by modality, as in sampling: words against words, codes against codes
        for name, chosen, low, high in (
            ("text", ~drawn, 0, self.words.first_code),
            ("picture", drawn, self.words.first_code, self.words.size),
        ):
            logits = hidden[wanted][chosen] @ table[low:high].T
            each = cross_entropy(logits, targets[chosen] - low, reduction="none") + 1e-4 * logits.logsumexp(-1) ** 2
            parts[name] = (each * share[chosen]).sum() / share[chosen].sum().clamp(min=1e-6)
        return parts

    @torch.no_grad()
    def merged(self) -> Any:
        """A stock Qwen3ForCausalLM with the same function."""
        model = copy.deepcopy(self.decoder)
        model.model.embed_tokens.weight.copy_(self.table())
        model.tie_weights()
        return model.eval()


@torch.no_grad()
def encode(tokenizer: ImageTokenizer, images: np.ndarray) -> np.ndarray:
    """(N, 64, 64, 3) uint8 to codes (N, 64) int16."""
    parts = [
        tokenizer.encode(to_tensor(images[i : i + 64])).flatten(1).short().numpy() for i in range(0, len(images), 64)
    ]
    return np.concatenate(parts)


def edit_pairs(count: int = PAIRS, seed: int = 7, held: bool = False) -> list[tuple[Any, ...]]:
    """(name, value, record before, record after, options before, options after), one attribute changed in each."""
    rng = np.random.default_rng([seed, held])
    pairs: list[tuple[Any, ...]] = []
    index = 0
    while len(pairs) < count:
        record, options = portraits.draw(index, seed)
        index += 1
        spec = portraits.STYLES[record["style"]]
        name = str(rng.choice(list(chat_data.EDIT), p=(0.35, 0.35, 0.15, 0.15)))
        after, changed = dict(record), dict(options)
        if name == "glasses":
            if (
                "accessoriesProbability" not in spec.get("probability", {}).values()
                and "glassesProbability" not in spec.get("probability", {}).values()
            ):
                continue
            after["glasses"] = not record["glasses"]
            changed[spec["probability"]["glasses"]] = 100 if after["glasses"] else 0
            changed |= spec["glasses"][0] if after["glasses"] else {}
        elif name == "hair_color":
            if record["hair"] == "bald" or record["hair_color"] == "black" or record["hair_color"] == "none":
                continue  # black cuts of one style exist in black only
            after[name] = str(rng.choice([c for c in portraits.HAIR_COLORS if c not in (record[name], "black")]))
            changed |= {key: [portraits.HAIR_COLORS[after[name]]] for key in spec["hair_color"]}
        elif name == "background":
            after[name] = str(rng.choice([c for c in portraits.BACKGROUNDS if c != record[name]]))
            changed["backgroundColor"] = [portraits.BACKGROUNDS[after[name]]]
        else:
            after[name] = str(rng.choice([m for m in spec["mouth"] if m != record[name]]))
            changed |= spec["mouth"][after[name]][0]
        if (portraits.is_heldout(record) or portraits.is_heldout(after)) == held:
            pairs.append((name, after[name], record, after, options, changed))
    return pairs


def render_pairs(pairs: list[tuple[Any, ...]]) -> tuple[np.ndarray, np.ndarray]:
    """Pictures (N, 64, 64, 3) before and after."""
    specs = [(p[2]["style"], p[4]) for p in pairs] + [(p[3]["style"], p[5]) for p in pairs]
    small = portraits.halve(portraits.render(specs, processes=1))
    return small[: len(pairs)], small[len(pairs) :]


def prepared(tokenizer: ImageTokenizer) -> dict[str, Any]:
    """Codes of the train portraits and of the edit pairs, kept in runs/any-to-any/codes.npz."""
    path = RUNS / "any-to-any" / "codes.npz"
    pairs = edit_pairs()
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        before, after = render_pairs(pairs)
        np.savez(
            path,
            train=encode(tokenizer, portraits.load("train", 64)[0][:PORTRAITS]),
            before=encode(tokenizer, before),
            after=encode(tokenizer, after),
        )
    return {**np.load(path), "pairs": pairs}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=8)
    options = parser.parse_args()
    from core.catalog import MODELS_DIR
    from core.chat import image_tokenizer

    torch.manual_seed(0)
    card = type("Folder", (), {"folder": MODELS_DIR / "image-tokenizer"})
    tokenizer = image_tokenizer.load(card)
    data = prepared(tokenizer)
    records = portraits.load("train", 64)[1][:PORTRAITS]
    words = chat_data.vocabulary()
    model = AnyToAny(words)
    if warm_start(model.decoder, FOLDER, "any-to-any", words):
        for table in model.digits:  # they are merged into the shipped embeddings
            torch.nn.init.zeros_(table)
    run = Run("any-to-any", model, options.minutes, lr=2e-3, batch=options.batch, ema=0.998, weight_decay=0.01)
    rng = np.random.default_rng(run.step)
    for _ in run:
        rows = []
        for sort in rng.choice(3, options.batch, p=(0.48, 0.36, 0.16)):
            i = int(rng.integers(len(records)))
            if sort == 0:
                talk = chat_data.see(records[i], data["train"][i], rng)
            elif sort == 1:
                k = int(rng.integers(len(records)))  # one time in six it follows talk about another picture
                before = chat_data.see(records[k], data["train"][k], rng, turns=1) if rng.random() < 0.17 else None
                talk = chat_data.draw(records[i], data["train"][i], rng, before)
            else:
                j = int(rng.integers(len(data["pairs"])))
                name, value = data["pairs"][j][:2]
                talk = chat_data.edit(name, value, data["before"][j], data["after"][j], rng)
            rows.append(chat_data.rows(talk, words))
        parts = model.losses(*pad(rows))
        run.update(
            parts["text"] + 0.3 * parts["picture"], **{name: float(part.detach()) for name, part in parts.items()}
        )
        if run.due("sheet", 2.0):
            run.sheet(samples(run.ema.merged(), tokenizer, words))
        if run.due("soon", 0.2):  # on a busy machine a minute of CPU time is long
            run.checkpoint()
    size = publish(FOLDER, _=run.ema.merged())
    words.save(FOLDER / "vocabulary.json")
    run.sheet(samples(run.ema.merged(), tokenizer, words))
    print(f"{run.step} steps, {sum(p.numel() for p in run.ema.merged().parameters()):,} parameters, {size:,} bytes")


@torch.no_grad()
def samples(model: Any, tokenizer: ImageTokenizer, words: Vocabulary) -> np.ndarray:
    """Sixteen drawings of held-out records at temperature 0.8, below no pictures: prompts are printed."""
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
