"""The codec language model: a stock MusicgenForConditionalGeneration at tiny size on music and effect captions.

    python -m training.music_lm --minutes 19

MusicGen (https://arxiv.org/abs/2306.05284): the first 4 of the codec's codebooks in the delay pattern, one transformer
decoder, cross-attention to a caption encoder that could read before (training.sound_text), 12 % of the captions empty for
guidance. Beside the position in frames it gets the position in beats of the tempo that the caption asks for, a number
or a word (core.audio.music_lm.embedded): a network so small does not learn to count beats out of frames in minutes.
Codec and encoder come first; the tokens are computed once into runs/data/codes.npz. It starts from the shipped weights.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F
from transformers import (
    AutoTokenizer,
    EncodecModel,
    MusicgenConfig,
    MusicgenDecoderConfig,
    MusicgenForConditionalGeneration,
    PreTrainedTokenizerFast,
)

from core.audio.dsp import codec_features, delay_codes, log_mel
from core.audio.music_lm import embedded, tempo_of
from training.code_model import MuonAndAdam
from training.codec import SIZE, features
from training.loop import RUNS, Run, autocast, publish
from training.sound_data import load
from training.sound_text import opened

FRAMES = 50.0  # a second
BOOKS, WEIGHTS = 4, torch.tensor([0.35, 0.3, 0.2, 0.15])  # the first codebook is what one hears most
CODEC, FOLDER, CODES = Path("assets/models/codec"), Path("assets/models/music-lm"), Path("runs/data/codes.npz")


def build(codec: Any, width: int = 128, layers: int = 4) -> MusicgenForConditionalGeneration:
    """A fresh network around a trained codec and a trained caption encoder."""
    size, encoder = codec.config.codebook_size, opened()[0]
    config = MusicgenConfig(
        text_encoder=encoder.config,
        audio_encoder=codec.config,
        decoder=MusicgenDecoderConfig(
            vocab_size=size,
            pad_token_id=size,
            bos_token_id=size,
            hidden_size=width,
            ffn_dim=4 * width,
            num_hidden_layers=layers,
            num_attention_heads=4,
            num_codebooks=BOOKS,
            dropout=0.0,
            max_position_embeddings=512,
        ),
    )
    model = MusicgenForConditionalGeneration(config)
    model.audio_encoder.load_state_dict(codec.state_dict())
    model.audio_encoder.requires_grad_(False)
    model.text_encoder.load_state_dict(encoder.state_dict())
    return model


def shipped(codec: Any) -> Any:
    """The network that ships, if it was trained on this codec's tokens and no run of this machine is there; else None."""
    if (RUNS / "music-lm" / "last.pt").exists() or not (FOLDER / "model.safetensors").exists():
        return None
    model: Any = MusicgenForConditionalGeneration.from_pretrained(FOLDER, dtype=torch.float32)
    books, ours = codec.quantizer.layers, model.audio_encoder.quantizer.layers
    if not all(torch.equal(a.codebook.embed, b.codebook.embed) for a, b in zip(books, ours, strict=True)):
        return None
    model.audio_encoder.requires_grad_(False)
    return model


@torch.no_grad()
def codebook_start(model: Any) -> None:
    """Embeddings and heads start as one random projection of the codec's own code vectors: tokens that sound alike lie
    close together, and the first guess for the next token is the one before it."""
    decoder = model.decoder
    generator = torch.Generator().manual_seed(0)
    for k, layer in enumerate(model.audio_encoder.quantizer.layers[:BOOKS]):
        codes = layer.codebook.embed  # (256, 32)
        codes = (codes - codes.mean(0)) / codes.std()
        width = decoder.config.hidden_size
        rows = codes @ torch.randn(codes.shape[1], width, generator=generator) / codes.shape[1] ** 0.5  # (256, D)
        decoder.model.decoder.embed_tokens[k].weight[: len(rows)] = 0.5 * rows
        decoder.lm_heads[k].weight.copy_(0.08 * rows)


def tokens(codec: Any) -> dict[str, Any]:
    """codes (N, 6, 200), latents (N, 32, 200) before the quantiser, records, and the same of the held-out split under
    "heldout_…": the music and effects whose log-mels the codec learned on, cached by the codec's weights."""
    stamp = str((CODEC / "model.safetensors").stat().st_mtime_ns)
    mels = features()[:2]
    rows = [load(name, split="train")[1][: len(m)] for name, m in zip(("music", "effects"), mels, strict=True)]
    held, held_rows = load("music", "effects", split="heldout")
    if not CODES.exists() or str(np.load(CODES)["stamp"]) != stamp:
        stored: dict[str, Any] = {"stamp": stamp}
        heard = np.stack([codec_features(w) for w in held[::3]])
        with torch.no_grad():
            for prefix, part in (("", mels), ("heldout_", [heard])):
                latents = [codec.encoder(torch.from_numpy(x).float()) for m in part for x in np.array_split(m, 40)]
                codes = [codec.quantizer.encode(x).transpose(0, 1).numpy().astype(np.uint8) for x in latents]
                stored |= {
                    f"{prefix}codes": np.concatenate(codes),
                    f"{prefix}latents": torch.cat(latents).half().numpy(),
                }
        np.savez(CODES, **stored)
    file = np.load(CODES)
    out = {k: file[k] for k in ("codes", "latents", "heldout_codes", "heldout_latents")}
    return out | {"records": rows[0] + rows[1], "heldout_records": held_rows[::3]}


