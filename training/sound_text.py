"""The caption encoder of both sound generators: a stock T5EncoderModel that has learned to read before it is used.

    python -m training.sound_text --minutes 0.3

From captions alone: linear heads on the mean state say genre, lead, pace, mode, drums and which effects are named. Then
even the flat attention of a fresh generator finds the answer (training.text found the same for pictures).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import nn
from torch.nn import functional as F
from transformers import AutoTokenizer, PreTrainedTokenizerFast, T5Config, T5EncoderModel

from training.loop import Run, publish
from training.music_data import GENRES, LEADS, TEMPOS
from training.sound_data import EFFECTS, load

FOLDER, SHIPPED = Path("runs/data/sound-text"), Path("assets/models/sound-diffusion/text")
CHOICES: dict[str, list] = {
    "genre": list(GENRES),
    "lead": list(LEADS),
    "pace": list(TEMPOS),
    "mode": ["major", "minor"],
    "drums": [False, True],
}


def tokenizer_for(captions: list[str]) -> PreTrainedTokenizerFast:
    """A whole-word tokenizer over the words of the captions, lower case."""
    words = sorted({w for c in captions for w in c.lower().split()})
    vocabulary = {w: i for i, w in enumerate(["<pad>", "<unk>", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>")


class Reader(nn.Module):
    """The encoder and the heads that teach it; only the encoder is kept."""

    def __init__(self, words: int):
        super().__init__()
        config = T5Config(  # type: ignore[call-arg]
            vocab_size=words,
            d_model=64,
            d_kv=16,
            d_ff=128,
            num_layers=2,
            num_heads=4,
            dropout_rate=0.0,
            is_encoder_decoder=False,
            use_cache=False,
            decoder_start_token_id=0,
        )
        self.encoder = T5EncoderModel(config)
        self.heads = nn.ModuleDict({n: nn.Linear(64, len(v)) for n, v in CHOICES.items()})
        self.effects = nn.Linear(64, len(EFFECTS))

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """(B, W) -> logits by attribute (B, values), effects (B, 15)."""
        states = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state  # (B, W, 64)
        mean = (states * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)
        return {n: head(mean) for n, head in self.heads.items()}, self.effects(mean)


def loss_of(reader: Any, captions: list[str], records: list[dict], tokenizer: Any) -> tuple[torch.Tensor, float]:
    """(loss, share of attributes right)."""
    words = tokenizer([c.lower() for c in captions], padding=True, return_tensors="pt")
    chosen, effects = reader(words.input_ids, words.attention_mask)
    loss, right = torch.zeros(()), []
    for name, values in CHOICES.items():
        y = torch.tensor([values.index(r[name]) if name in r else -100 for r in records])
        loss = loss + F.cross_entropy(chosen[name], y, ignore_index=-100)
        right += (chosen[name].argmax(1) == y)[y >= 0].float().tolist()
    named = torch.tensor([[float(r["kind"] == "effect" and n in r["captions"][0]) for n in EFFECTS] for r in records])
    right += ((effects > 0) == (named > 0)).all(1).float().tolist()
    return loss + 3 * F.binary_cross_entropy_with_logits(effects, named), float(np.mean(right))


def opened() -> tuple[T5EncoderModel, Any]:
    """The trained encoder and its tokenizer: this machine's, else the ones that ship."""
    folder = FOLDER if FOLDER.exists() else SHIPPED
    return T5EncoderModel.from_pretrained(folder, dtype=torch.float32), AutoTokenizer.from_pretrained(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=0.3)
    parser.add_argument("--device", default="cpu", choices=["cpu"])
    options = parser.parse_args()
    torch.manual_seed(0)
    train, held = (load("music", "effects", split=s)[1] for s in ("train", "heldout"))
    tokenizer = tokenizer_for([c for r in train + held for c in r["captions"]])
    reader = Reader(len(tokenizer))
    if SHIPPED.exists() and AutoTokenizer.from_pretrained(SHIPPED).get_vocab() == tokenizer.get_vocab():
        reader.encoder = T5EncoderModel.from_pretrained(SHIPPED, dtype=torch.float32)  # warm start; the heads are new
    run = Run("sound-text", reader, options.minutes, lr=3e-3, batch=64, ema=0.98)
    rng = np.random.default_rng(run.step)
    for _ in run:
        picked = [train[int(i)] for i in rng.integers(len(train), size=64)]
        loss, right = loss_of(run.model, [str(rng.choice(r["captions"])) for r in picked], picked, tokenizer)
        run.update(loss, right=right)
    with torch.no_grad():
        right = loss_of(run.ema, [str(rng.choice(r["captions"])) for r in held], held, tokenizer)[1]
    print(f"right on held-out combinations: {right:.3f}")
    publish(FOLDER, _=run.ema.encoder)
    tokenizer.save_pretrained(FOLDER)


if __name__ == "__main__":
    main()
