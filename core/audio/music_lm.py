"""A language model over codec tokens: caption -> K x T tokens, one column at a time (MusicGen, https://arxiv.org/abs/2306.05284).

The loop is written out instead of calling `generate`, so that it can be watched, stopped and seeded by itself. It runs
any MusicgenForConditionalGeneration: ours, or a full-size one from the hub or a folder, mono or stereo.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from core.audio import dsp, pitch, upload
from core.audio.codec import Codec
from core.errors import BadRequest, Unavailable
from core.request import Request, flag, integer, number, seed_field, text
from core.result import AudioResult, Result, Step

if TYPE_CHECKING:
    import torch

    from core.catalog import Card
    from core.pipeline import Control

TOP = 8  # candidates kept a step for the probability view
PACES = {"slow": (66, 80), "medium": (96, 112), "fast": (136, 160)}  # BPM
EXAMPLES = (
    "a fast happy rock piece in C major with guitar lead with drums at 150 bpm",
    "sad ambient music played on piano , slow tempo , without drums",
    "a medium happy waltz piece in G major with violin lead without drums at 104 bpm",
    "trumpet and drums , fast jazz , minor key",
    "thunder during a rainstorm",
    "birds singing with sea waves",
    "a siren",
    "footsteps on gravel",
)


def tempo_of(prompt: str) -> tuple[int, int] | None:
    """The tempo that a caption asks for, as (low, high) BPM: its number, or else its word; None where it has neither."""
    text = prompt.lower()
    if bpm := re.search(r"(\d{2,3}) bpm", text):
        return int(bpm[1]), int(bpm[1])
    return next((PACES[p] for p in PACES if re.search(rf"\b{p}\b", text)), None)


def embedded(decoder: Any, grid: torch.Tensor, tempos: Any, begin: int, frame_rate: float) -> torch.Tensor:
    """grid (B, K, L) tokens of the columns from `begin` on, tempos: B numbers in BPM (0: none) -> (B, L, D).

    Sums the codebooks' embeddings as the network itself does, and adds the position in beats of the tempo: sines like
    those that count frames, from four a beat down to one in four beats. Over `inputs_embeds` MusicgenDecoder adds the
    position of the first column to all of them, so what is missing to each one's own is added here.
    """
    import torch

    inner = decoder.model.decoder
    width, length = inner.config.hidden_size, grid.shape[2]
    total = sum(table(grid[:, k]) for k, table in enumerate(inner.embed_tokens))  # (B, L, D)
    table = inner.embed_positions
    if begin + length > len(table.weights):
        table.make_weights(begin + length, width)
    places = table.weights[begin : begin + length] - table.weights[begin]
    bpm = torch.as_tensor(tempos, dtype=torch.float32)[:, None, None]  # (B, 1, 1)
    beats = (torch.arange(begin, begin + length)[:, None] - 1) / frame_rate * bpm / 60  # column 1 is time 0
    rates = torch.tensor([4.0, 3.0, 2.0, 1.0, 1.0, 1 / 2, 1 / 3, 1 / 4]).repeat_interleave(-(-width // 16))
    angles = 2 * torch.pi * beats * rates[: width // 2]
    waves = torch.cat([angles.cos(), angles.sin()], 2) * (bpm > 0)
    return total + places + 0.7 * waves


class MusicLM:
    """The network, its tokenizer and the codec inside it. `delays`: how many columns each codebook is shifted right."""

    def __init__(self, model: Any, tokenizer: Any, whole_words: bool = True):
        self.model, self.tokenizer, self.whole_words = model, tokenizer, whole_words
        self.codec = Codec(model.audio_encoder)
        config = model.decoder.config
        self.codebooks, self.size, self.pad = config.num_codebooks, config.vocab_size, config.pad_token_id
        self.channels = config.audio_channels
        self.delays = [k // self.channels for k in range(self.codebooks)]
        self.shows_attention = config._attn_implementation == "eager"
        self.melodic = False  # takes a melody; its states stand before the tokens, see melody_lm

    def condition(self, prompt: str) -> tuple[torch.Tensor, list[str], list[str]]:
        """Prompt -> (states (1, words, D), the words, those that the tokenizer does not know)."""
        import torch

        if self.whole_words:
            prompt = " ".join(re.findall(r"[^\W_]+|,", prompt.lower())) or ","
        tokens = self.tokenizer(prompt, return_tensors="pt")
        states = self.model.text_encoder(input_ids=tokens.input_ids).last_hidden_state  # (1, W, E)
        if hasattr(self.model, "enc_to_dec_proj"):
            states = self.model.enc_to_dec_proj(states)
        words = self.tokenizer.convert_ids_to_tokens(tokens.input_ids[0].tolist())
        unknown = []
        if self.whole_words:
            known = set(self.tokenizer.get_vocab())
            unknown = [w for w in prompt.split() if w not in known]
        return torch.as_tensor(states), words, unknown

    def with_empty(self, states: torch.Tensor, melody: np.ndarray | None, guided: bool) -> torch.Tensor:
        """States (1, W, D) -> (2, W, D) when guided: the second row has no caption. melody: mono at the codec's rate."""
        import torch

        return torch.cat([states, torch.zeros_like(states)]) if guided else states

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """(K, T) -> (samples, channels) float32."""
        rows = [codes[c :: self.channels] for c in range(self.channels)]
        return np.stack([self.codec.decode(r, scale=True) for r in rows], 1)

    def encode(self, wave: np.ndarray) -> np.ndarray:
        """(samples,) mono -> (K, T); a stereo model hears it on both sides."""
        return self.codec.encode(wave)[: self.codebooks // self.channels].repeat(self.channels, 0)


def load(card: Card, device: str) -> MusicLM:
    """Ours, from the model's folder."""
    return read_checkpoint(str(card.folder), local=True, ours=True)


def read_checkpoint(where: str, local: bool, ours: bool) -> MusicLM:
    """A MusicGen or MusicGen melody checkpoint from a folder or a hub id: safetensors only, no remote code, float32 in memory.

    Small ones (width up to 256) compute attention in the open, so that it can be shown. Raises Unavailable.
    """
    import torch
    import transformers

    try:
        config: Any = transformers.AutoConfig.from_pretrained(where, local_files_only=local)
        melodic = config.model_type == "musicgen_melody"
        name = "MusicgenMelodyForConditionalGeneration" if melodic else "MusicgenForConditionalGeneration"
        kind = "eager" if config.decoder.hidden_size <= 256 else "sdpa"
        model = getattr(transformers, name).from_pretrained(
            where, dtype=torch.float32, attn_implementation=kind, local_files_only=local, use_safetensors=True
        )
        tokenizer: Any = transformers.AutoTokenizer.from_pretrained(where, local_files_only=local)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0][:100]
        raise Unavailable(f"“{where[:80]}” cannot be loaded ({reason}); check its name and the network.") from error
    if melodic:
        from core.audio.melody_lm import MelodyLM

        return MelodyLM(model.eval(), tokenizer, where)
    return MusicLM(model.eval(), tokenizer, whole_words=ours)


