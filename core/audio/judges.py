"""Three small networks that hear what a caption asks for: lead, drums, genre and effect; major or minor; tempo.

They only measure: they were trained on renders of their own (training.sound_judges), which no generator has heard.
"""

from __future__ import annotations

import itertools
import json
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from core.audio.dsp import SAMPLE_RATE, log_mel, resample
from core.audio.music_lm import tempo_of

if TYPE_CHECKING:
    from core.catalog import Card

SECONDS = 4.0
LAGS = 160  # of 10 ms: a beat of 1.6 s is 37.5 BPM
TEMPOS = 60.0 * 1.03 ** np.arange(36)  # BPM, 60 to 169 in steps of 3 %


def clip_of(wave: np.ndarray, rate: int = SAMPLE_RATE) -> np.ndarray:
    """Any mono clip -> the first 4 s at 16 kHz at one loudness; a shorter one is repeated."""
    wave = resample(wave, rate, SAMPLE_RATE)
    wave = np.resize(wave, int(SECONDS * SAMPLE_RATE)) if len(wave) else np.zeros(int(SECONDS * SAMPLE_RATE))
    return (wave / max(1e-4, float(np.sqrt(np.mean(wave**2)))) * 0.1).astype(np.float32)


def inputs(clip: np.ndarray) -> dict[str, np.ndarray]:
    """(64000,) at 16 kHz -> mel (1, 64, 250), chroma (6, 12), rhythm (4, 160), all float32 around 0."""
    mel = np.maximum(log_mel(clip, 64, 1024, 256), -3)[:, :250]
    return {"mel": mel[None] + 1.0, "chroma": chromas(clip), "rhythm": rhythm(clip)}


