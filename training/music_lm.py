"""The codec language model: a stock MusicgenForConditionalGeneration at tiny size on music and effect captions.

    python -m training.music_lm --minutes 2.2

MusicGen (https://arxiv.org/abs/2306.05284): 4 codebooks in the delay pattern, one transformer decoder, cross-attention
to a caption encoder (a two-layer T5 over whole words, trained along), 15 % of the captions empty for guidance.
The codec (training.codec) comes first and stays frozen; its tokens are computed once into runs/data/codes.npz.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch.nn import functional as F
from transformers import (
    EncodecModel,
    MusicgenConfig,
    MusicgenDecoderConfig,
    MusicgenForConditionalGeneration,
    PreTrainedTokenizerFast,
    T5Config,
)

from core.audio.codec import Codec
from core.audio.dsp import delay_codes, log_mel
from training.codec import features
from training.loop import Run, publish
from training.sound_data import load

CODEC, FOLDER, CODES = Path("assets/models/codec"), Path("assets/models/music-lm"), Path("runs/data/codes.npz")


def tokenizer_for(captions: list[str]) -> PreTrainedTokenizerFast:
    """A whole-word tokenizer over the words of the captions, lower case."""
    words = sorted({w for c in captions for w in c.lower().split()})
    vocabulary = {w: i for i, w in enumerate(["<pad>", "<unk>", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>")


def build(words: int, codec: Any, width: int = 96, layers: int = 3) -> MusicgenForConditionalGeneration:
    """A fresh network around a trained codec."""
    size, k = codec.config.codebook_size, int(codec.config.num_quantizers)
    config = MusicgenConfig(
        text_encoder=T5Config(  # type: ignore[call-arg]
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
        ),
        audio_encoder=codec.config,
        decoder=MusicgenDecoderConfig(
            vocab_size=size,
            pad_token_id=size,
            bos_token_id=size,
            hidden_size=width,
            ffn_dim=4 * width,
            num_hidden_layers=layers,
            num_attention_heads=4,
            num_codebooks=k,
            dropout=0.0,
            max_position_embeddings=512,
        ),
    )
    model = MusicgenForConditionalGeneration(config)
    model.audio_encoder.load_state_dict(codec.state_dict())
    model.audio_encoder.requires_grad_(False)
    return model


@torch.no_grad()
def codebook_start(model: Any) -> None:
    """Embeddings and heads start as one random projection of the codec's own code vectors: tokens that sound alike lie
    close together, and the first guess for the next token is the one before it."""
    decoder = model.decoder
    generator = torch.Generator().manual_seed(0)
    for k, layer in enumerate(model.audio_encoder.quantizer.layers):
        codes = layer.codebook.embed  # (256, 32)
        codes = (codes - codes.mean(0)) / codes.std()
        width = decoder.config.hidden_size
        rows = codes @ torch.randn(codes.shape[1], width, generator=generator) / codes.shape[1] ** 0.5  # (256, D)
        decoder.model.decoder.embed_tokens[k].weight[: len(rows)] = 0.5 * rows
        decoder.lm_heads[k].weight.copy_(0.08 * rows)


def tokens(codec: Any) -> tuple[np.ndarray, list[dict], np.ndarray, list[dict]]:
    """Codes (N, K, 200) int64 and records of the training and the held-out split: the clips whose log-mels the codec
    learned on (music and effects), cached by the codec's weights."""
    stamp = str((CODEC / "model.safetensors").stat().st_mtime_ns)
    mels = features()[:2]
    rows = [load(name, split="train")[1][: len(m)] for name, m in zip(("music", "effects"), mels, strict=True)]
    held, held_rows = load("music", "effects", split="heldout")
    if not CODES.exists() or str(np.load(CODES)["stamp"]) != stamp:
        with torch.no_grad():
            parts = [
                codec.quantizer.encode(codec.encoder(torch.from_numpy(x).float())).transpose(0, 1).numpy()
                for m in mels
                for x in np.array_split(m, 20)
            ]
        wrapped = Codec(codec)
        np.savez(
            CODES, stamp=stamp, train=np.concatenate(parts), heldout=np.stack([wrapped.encode(w) for w in held[::3]])
        )
    codes = np.load(CODES)
    return codes["train"].astype(np.int64), rows[0] + rows[1], codes["heldout"].astype(np.int64), held_rows[::3]


