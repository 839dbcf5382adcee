"""The classifiers that say whether a sound follows its caption (core.audio.judges), trained on renders of their own.

    python -m training.sound_judges --minutes 2.5
    python -m training.sound_judges --measure

2,400 pieces of music (seed 99) and 1,200 single effects (seed 99): other tunes and other noises than the ones the
generators learn from (seeds 5 and 7). Ceilings are taken on the generators' held-out clips, real and through the codec.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from core import catalog
from core.audio import judges as ears
from training.loop import RUNS, Run, publish
from training.sound_data import EFFECTS, effect, load

FOLDER, STORE = Path("assets/models/sound-judges"), Path("runs/data/judges.npz")
NONE = -100


class Saved(ears.Judges):
    """Judges that know how to save themselves as `publish` asks."""

    def save_pretrained(self, folder: Path) -> None:
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps({"labels": self.labels}, indent=1) + "\n")
        save_file({k: v.contiguous() for k, v in self.state_dict().items()}, folder / "model.safetensors")


def labels() -> dict[str, list[str]]:
    from training.music_data import GENRES, LEADS

    return {
        "lead": list(LEADS),
        "drums": ["no", "yes"],
        "genre": list(GENRES),
        "mode": ["major", "minor"],
        "effect": sorted({kind for kind, _ in EFFECTS.values()}),
    }


def targets(record: dict, names: dict[str, list[str]]) -> list[int]:
    """lead, drums, genre, mode, effect, tempo as class numbers; NONE where the record has no such thing."""
    if record["kind"] == "effect":
        return [NONE] * 4 + [names["effect"].index(record["classes"][0]), NONE]
    tempo = int(np.abs(np.log(ears.TEMPOS / record["tempo"])).argmin())
    return [
        names["lead"].index(record["lead"]),
        int(record["drums"]),
        names["genre"].index(record["genre"]),
        names["mode"].index(record["mode"]),
        NONE,
        tempo,
    ]


def examples() -> dict[str, np.ndarray]:
    """mel (N, 1, 64, 250) float16, chroma (N, 6, 12), rhythm (N, 4, 160), y (N, 6); computed once."""
    if not STORE.exists():
        from training import music_data

        music, records = music_data.build(count=2400, heldout=0, seed=99)
        rng = np.random.default_rng(99)
        singles = [pair for pair in (effect(rng, False) for _ in range(1800)) if len(pair[1]["classes"]) == 1]
        waves = [m.astype(np.float32) / 32767 for m in music] + [w for w, _ in singles]
        seen = [ears.inputs(ears.clip_of(w)) for w in waves]
        rows = [targets(r, labels()) for r in [*records, *(r for _, r in singles)]]
        STORE.parent.mkdir(parents=True, exist_ok=True)
        np.savez(
            STORE,
            y=np.asarray(rows),
            **{k: np.stack([s[k] for s in seen]).astype(np.float16) for k in seen[0]},  # type: ignore[arg-type]
        )
    return dict(np.load(STORE))


def loss_of(model: ears.Judges, data: dict[str, np.ndarray], pick: np.ndarray, rng: np.random.Generator) -> Any:
    """Cross-entropies of a batch, with blur, gain, noise and bands taken away: generated sound is not clean."""
    mel = torch.from_numpy(data["mel"][pick].astype(np.float32))
    mel = mel + torch.from_numpy(rng.normal(0, 0.12, mel.shape).astype(np.float32)) * float(rng.random())
    if rng.random() < 0.3:
        mel = F.avg_pool2d(F.pad(mel, (1, 1, 1, 1), mode="replicate"), 3, 1)
    mel = mel + torch.from_numpy(rng.normal(0, 0.1, (len(pick), 1, 64, 1)).astype(np.float32))
    chroma = data["chroma"][pick].astype(np.float32)
    turns = rng.integers(12, size=len(pick))
    chroma = np.stack([np.roll(c, t, 1) for c, t in zip(chroma, turns, strict=True)])
    chroma = chroma + rng.normal(0, 0.2, chroma.shape).astype(np.float32)
    rhythm = data["rhythm"][pick].astype(np.float32)
    rhythm = rhythm + rng.normal(0, 0.03, rhythm.shape).astype(np.float32)
    out = model(mel, torch.from_numpy(chroma).float(), torch.from_numpy(rhythm).float())
    y = torch.from_numpy(data["y"][pick])
    names = ("lead", "drums", "genre", "mode", "effect", "tempo")
    return {n: F.cross_entropy(out[n], y[:, i], ignore_index=NONE) for i, n in enumerate(names)}


def measure() -> dict[str, Any]:
    """Accuracy on the generators' held-out clips, as they are and through the codec."""
    from core.runtime.models import lease

    with lease("sound-judges", "codec") as (judges, codec):

        def rate(waves: np.ndarray, records: list[dict]) -> dict[str, float]:
            rows = []
            for wave, r in zip(waves, records, strict=True):
                wanted = (
                    {"effect": r["classes"]}
                    if r["kind"] == "effect"
                    else {
                        "lead": r["lead"],
                        "drums": ["no", "yes"][r["drums"]],
                        "mode": r["mode"],
                        "genre": r["genre"],
                        "tempo": (r["tempo"], r["tempo"]),
                    }
                )
                rows.append(ears.agrees(judges.hear(wave), wanted))
            return {k: round(float(np.mean([row[k] for row in rows])), 3) for k in rows[0]}

        out: dict[str, Any] = {}
        for kind, split in (("music", "heldout"), ("effects", "train")):
            waves, records = load(kind, split=split)
            keep = [i for i, r in enumerate(records) if kind == "music" or len(r["classes"]) == 1][:120]
            out |= rate(waves[keep], [records[i] for i in keep])
            coded = np.stack([codec.decode(codec.encode(w)) for w in waves[keep[:60]]])
            out |= {f"{k}, through the codec": v for k, v in rate(coded, [records[i] for i in keep[:60]]).items()}
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.5)
    parser.add_argument("--device", default="cpu", choices=["cpu"])
    parser.add_argument("--measure", action="store_true")
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(), indent=1))
        return
    torch.manual_seed(0)
    data, model, batch = examples(), Saved(labels()), 48
    if (FOLDER / "model.safetensors").exists() and not (RUNS / "sound-judges" / "last.pt").exists():
        model.load_state_dict(ears.load(catalog.card("sound-judges"), "cpu").state_dict())  # warm start
    run = Run("sound-judges", model, options.minutes, lr=2e-3, batch=batch, ema=0.99, weight_decay=0.02)
    rng = np.random.default_rng(run.step)
    order = rng.permutation(len(data["y"]))
    train, check = order[:-240], order[-240:]
    for _ in run:
        losses = loss_of(model, data, rng.choice(train, batch), rng)
        run.update(sum(losses.values()), **{k: v.item() for k, v in losses.items()})
    with torch.no_grad():
        held = loss_of(run.ema, data, check, np.random.default_rng(0))
    print("held out of training:", {k: round(float(v), 3) for k, v in held.items()})
    publish(FOLDER, _=run.ema)


if __name__ == "__main__":
    main()
