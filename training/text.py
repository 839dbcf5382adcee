"""Text encoders: a word-piece tokenizer, a CLIP (both towers) and a T5-style encoder.

    python -m training.text captions --minutes 1.5    # CLIP's text tower, from captions alone
    python -m training.text clip --minutes 4          # the picture tower, contrastive, to that text tower
    python -m training.text t5 --minutes 1.5          # T5EncoderModel, from captions alone
    python -m training.text clip --measure            # held-out retrieval

From captions alone: the tower reads a caption and eight linear heads say each attribute's value, or that the
caption does not name it. In an earlier trial a latent model had not found style after 20,000 pictures with a
text tower trained together with it; with a tower that could read first, 4,000 pictures did.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from transformers import CLIPConfig, CLIPModel, CLIPTextModel, CLIPTokenizer, PreTrainedTokenizerFast, T5EncoderModel

from training import loop
from training.portraits import ATTRIBUTES
from training.words import caption, corpus, targets

MODELS = Path("assets/models")
LENGTH, WIDTH = 48, 128  # tokens a prompt, channels


def clip_tokenizer(records: list[dict[str, Any]]) -> CLIPTokenizer:
    """Byte-level BPE with the CLIP ending "</w>"; merged until every word of the corpus is one piece."""
    from tokenizers import pre_tokenizers, trainers

    plain = CLIPTokenizer()
    backend = plain.backend_tokenizer
    trainer = trainers.BpeTrainer(
        vocab_size=2000,
        min_frequency=8,
        special_tokens=["<|startoftext|>", "<|endoftext|>"],
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        end_of_word_suffix="</w>",
    )
    backend.train_from_iterator(corpus(records[:6000]), trainer)
    model = json.loads(backend.to_str())["model"]
    vocab = dict(model["vocab"])
    merges: Any = [tuple(m) if isinstance(m, list) else tuple(m.split(" ")) for m in model["merges"]]
    for letter in pre_tokenizers.ByteLevel.alphabet():  # every byte may also end a word
        vocab.setdefault(f"{letter}</w>", len(vocab))
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=LENGTH)


def t5_tokenizer(records: list[dict[str, Any]]) -> PreTrainedTokenizerFast:
    """Pieces with "▁" before a word, </s> at the end and <pad>, as T5's; merged until every known word is one."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    backend = Tokenizer(models.BPE(unk_token="<unk>"))
    backend.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    backend.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation()])
    backend.decoder = decoders.Metaspace()
    special = ["<pad>", "</s>", "<unk>"]
    trainer = trainers.BpeTrainer(vocab_size=2000, min_frequency=8, special_tokens=special, show_progress=False)
    backend.train_from_iterator(corpus(records[:6000]), trainer)
    backend.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=LENGTH
    )


def build_clip(vocab: int) -> Any:
    """Text: 2 layers of width 128; pictures: 64 px in patches of 8, 3 layers of width 128."""
    shared = {"hidden_size": WIDTH, "num_attention_heads": 4, "intermediate_size": 384, "projection_dim": WIDTH}
    return CLIPModel(
        CLIPConfig(
            text_config={
                **shared,
                "num_hidden_layers": 2,
                "vocab_size": vocab,
                "max_position_embeddings": LENGTH,
                "bos_token_id": 0,
                "eos_token_id": 1,
                "pad_token_id": 1,
            },
            vision_config={**shared, "num_hidden_layers": 3, "image_size": 64, "patch_size": 8},
            projection_dim=WIDTH,
        )
    )


def build_t5(vocab: int) -> Any:
    from transformers import T5Config

    return T5EncoderModel(
        T5Config(
            vocab_size=vocab,
            d_model=WIDTH,
            d_kv=32,
            d_ff=384,
            num_layers=2,
            num_heads=4,
            dropout_rate=0.0,
            feed_forward_proj="gated-gelu",
            pad_token_id=0,
            eos_token_id=1,
            is_encoder_decoder=False,
        )
    )