@dataclass(frozen=True)
class GenerateRequest(Request):
    """Music or an effect from a caption, or the continuation of a clip."""

    PIPELINE = "core.audio.music_lm"

    model: str = "music-lm"
    prompt: str = text(
        EXAMPLES[0], 300, help="A caption of music or of a sound effect; the card lists the words it knows."
    )
    source: str = text(
        "", 200, help="Full size: the hub id or local folder of any MusicGen checkpoint; empty for ours."
    )
    seconds: float = number(4.0, 0.5, 30.0, help="Length of the new part. Ours was trained on 4 s.", step=0.5)
    seed: int = seed_field()
    guidance_scale: float = number(
        2.0, 0.0, 10.0, help="How much further than without a caption: u + s (c - u). 1 is off."
    )
    temperature: float = number(0.8, 0.1, 2.0, help="Below 1 takes likelier tokens, above 1 stranger ones.")
    top_k: int = integer(64, 0, 2048, help="Only the k likeliest tokens may be drawn; 0 allows all.")
    top_p: float = number(1.0, 0.05, 1.0, help="Only the likeliest tokens that make up this probability.")
    continuation: bytes = b""
    overlap: float = number(
        2.0, 0.2, 10.0, help="Seconds of the uploaded clip's end that the model hears first.", step=0.2
    )
    melody: str = text(
        "", 400, help="For a musicgen-melody checkpoint: the notes to follow, such as C5 D5 - E5; - is a rest."
    )
    note_seconds: float = number(0.5, 0.1, 2.0, help="How long each note or rest of the melody lasts.", step=0.1)
    hummed: bytes = b""
    inspect: bool = flag(True, help="Keep probabilities and attention for the language model view.")

    def models(self) -> tuple[str, ...]:
        return () if self.source.strip() else (self.model,)

    def work(self) -> float:
        """Seconds of sound, for the estimate of time."""
        return self.seconds

    def check(self) -> None:
        if not self.prompt.strip():
            raise BadRequest("The prompt is empty; describe some music or a sound, such as “a siren”.")
        if (self.melody.strip() or self.hummed) and not self.source.strip():
            raise BadRequest("Our own model takes words only; a melody is for a musicgen-melody checkpoint.")
        if self.melody.strip() and self.hummed:
            raise BadRequest("There are two melodies, a written one and a clip; take one of them away.")
        if self.melody.strip() and not any(pitch.read(self.melody)):
            raise BadRequest("The melody has rests only; give it a note.")


