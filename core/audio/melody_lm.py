"""MusicGen melody: the caption and the melody's chroma stand before the tokens, where MusicGen attends across to the caption.

The chroma is taken from the clip itself (a hum, a line, a solo). For a whole song the authors separate voice and melody
with Demucs first, which is not installed here. Paper: section 2.3 of https://arxiv.org/abs/2306.05284
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.audio.music_lm import MusicLM

if TYPE_CHECKING:
    import torch


class MelodyLM(MusicLM):
    """The network, its tokenizer, its codec and how it takes the chroma."""

    def __init__(self, model: Any, tokenizer: Any, where: str):
        super().__init__(model, tokenizer, whole_words=False)
        self.melodic, self.shows_attention = True, False  # there is no attention to words alone
        self.settings = {"n_fft": 16_384, "hop_length": 4096, "num_chroma": model.config.num_chroma}
        path = Path(where).expanduser() / "preprocessor_config.json"
        if path.exists():
            said = json.loads(path.read_text(encoding="utf-8"))
            self.settings |= {name: said[name] for name in self.settings if name in said}

    def with_empty(self, states: torch.Tensor, melody: np.ndarray | None, guided: bool) -> torch.Tensor:
        """Caption (1, W, D) -> chroma and caption (1 or 2, C + W, D); the second row has neither. melody: mono samples."""
        import torch

        empty = torch.zeros(1, 1, self.settings["num_chroma"])
        empty[:, :, 0] = 1  # what it was trained to take for no melody
        tune = (
            empty if melody is None else torch.from_numpy(chroma(melody, self.codec.sample_rate, **self.settings))[None]
        )
        rows = [self._fitted(tune), self._fitted(empty)][: 1 + guided]
        words = [states, torch.zeros_like(states)][: 1 + guided]
        return torch.cat([torch.cat(rows), torch.cat(words)], 1)

    def _fitted(self, tune: torch.Tensor) -> torch.Tensor:
        """(1, frames, 12) -> (1, chroma_length, D): repeated or cut to the length that it was trained on."""
        length = self.model.config.chroma_length
        tune = tune.repeat(1, -(-length // tune.shape[1]), 1)[:, :length]
        return self.model.audio_enc_to_dec_proj(tune) if hasattr(self.model, "audio_enc_to_dec_proj") else tune


def chroma(
    wave: np.ndarray, rate: int, n_fft: int = 16_384, hop_length: int = 4096, num_chroma: int = 12
) -> np.ndarray:
    """Mono (samples,) at `rate` -> (frames, num_chroma) float32, 1 at the strongest pitch class of each frame, else 0.

    As MusicgenMelodyFeatureExtractor makes it, which needs torchaudio.
    """
    import torch
    from transformers.audio_utils import chroma_filter_bank

    filters = chroma_filter_bank(
        num_frequency_bins=n_fft, num_chroma=num_chroma, sampling_rate=rate, tuning=0
    )  # (12, n_fft / 2 + 1)
    lacking = max(0, n_fft - len(wave))
    sound = np.pad(np.asarray(wave, np.float32), (lacking // 2, lacking - lacking // 2))
    window = torch.hann_window(n_fft)
    spectrum = torch.stft(torch.from_numpy(sound), n_fft, hop_length, window=window, return_complex=True).abs() ** 2
    strongest = (filters @ spectrum.numpy()).argmax(0)  # (frames,)
    return np.eye(num_chroma, dtype=np.float32)[strongest]