def loss_of(
    model: Any,
    grids: torch.Tensor,
    ids: torch.Tensor,
    mask: torch.Tensor,
    drop: torch.Tensor,
) -> torch.Tensor:
    """grids (B, K, L) delayed codes, ids and mask (B, W), drop (B,) bool: captions left out -> (K,) nats a token."""
    b, k, length = grids.shape
    pad = model.decoder.config.pad_token_id
    states = model.enc_to_dec_proj(model.text_encoder(input_ids=ids, attention_mask=mask).last_hidden_state)
    states = states * (~drop)[:, None, None]  # (B, W, D); no caption is all zeros, as in generation
    out = model.decoder(
        grids[:, :, :-1].reshape(b * k, -1), encoder_hidden_states=states, encoder_attention_mask=mask, use_cache=False
    )
    target = grids[:, :, 1:].reshape(b * k, length - 1)
    padded: Any = target == pad
    each = F.cross_entropy(
        out.logits.transpose(1, 2), target.masked_fill(padded, -100), ignore_index=-100, reduction="none"
    )
    return each.view(b, k, -1).sum((0, 2)) / (~padded).view(b, k, -1).sum((0, 2))


def batch_of(
    codes: np.ndarray,
    records: list[dict],
    pick: np.ndarray,
    tokenizer: Any,
    rng: np.random.Generator,
):
    """(grids (B, K, L), ids (B, W), mask (B, W)) with one caption a clip drawn by `rng`."""
    size = int(codes.max()) + 1
    grids = np.stack([delay_codes(codes[i], 256 if size <= 256 else size) for i in pick])
    texts = [str(rng.choice(records[i]["captions"])).lower() for i in pick]
    words = tokenizer(texts, padding=True, return_tensors="pt")
    return torch.from_numpy(grids), words.input_ids, words.attention_mask


def sheet(model: Any, tokenizer: PreTrainedTokenizerFast) -> np.ndarray:
    """(4, 64, frames, 3) uint8: log-mels of four generated clips."""
    from core.audio.music_lm import EXAMPLES, GenerateRequest, MusicLM, generate
    from core.pipeline import Control

    lm, tiles = MusicLM(model, tokenizer), []
    for i, prompt in enumerate(EXAMPLES[::2]):
        result: Any
        *_, result = generate(GenerateRequest(prompt=prompt, seconds=2.0, seed=i, inspect=False), Control(), lm)
        picture = np.clip((log_mel(result.waveform[:, 0])[::-1] + 2.5) / 4 * 255, 0, 255).astype(np.uint8)
        tiles.append(np.repeat(picture[:, :, None], 3, 2))
    return np.stack(tiles)


def save(run: Run, tokenizer: PreTrainedTokenizerFast, codes: np.ndarray, records: list[dict]) -> None:
    """Publishes the mean weights and prints their loss on held-out clips (nats a token, by codebook)."""
    grids, ids, mask = batch_of(codes, records, np.arange(0, len(codes), 3), tokenizer, np.random.default_rng(0))
    with torch.no_grad():
        each = loss_of(run.ema, grids, ids, mask, torch.zeros(len(grids), dtype=torch.bool))
    print(f"step {run.step} held-out", [round(x, 3) for x in each.tolist()], flush=True)
    publish(FOLDER, _=run.ema)
    tokenizer.save_pretrained(FOLDER)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.2)
    parser.add_argument("--device", default="cpu", choices=["cpu"])
    parser.add_argument("--batch", type=int, default=8)
    options = parser.parse_args()

    torch.manual_seed(0)
    codec = EncodecModel.from_pretrained(CODEC, dtype=torch.float32)
    codes, records, held_codes, held_records = tokens(codec)
    tokenizer = tokenizer_for([c for r in records + held_records for c in r["captions"]])
    model: Any = build(len(tokenizer), codec)
    if (FOLDER / "model.safetensors").exists() and not Path("runs/music-lm/last.pt").exists():
        model = MusicgenForConditionalGeneration.from_pretrained(FOLDER, dtype=torch.float32)  # warm start
        model.audio_encoder.requires_grad_(False)
    else:
        codebook_start(model)
    run = Run(
        "music-lm",
        model,
        options.minutes,
        lr=3e-3,
        batch=options.batch,
        ema=0.995,
        betas=(0.9, 0.98),
        weight_decay=0.02,
    )
    rng = np.random.default_rng(run.step)
    generator = torch.Generator().manual_seed(run.step)
    for _ in run:
        pick = rng.integers(len(codes), size=options.batch)
        grids, ids, mask = batch_of(codes, records, pick, tokenizer, rng)
        each = loss_of(model, grids, ids, mask, torch.rand(options.batch, generator=generator) < 0.15)
        run.update(each.mean(), **{f"book{i + 1}": v for i, v in enumerate(each.tolist())})
        if run.due("publish", 0.7):
            save(run, tokenizer, held_codes, held_records)
    save(run, tokenizer, held_codes, held_records)
    run.sheet(sheet(run.ema, tokenizer), columns=4)


if __name__ == "__main__":
    main()