def tune_of(request: GenerateRequest, rate: int) -> np.ndarray | None:
    """The request's melody as mono sound at `rate`: the hummed clip, or the notes on a flute. None: there is none."""
    if request.hummed:
        return upload.decode(request.hummed, rate)
    keys = pitch.read(request.melody)
    return dsp.resample(pitch.played(keys, request.note_seconds), dsp.SAMPLE_RATE, rate) if keys else None


def sample(logits: np.ndarray, request: Any, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(K, V) logits (-inf: forbidden) -> ((K,) drawn tokens, (K, V) probabilities after the request's temperature, top_k
    and top_p)."""
    scaled = logits.astype(np.float64) / request.temperature
    if 0 < request.top_k < scaled.shape[1]:
        floor = np.partition(scaled, -request.top_k, axis=1)[:, -request.top_k, None]
        scaled = np.where(scaled < floor, -np.inf, scaled)
    p = np.exp(scaled - scaled.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    if request.top_p < 1:
        order = np.argsort(-p, axis=1)
        ranked = np.take_along_axis(p, order, 1)
        keep = np.cumsum(ranked, 1) - ranked < request.top_p  # the first always stays
        np.put_along_axis(p, order, ranked * keep, 1)
        p /= p.sum(1, keepdims=True)
    draws = rng.random(len(p))  # one a codebook, drawn every step: results do not depend on what is known already
    tokens = np.minimum((np.cumsum(p, 1) < draws[:, None]).sum(1), p.shape[1] - 1)
    return tokens, p


def generate(request: GenerateRequest, control: Control, lm: MusicLM | None = None) -> Iterator[Step | Result]:
    """Yields a step a frame (data: codes so far; the sound so far, renewed once a second), then an AudioResult.
    extras: codes (K, T), prompt_frames, delays, grid (K, columns), words, unknown_words, kilobits, frame_rate, size and
    with `inspect` top_tokens and top_probabilities (K, T, 8), entropy (K, T) bits, attention (T, words)."""
    import torch
    from transformers.cache_utils import DynamicCache, EncoderDecoderCache

    if lm is None:
        from core.audio.full_size import open_model

        yield Step("load", note=request.source[:60])
        lm = open_model(request.source.strip())
    codec, k = lm.codec, lm.codebooks
    tune = tune_of(request, codec.sample_rate)
    if tune is not None and not lm.melodic:
        raise BadRequest("This checkpoint takes words only; a melody needs one like facebook/musicgen-melody.")
    delays = np.asarray(lm.delays)
    # 1. The clip to go on from, as tokens
    heard = np.zeros((k, 0), np.int64)
    before = np.zeros(0, np.float32)
    if request.continuation:
        before = upload.decode(request.continuation, codec.sample_rate)
        heard = lm.encode(before[-int(request.overlap * codec.sample_rate) :])
    p = heard.shape[1]
    new = max(1, round(request.seconds * codec.frame_rate))
    t = p + new
    # 2. The grid of the delay pattern: column 0 is the start token, codebook k is `delays[k]` columns late
    columns = t + int(delays.max()) + 1
    grid = np.full((k, columns), lm.pad, np.int64)  # (K, columns)
    for i, d in enumerate(delays):
        grid[i, 1 + d : 1 + d + p] = heard[i]
    # 3. The caption; the second row of the batch has none
    guided = request.guidance_scale != 1.0
    inspect = request.inspect
    rng = np.random.default_rng(request.seed)
    view: dict[str, list[np.ndarray]] = {"top": [], "probability": [], "entropy": [], "attention": []}
    tempo = tempo_of(request.prompt) if lm.whole_words and not p else None  # a clip's own beat is not known
    tempos = [float(np.sqrt(tempo[0] * tempo[1])) if tempo else 0.0, 0.0][: 1 + guided]
    with torch.inference_mode():
        states, words, unknown = lm.condition(request.prompt)
        states = lm.with_empty(states, tune, guided)  # (1 or 2, W, D)
        config = lm.model.decoder.config
        cache = EncoderDecoderCache(DynamicCache(config=config), DynamicCache(config=config))
        begin, calls, done = 0, 0, 0
        sound: np.ndarray | None = None
        # 4. Column after column
        for c in range(p + 1, columns):
            fresh = torch.from_numpy(grid[:, begin:c].copy())
            if lm.whole_words:
                seen = fresh.repeat(len(states), 1, 1)  # (B, K, c - begin)
                given = {"inputs_embeds": embedded(lm.model.decoder, seen, tempos, begin, codec.frame_rate)}
            else:
                given = {"input_ids": fresh.repeat(len(states), 1)}  # (B * K, c - begin)
            out = lm.model.decoder(
                **given,
                encoder_hidden_states=None if lm.melodic and begin else states,
                past_key_values=cache,
                use_cache=True,
                output_attentions=inspect and lm.shows_attention,
            )
            begin, calls = c, calls + 1
            logits = out.logits[:, -1].view(len(states), k, -1).float()  # (B, K, V)
            mixed = logits[0] if not guided else logits[1] + request.guidance_scale * (logits[0] - logits[1])
            tokens, probabilities = sample(mixed.numpy(), request, rng)
            frame = c - 1 - delays  # the frame that each codebook writes here
            grid[:, c] = np.where(frame < p, grid[:, c], np.where(frame < t, tokens, lm.pad))
            if inspect:
                order = np.argsort(-probabilities, 1)[:, :TOP]
                view["top"].append(order)
                view["probability"].append(np.take_along_axis(probabilities, order, 1))
                view["entropy"].append(-(probabilities * np.log2(probabilities + 1e-12)).sum(1))
                if lm.shows_attention:
                    view["attention"].append(np.mean([a[0, :, -1].mean(0).numpy() for a in out.cross_attentions], 0))
            done = int(np.clip(c - 1 - delays.max() + 1, 0, t))  # frames with all codebooks
            second = round(codec.frame_rate)
            ready = done > p and (done - p) % second == 0 and done < t
            if ready:
                sound = lm.decode(_codes(grid, delays, done)).mean(1)
            live = {"grid": grid[:, : c + 1], "size": lm.size, "sound": sound, "rate": codec.sample_rate}
            yield Step("generate", max(0, done - p), new, data=live)
            if control.stopped:
                break
        # 5. Back to sound, after the clip that was heard
        codes = _codes(grid, delays, max(done, 1))
        wave = lm.decode(codes)
    if len(before):
        skipped = before[: max(0, len(before) - p * codec.hop)]
        wave = np.concatenate([np.repeat(skipped[:, None], wave.shape[1], 1), wave])
    extras: dict[str, Any] = {
        "codes": codes,
        "prompt_frames": p,
        "delays": delays.tolist(),
        "grid": grid,
        "words": words,
        "unknown_words": unknown,
        "kilobits": codec.kilobits,
        "frame_rate": codec.frame_rate,
        "size": lm.size,
        "heard_seconds": len(before) / codec.sample_rate,
    }
    if inspect:
        extras |= _view(view, delays, done - p, p)
    yield AudioResult(
        request,
        steps_run=calls,
        model_calls=calls,
        complete=done >= t,
        waveform=wave.astype(np.float32),
        sample_rate=codec.sample_rate,
        seeds=[request.seed],
        extras=extras,
    )


def _codes(grid: np.ndarray, delays: np.ndarray, frames: int) -> np.ndarray:
    """The delay pattern undone: (K, columns) -> (K, frames)."""
    return np.stack([grid[i, 1 + d : 1 + d + frames] for i, d in enumerate(delays)])


def _view(view: dict[str, list[np.ndarray]], delays: np.ndarray, frames: int, p: int) -> dict[str, np.ndarray]:
    """Per step -> per frame: codebook i of new frame f was drawn in step f + delays[i]."""
    frames = max(frames, 0)

    def align(name: str) -> np.ndarray:
        steps = np.stack(view[name])  # (steps, K, ...)
        return np.stack([steps[d : d + frames, i] for i, d in enumerate(delays)])  # (K, frames, ...)

    return {
        "top_tokens": align("top"),
        "top_probabilities": align("probability").astype(np.float32),
        "entropy": align("entropy").astype(np.float32),
        "attention": np.asarray(view["attention"], np.float32)[:frames],
    }
