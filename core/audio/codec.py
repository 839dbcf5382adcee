"""The neural codec: sound -> K x T tokens -> sound, and what one can do to the tokens.

EnCodec, https://arxiv.org/abs/2210.13438.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from core.audio import dsp, upload
from core.errors import BadRequest
from core.request import Request, choice, flag, integer, text
from core.result import AudioResult, Result, Step

if TYPE_CHECKING:
    from core.catalog import Card
    from core.pipeline import Control

EDITS = ("none", "mute", "shift", "repeat", "reverse", "scramble", "splice")


class Codec:
    """A stock EncodecModel with plain arrays outside.

    Ours codes log-mel spectra (80 channels, 100 a second) and gets its phases back from `dsp.vocode`;
    those of the hub code waveforms (1 channel)."""

    def __init__(self, model: Any):
        self.model = model
        config = model.config
        self.spectral = config.audio_channels == dsp.CODEC_MELS
        step = dsp.CODEC_HOP if self.spectral else 1  # samples of one input column
        self.sample_rate = config.sampling_rate * step
        self.codebooks, self.size = int(config.num_quantizers), int(config.codebook_size)
        self.hop = config.hop_length * step  # samples a frame
        self.frame_rate = self.sample_rate / self.hop  # Hz

    @property
    def kilobits(self) -> float:
        """kbit/s with all codebooks."""
        return float(self.codebooks * np.log2(self.size) * self.frame_rate / 1000)

    def encode(self, wave: np.ndarray) -> np.ndarray:
        """(samples,) float32 in [-1, 1] -> codes (K, T) int64, T = ceil(samples / hop)."""
        import torch

        frames = -(-len(wave) // self.hop)
        padded = np.pad(np.asarray(wave, np.float32), (0, frames * self.hop - len(wave)))
        x = dsp.codec_features(padded) if self.spectral else padded[None]  # (C, columns)
        with torch.inference_mode():
            codes = self.model.quantizer.encode(self.model.encoder(torch.from_numpy(x)[None]))  # (K, 1, T)
        return codes[:, 0].numpy()

    def decode(self, codes: np.ndarray, n_codebooks: int | None = None, scale: bool = False) -> np.ndarray:
        """(K, T) codes -> (T * hop,) float32. `n_codebooks`: only the first n; a code of -1 is muted (adds nothing).

        What passes 1 is cut off, or with `scale` the whole sound is made softer, so that nothing is."""
        import torch

        with torch.inference_mode():
            ids = torch.from_numpy(np.ascontiguousarray(codes[: n_codebooks or len(codes)]))
            latent = torch.zeros(1, self.model.config.hidden_size, ids.shape[1])  # (1, D, T)
            for row, layer in zip(ids, self.model.quantizer.layers, strict=False):
                latent = latent + layer.decode(row.clamp_min(0)[None]) * (row >= 0)
            x = self.model.decoder(latent)[0].numpy()  # (C, columns)
        wave = dsp.vocode(x) if self.spectral else x[0]
        if scale:
            wave = wave * min(1.0, 0.98 / max(1e-6, float(np.abs(wave).max())))
        return np.clip(wave, -1, 1)[: codes.shape[1] * self.hop]


def load(card: Card, device: str) -> Codec:
    """From assets/models/codec: config.json and model.safetensors (fp16 on disk, fp32 in memory)."""
    import torch
    from transformers import EncodecModel

    return Codec(EncodecModel.from_pretrained(card.folder, dtype=torch.float32, local_files_only=True).eval())


@dataclass(frozen=True)
class CodecRequest(Request):
    """Encode a clip, edit its tokens, decode. `upload` wins over `clip`; `splice` takes its tail from `second`."""

    PIPELINE = "core.audio.codec"

    model: str = "codec"
    clip: str = text("music-1", 60, help="A held-out clip that ships with the app.")
    upload: bytes = b""
    n_codebooks: int = integer(6, 1, 6, help="How many of the residual codebooks reach the decoder.")
    edit: str = choice("none", EDITS, help="What to do to the tokens before decoding.")
    codebook: int = integer(0, 0, 6, help="The codebook that is edited; 0 means all of them.")
    start: int = integer(50, 0, 1499, help="First edited frame; one frame is 20 ms.")
    length: int = integer(50, 1, 1500, help="How many frames are edited.")
    amount: int = integer(25, -500, 500, help="Shift by so many frames, or repeat a piece of so many frames.")
    second: str = text("speech-1", 60, help="The clip whose tokens are spliced in.")
    tokens: str = text("", 600, help="Single tokens set by hand, codebook:frame=value, such as 1:40=17; -1 mutes one.")
    resynthesis: bool = flag(True, help="Also decode with 1, 2, 3 … codebooks for comparison.")
    seed: int = integer(0, 0, 2**32 - 1, help="Seed of the scramble.")

    def check(self) -> None:
        set_tokens(self.tokens)


def set_tokens(tokens: str) -> dict[tuple[int, int], int]:
    """ "1:40=17, 2:3=-1" -> {(codebook from 1, frame): value}. Raises BadRequest."""
    out = {}
    for part in filter(None, (p.strip() for p in tokens.split(","))):
        found = re.fullmatch(r"([1-6]):(\d{1,4})=(-1|\d{1,3})", part)
        if not found or int(found[3]) > 255:
            raise BadRequest(
                f"“{part[:20]}” sets no token; write codebook:frame=value, such as 1:40=17 (0 to 255, or -1)."
            )
        out[int(found[1]), int(found[2])] = int(found[3])
    return out


def written(tokens: dict[tuple[int, int], int]) -> str:
    """The inverse of `set_tokens`."""
    return ", ".join(f"{book}:{frame}={value}" for (book, frame), value in tokens.items())


def edit_codes(codes: np.ndarray, request: CodecRequest, other: np.ndarray | None = None) -> np.ndarray:
    """The edited copy of codes (K, T); -1 marks muted entries."""
    out, t = codes.copy(), codes.shape[1]
    rows = slice(None) if request.codebook == 0 else slice(request.codebook - 1, request.codebook)
    start = min(request.start, t - 1)
    part = slice(start, min(start + request.length, t))
    piece = codes[rows, part]  # (rows, n)
    if request.edit == "mute":
        out[rows, part] = -1
    elif request.edit == "shift":
        out[rows] = np.roll(codes[rows], request.amount, axis=1)
    elif request.edit == "repeat":
        loop = piece[:, : max(1, abs(request.amount))]
        out[rows, part] = np.tile(loop, (1, -(-piece.shape[1] // loop.shape[1])))[:, : piece.shape[1]]
    elif request.edit == "reverse":
        out[rows, part] = piece[:, ::-1]
    elif request.edit == "scramble":
        order = np.random.default_rng(request.seed).permutation(piece.shape[1])
        out[rows, part] = piece[:, order]
    elif request.edit == "splice" and other is not None:
        n = min(part.stop - start, other.shape[1])
        out[rows, start : start + n] = other[rows, :n]
    for (book, frame), value in set_tokens(request.tokens).items():
        if book <= len(out) and frame < t:
            out[book - 1, frame] = value
    return out


def generate(request: CodecRequest, control: Control, codec: Codec) -> Iterator[Step | Result]:
    """Yields one step a stage, then an AudioResult. extras: codes, edited (K, T); original (samples,);
    reconstructions [(samples,) for 1..K codebooks]; mel_distances; kilobits; frame_rate."""
    if request.codebook > codec.codebooks or request.n_codebooks > codec.codebooks:
        raise BadRequest(f"This codec has {codec.codebooks} codebooks; choose at most that many.")
    # 1. The sound
    rate = codec.sample_rate
    wave = upload.decode(request.upload, rate) if request.upload else upload.read_clip(request.clip, rate)
    # 2. Its tokens
    codes = codec.encode(wave)
    yield Step("encode", 1, 3, data={"codes": codes})
    other = codec.encode(upload.read_clip(request.second, rate)) if request.edit == "splice" else None
    edited = edit_codes(codes, request, other)
    # 3. Back to sound
    out = codec.decode(edited, request.n_codebooks)[: len(wave)]
    yield Step("decode", 2, 3)
    calls, versions = 2 + (other is not None), []
    if request.resynthesis:
        for n in range(1, codec.codebooks + 1):
            if control.stopped:
                break
            versions.append(codec.decode(codes, n)[: len(wave)])
            calls += 1
    yield Step("compare", 3, 3)
    yield AudioResult(
        request,
        steps_run=3,
        model_calls=calls,
        waveform=out[:, None],
        sample_rate=rate,
        seeds=[request.seed],
        extras={
            "codes": codes,
            "edited": edited,
            "original": wave,
            "reconstructions": versions,
            "mel_distances": [dsp.mel_distance(wave, v, rate) for v in versions],
            "kilobits": codec.kilobits,
            "frame_rate": codec.frame_rate,
            "size": codec.size,
        },
    )