def chromas(clip: np.ndarray) -> np.ndarray:
    """(6, 12): energy of the pitch classes, C first, in three registers (60 to 250, to 600, to 2400 Hz), over the whole
    clip and over its first 1.2 s: a piece begins on its tonic."""
    size = 8192
    frames = np.lib.stride_tricks.sliding_window_view(clip, size)[:: size // 8]
    power = np.abs(np.fft.rfft(frames * np.hanning(size))) ** 2
    hertz = np.fft.rfftfreq(size, 1 / SAMPLE_RATE)
    rows = []
    for part in (power, power[:12]):
        strength = np.sqrt(part.mean(0))
        for low, high in ((60, 250), (250, 600), (600, 2400)):
            keep = (hertz >= low) & (hertz < high)
            pitch = 12 * np.log2(hertz[keep] / 261.6256)
            near = np.exp(-0.5 * ((pitch - np.round(pitch)) / 0.25) ** 2)  # between two keys counts little
            rows.append(np.bincount(np.round(pitch).astype(int) % 12, strength[keep] * near, 12))
    out = np.stack(rows)
    return (out / np.maximum(out.sum(1, keepdims=True), 1e-9) * 12 - 1).astype(np.float32)


def rhythm(clip: np.ndarray) -> np.ndarray:
    """(4, 160): autocorrelation of onset strength in four bands at lags of 10 ms to 1.6 s, divided by lag 0."""
    mel = log_mel(clip, 40, 1024, 160)
    rise = np.maximum(np.diff(mel, axis=1), 0).reshape(4, 10, -1).mean(1)  # (4, frames)
    rise = rise - rise.mean(1, keepdims=True)
    size = 1 << int(np.ceil(np.log2(2 * rise.shape[1])))
    curve = np.fft.irfft(np.abs(np.fft.rfft(rise, size)) ** 2)[:, : LAGS + 1]
    return (curve[:, 1:] / np.maximum(curve[:, :1], 1e-6)).astype(np.float32)


class Judges(nn.Module):
    """labels: {"lead": [...], "drums": [...], "genre": [...], "effect": [...], "mode": [...]}."""

    def __init__(self, labels: dict[str, list[str]]):
        super().__init__()
        self.labels = labels
        widths = (1, 16, 32, 48, 64)
        self.mel = nn.Sequential(
            *(
                nn.Sequential(nn.Conv2d(a, b, 3, stride=2, padding=1), nn.BatchNorm2d(b), nn.ReLU())
                for a, b in itertools.pairwise(widths)
            )
        )
        # per band the mean and the largest over time: a bell is rare, rain is always
        self.heads = nn.ModuleDict(
            {n: nn.Linear(2 * 64 * 4, len(v)) for n, v in labels.items() if n not in ("mode", "tempo")}
        )
        self.chroma = nn.Conv1d(6, 48, 12)  # read around the circle: every key is the same shape turned
        self.mode = nn.Sequential(nn.ReLU(), nn.Linear(48, 2))
        self.rhythm = nn.Sequential(
            nn.Flatten(), nn.Dropout(0.2), nn.Linear(4 * LAGS, 96), nn.ReLU(), nn.Linear(96, len(TEMPOS))
        )

    def forward(self, mel: torch.Tensor, chroma: torch.Tensor, rhythm: torch.Tensor) -> dict[str, torch.Tensor]:
        """Batches of `inputs` -> logits by name, each (B, classes)."""
        x = self.mel(mel)  # (B, 64, 4, 16)
        pooled = torch.cat([x.mean(3), x.amax(3)], 1).flatten(1)  # (B, 512)
        out = {n: head(pooled) for n, head in self.heads.items()}
        turned = self.chroma(torch.cat([chroma, chroma[:, :, :11]], 2))  # (B, 48, 12)
        return out | {"mode": self.mode(F.relu(turned).amax(2)), "tempo": self.rhythm(rhythm)}

    @torch.no_grad()
    def hear(self, wave: np.ndarray, rate: int = SAMPLE_RATE) -> dict[str, Any]:
        """Mono (samples,) -> {"lead", "drums", "genre", "effect", "mode", "tempo"} and "sure": {name: probability}."""
        clip = clip_of(wave, rate)
        batch = {k: torch.from_numpy(v)[None] for k, v in inputs(clip).items()}
        p = {n: x[0].softmax(0).numpy() for n, x in self(**batch).items()}
        out: dict[str, Any] = {n: self.labels[n][int(p[n].argmax())] for n in self.labels}
        best = int(p["tempo"].argmax())
        near = slice(max(0, best - 1), best + 2)
        out["tempo"] = float(np.exp(np.average(np.log(TEMPOS[near]), weights=p["tempo"][near])))
        return out | {"sure": {n: float(x.max()) for n, x in p.items()}}


def asked(prompt: str, labels: dict[str, list[str]]) -> dict[str, Any]:
    """What the words of a caption ask for, by the judges' names; tempo as (low, high) BPM. Nothing said: not there."""
    text = prompt.lower()
    words = set(re.findall(r"[a-z]+", text))
    out: dict[str, Any] = {}
    for name in ("lead", "genre"):
        found = [v for v in labels[name] if v in words]
        if found:
            out[name] = found[0]
    for mode, signs in (("major", {"major", "happy"}), ("minor", {"minor", "sad"})):
        if signs & words:
            out["mode"] = mode
    if "drums" in words:
        out["drums"] = "no" if re.search(r"(without|no) drums", text) else "yes"
    if tempo := tempo_of(prompt):
        out["tempo"] = tempo
    effects = [v for v in labels["effect"] if re.search(rf"\b{v}(s|storm|ing|y)?\b", text)]
    return out | ({"effect": effects} if effects else {})


def agrees(heard: dict[str, Any], wanted: dict[str, Any]) -> dict[str, bool]:
    """Attribute by attribute; the tempo may be 8 % off."""
    out: dict[str, bool] = {n: heard[n] == wanted[n] for n in ("lead", "drums", "genre", "mode") if n in wanted}
    if "tempo" in wanted:
        low, high = wanted["tempo"]
        out["tempo within 8 %"] = 0.92 * low <= heard["tempo"] <= 1.08 * high
    if "effect" in wanted:
        out["effect"] = heard["effect"] in wanted["effect"]
    return out


def load(card: Card, device: str) -> Judges:
    """From assets/models/sound-judges: config.json and model.safetensors."""
    from safetensors.torch import load_file

    judges = Judges(json.loads((card.folder / "config.json").read_text())["labels"])
    judges.load_state_dict({k: v.float() for k, v in load_file(card.folder / "model.safetensors").items()})
    return judges.eval().requires_grad_(False)