def loss_of(
    model: Any,
    grids: torch.Tensor,
    ids: torch.Tensor,
    mask: torch.Tensor,
    tempos: torch.Tensor,
    drop: torch.Tensor,
) -> torch.Tensor:
    """grids (B, K, L) delayed codes, ids and mask (B, W), tempos (B,) BPM or 0, drop (B,) bool: captions left out
    -> (K,) nats a token."""
    b, k, length = grids.shape
    pad = model.decoder.config.pad_token_id
    states = model.enc_to_dec_proj(model.text_encoder(input_ids=ids, attention_mask=mask).last_hidden_state)
    states = states * (~drop)[:, None, None]  # (B, W, D); no caption is all zeros, as in generation
    with autocast():
        out = model.decoder(
            inputs_embeds=embedded(model.decoder, grids[:, :, :-1], tempos * ~drop, 0, FRAMES),
            encoder_hidden_states=states,
            encoder_attention_mask=mask,
            use_cache=False,
        )
    target = grids[:, :, 1:].reshape(b * k, length - 1)
    padded: Any = target == pad
    each = F.cross_entropy(
        out.logits.float().transpose(1, 2), target.masked_fill(padded, -100), ignore_index=-100, reduction="none"
    )
    return each.view(b, k, -1).sum((0, 2)) / (~padded).view(b, k, -1).sum((0, 2))


def batch_of(
    codes: np.ndarray,
    records: list[dict],
    pick: np.ndarray,
    tokenizer: Any,
    rng: np.random.Generator,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """(grids (B, K, L), ids (B, W), mask (B, W), tempos (B,)) with one caption a clip drawn by `rng`; the tempo is the
    clip's own where the caption says something of it."""
    grids = np.stack([delay_codes(codes[i, :BOOKS].astype(np.int64), SIZE) for i in pick])
    texts = [str(rng.choice(records[i]["captions"])).lower() for i in pick]
    words = tokenizer(texts, padding=True, return_tensors="pt")
    tempos = torch.tensor(
        [float(records[i]["tempo"]) if tempo_of(t) else 0.0 for i, t in zip(pick, texts, strict=True)]
    )
    return torch.from_numpy(grids), words.input_ids, words.attention_mask, tempos


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
    batch = batch_of(codes, records, np.arange(0, len(codes), 3), tokenizer, np.random.default_rng(0))
    with torch.no_grad():
        each = loss_of(run.ema, *batch, torch.zeros(len(batch[0]), dtype=torch.bool))
    print(f"step {run.step} held-out", [round(x, 3) for x in each.tolist()], flush=True)
    publish(FOLDER, _=run.ema)
    tokenizer.save_pretrained(FOLDER)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=19)
    parser.add_argument("--device", default="cpu", choices=["cpu"])
    parser.add_argument("--batch", type=int, default=8)
    options = parser.parse_args()

    torch.manual_seed(0)
    codec = EncodecModel.from_pretrained(CODEC, dtype=torch.float32)
    data = tokens(codec)
    codes, records = data["codes"], data["records"]
    held = data["heldout_codes"], data["heldout_records"]
    tokenizer, model, rate = opened()[1], shipped(codec), 2e-3
    if model is None or AutoTokenizer.from_pretrained(FOLDER).get_vocab() != tokenizer.get_vocab():
        model = build(codec)
        codebook_start(model)
    run = Run(
        "music-lm", model, options.minutes, rate, batch=options.batch, ema=0.995, optimizer=MuonAndAdam(model, rate)
    )
    rng = np.random.default_rng(run.step)
    generator = torch.Generator().manual_seed(run.step)
    for _ in run:
        pick = rng.integers(len(codes), size=options.batch)
        batch = batch_of(codes, records, pick, tokenizer, rng)
        each = loss_of(model, *batch, torch.rand(options.batch, generator=generator) < 0.12)
        run.update((each * WEIGHTS).sum(), **{f"book{i + 1}": v for i, v in enumerate(each.tolist())})
        if run.due("publish", 3.0):
            save(run, tokenizer, *held)
    save(run, tokenizer, *held)
    run.sheet(sheet(run.ema, tokenizer), columns=4)


if __name__ == "__main__":
    main()