class Reader(nn.Module):
    """A text encoder and one linear head an attribute (its values, and "not named")."""

    def __init__(self, encoder: nn.Module, kind: str) -> None:
        super().__init__()
        self.encoder, self.kind = encoder, kind
        self.heads = nn.ModuleList(nn.Linear(WIDTH, len(values) + 1) for values in ATTRIBUTES.values())

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> list[torch.Tensor]:
        """ids, mask (B, T) -> 8 logits (B, values + 1). CLIP is read at the end token, T5 by the mean of its words."""
        if self.kind == "t5":
            hidden = self.encoder(input_ids=ids, attention_mask=mask)[0]  # (B, T, 128)
            pooled = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        else:
            out = self.encoder(input_ids=ids)  # no mask: as the stock pipeline calls it
            pooled = (
                out.pooler_output + 0.5 * out.last_hidden_state[:, -1]
            )  # the last one is padding, or the end itself
        return [head(pooled) for head in self.heads]


def tokens(tokenizer: Any, texts: list[str], full: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """ids and mask (B, T); T is LENGTH when `full`, else that of the longest text."""
    out = tokenizer(
        texts, padding="max_length" if full else "longest", max_length=LENGTH, truncation=True, return_tensors="pt"
    )
    return out.input_ids, out.attention_mask


def naming_loss(logits: list[torch.Tensor], wanted: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy over the attributes; wanted (B, 8)."""
    return torch.stack([F.cross_entropy(head, wanted[:, i]) for i, head in enumerate(logits)]).mean()


def accuracy(logits: list[torch.Tensor], wanted: torch.Tensor) -> float:
    """Share of right answers over batch and attributes."""
    return float(np.mean([(head.argmax(1) == wanted[:, i]).float().mean().item() for i, head in enumerate(logits)]))


def train_captions(kind: str, minutes: float) -> None:
    """`kind` "clip" or "t5": learn to read captions; into assets/models/latent-diffusion (its text tower) or t5."""
    from training.portraits import load

    _, records = load("train", 64)
    tokenizer = clip_tokenizer(records) if kind == "clip" else t5_tokenizer(records)
    whole: Any = build_clip(len(tokenizer)) if kind == "clip" else build_t5(len(tokenizer))
    reader = Reader(CLIPTextModel(whole.config.text_config) if kind == "clip" else whole, kind)
    run = loop.Run(f"text-{kind}", reader, minutes, 2e-3, batch=48, ema=0.99)
    print(len(tokenizer), "pieces,", sum(p.numel() for p in reader.encoder.parameters()), "parameters", flush=True)
    for step in run:
        rng = np.random.default_rng([1, step])
        chosen = [records[i] for i in rng.integers(len(records), size=48)]
        texts, said = zip(*[caption(r, rng) for r in chosen], strict=True)
        ids, mask = tokens(tokenizer, list(texts), full=step % 5 == 0)
        wanted = torch.from_numpy(targets(chosen, list(said)))
        logits = reader(ids, mask)
        loss = naming_loss(logits, wanted)
        run.update(loss, right=accuracy(logits, wanted))
    encoder = run.ema.encoder
    if kind == "t5":
        loop.publish(MODELS / "t5", _=encoder, tokenizer=tokenizer)
        return
    loop.publish(MODELS / "latent-diffusion", text_encoder=encoder, tokenizer=tokenizer)


def from_text_tower(encoder: Any) -> Any:
    """A CLIPModel around a trained CLIPTextModel, whose tower is frozen: the pictures come to the words."""
    clip = build_clip(encoder.config.vocab_size)
    weights = {k.removeprefix("text_model."): v for k, v in encoder.state_dict().items()}
    clip.text_model.load_state_dict({k: weights[k] for k in clip.text_model.state_dict()})
    clip.text_model.requires_grad_(False)
    return clip


def agreement(records: list[dict[str, Any]], said: list[dict[str, bool]]) -> torch.Tensor:
    """(N, N): 1 where picture j shows all that caption i names. A short caption fits many portraits of a batch."""
    classes = torch.from_numpy(targets(records, [dict.fromkeys(ATTRIBUTES, True)] * len(records)))  # (N, 8)
    named = torch.tensor([[words[name] for name in ATTRIBUTES] for words in said])  # (N, 8)
    return ((classes[:, None] == classes[None]) | ~named[:, None]).all(2).float()


def train_clip(minutes: float) -> None:
    """Picture tower and both projections, contrastive; the text tower stays that of the latent diffusion model.

    The picture tower also learns to say the attributes, which speeds it up.
    """
    from training.portraits import load

    pictures, records = load("train", 64)
    shown = MODELS / "latent-diffusion"
    tokenizer = CLIPTokenizer.from_pretrained(shown / "tokenizer")
    clip = from_text_tower(CLIPTextModel.from_pretrained(shown / "text_encoder", dtype=torch.float32))
    heads = nn.ModuleList(nn.Linear(WIDTH, len(v) + 1) for v in ATTRIBUTES.values())
    model = nn.ModuleDict({"clip": clip, "heads": heads})
    run = loop.Run("clip", model, minutes, 1.5e-3, batch=64, ema=0.99)
    everything = [dict.fromkeys(ATTRIBUTES, True)] * 64
    for step in run:
        rng = np.random.default_rng([2, step])
        index = rng.integers(len(records), size=64)
        chosen = [records[i] for i in index]
        texts, said = zip(*[caption(r, rng, free=0.5) for r in chosen], strict=True)
        ids, _ = tokens(tokenizer, list(texts), full=False)
        with loop.autocast():
            out = clip(input_ids=ids, pixel_values=loop.to_tensor(pictures[index]))
        fits = agreement(chosen, list(said))  # (64 captions, 64 pictures)
        per_text = out.logits_per_text.float()
        contrast = (
            F.cross_entropy(per_text, fits / fits.sum(1, keepdim=True))
            + F.cross_entropy(per_text.T, fits.T / fits.T.sum(1, keepdim=True))
        ) / 2
        wanted = torch.from_numpy(targets(chosen, everything))
        logits = [head(out.vision_model_output.pooler_output.float()) for head in heads]
        naming = naming_loss(logits, wanted)
        best = per_text.argmax(1)
        run.update(
            contrast + 2 * naming,
            contrast=contrast.item(),
            naming=naming.item(),
            right=accuracy(logits, wanted),
            first=fits[torch.arange(64), best].mean().item(),
        )
    loop.publish(MODELS / "clip", _=run.ema["clip"], tokenizer=tokenizer)


@torch.no_grad()
def measure_clip(count: int = 200) -> dict[str, float]:
    """Held-out portraits: how often the right caption of `count` is first, and among the first five."""
    from training.portraits import load

    pictures, records = load("heldout", 64)
    tokenizer = CLIPTokenizer.from_pretrained(MODELS / "clip/tokenizer")
    clip = CLIPModel.from_pretrained(MODELS / "clip", dtype=torch.float32).eval()
    ids, _ = tokens(tokenizer, [r["captions"][i % 8] for i, r in enumerate(records[:count])], full=True)
    scores = clip(input_ids=ids, pixel_values=loop.to_tensor(pictures[:count])).logits_per_image  # (count, count)
    rank = (scores > scores.diag()[:, None]).sum(1)
    return {
        "retrieval_of": count,
        "first": round((rank == 0).float().mean().item(), 3),
        "first_five": round((rank < 5).float().mean().item(), 3),
    }


@torch.no_grad()
def measure_reader(kind: str, count: int = 500) -> dict[str, float]:
    """Attributes read right from captions of held-out records, by the run's own heads."""
    from training.portraits import load

    _, records = load("heldout", 64)
    rng = np.random.default_rng(5)
    name = "latent-diffusion" if kind == "clip" else "t5"
    tokenizer = (CLIPTokenizer if kind == "clip" else PreTrainedTokenizerFast).from_pretrained(
        MODELS / name / "tokenizer"
    )
    whole: Any = build_clip(len(tokenizer)) if kind == "clip" else build_t5(len(tokenizer))
    reader = Reader(CLIPTextModel(whole.config.text_config) if kind == "clip" else whole, kind).eval()
    reader.load_state_dict(torch.load(loop.RUNS / f"text-{kind}/last.pt", weights_only=True)["ema"])
    texts, said = zip(*[caption(r, rng) for r in records[:count]], strict=True)
    ids, mask = tokens(tokenizer, list(texts), full=True)
    return {
        "read_right": round(accuracy(reader(ids, mask), torch.from_numpy(targets(records[:count], list(said)))), 4),
        "captions": count,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["captions", "clip", "t5"])
    parser.add_argument("--minutes", type=float, default=1.5)
    parser.add_argument("--device", default="cpu", choices=["cpu"])
    parser.add_argument("--measure", action="store_true")
    args = parser.parse_args()
    if not args.measure and args.what == "clip":
        train_clip(args.minutes)
    elif not args.measure:
        train_captions("t5" if args.what == "t5" else "clip", args.minutes)
    print(measure_clip() if args.what == "clip" else measure_reader("t5" if args.what == "t5" else "clip"), flush=True)


if __name__ == "__main__":
    main()
