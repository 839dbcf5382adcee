"""The symbolic music transformer: a stock LlamaForCausalLM at tiny size over caption words and score tokens.

    python -m training.symbolic --minutes 8
    python -m training.symbolic --measure

Pieces are composed by rule while it trains (training.music_data.compose), so none is seen twice; the held-out pairs of
genre and lead are never composed. A sample is the caption, the piece's plan and a window of whole bars, so the network
can go on for as long as one likes with a sliding context. The plan is six tokens of some hundreds, so as many tokens
again are captions with nothing but their plan: there it learns to read. No sound is involved.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F
from transformers import LlamaConfig, LlamaForCausalLM

from core.audio import score
from training.code_model import MuonAndAdam
from training.loop import RUNS, Run, autocast, publish
from training.music_data import SCALES, TONICS, compose, make_record

FOLDER, LENGTH, SECONDS = Path("assets/models/symbolic-music"), 384, 24.0
READ = 28  # tokens of a row that is only read: caption and plan


def words_of(count: int = 4000) -> list[str]:
    """Every word of the captions."""
    rng = np.random.default_rng(1)
    texts = [c for i in range(count) for c in make_record(rng, heldout=i % 8 == 0)["captions"]]
    return sorted({w for c in texts for w in c.lower().split()})


def build(vocabulary: list[str]) -> LlamaForCausalLM:
    """Width 128, 4 layers, 4 heads: about 0.9 M parameters."""
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(vocabulary),
            hidden_size=128,
            intermediate_size=384,
            num_hidden_layers=4,
            num_attention_heads=4,
            max_position_embeddings=1024,
            tie_word_embeddings=True,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=3,
        )
    )


def sample(
    number: dict[str, int], rng: np.random.Generator, heldout: bool = False, whole: bool = True
) -> tuple[list[int], int]:
    """(token numbers, how many of them are given: start and caption) of one piece, or of its plan alone."""
    record = make_record(rng, heldout)
    caption = str(rng.choice(record["captions"], p=(0.4, 0.2, 0.2, 0.2))).lower().split()  # the first says everything
    given, piece = ["<start>", *caption, "<score>"], score.header(record)
    if whole:
        beats = score.to_tokens(compose(record, rng, SECONDS), record["tempo"], record["tonic"])
        first = int(rng.integers(0, len(beats) // 2)) // record["metre"] * record["metre"]  # a bar line
        piece += [t for b in beats[first:] for t in b]
    return [number[t] for t in (given + piece)[:LENGTH]], len(given)


def batch_of(
    number: dict[str, int], rng: np.random.Generator, size: int, heldout: bool = False, whole: bool = True
) -> tuple[Any, Any]:
    """(ids (B, T), targets (B, T)): the caption itself is not predicted."""
    length = LENGTH if whole else READ
    ids, targets = np.zeros((size, length), np.int64), np.full((size, length), -100)
    for i in range(size):
        row, given = sample(number, rng, heldout, whole)
        ids[i, : len(row)] = row
        targets[i, given : len(row)] = row[given:]
    return torch.from_numpy(ids), torch.from_numpy(targets)


def loss_of(model: Any, ids: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Nats a score token."""
    with autocast():
        logits = model(ids[:, :-1]).logits.float()
    return F.cross_entropy(logits.flatten(0, 1), targets[:, 1:].flatten(), ignore_index=-100)


def judge(tokens: list[str], record: dict) -> dict[str, bool]:
    """What can be read off a score: exact, no listening involved."""
    notes, facts = score.to_notes(tokens)
    classes = np.bincount([(k - TONICS[record["tonic"]]) % 12 for _, _, c, k, _ in notes if c != 9], minlength=12)
    share = {mode: classes[list(keys)].sum() / max(classes.sum(), 1) for mode, keys in SCALES.items()}
    return {
        "tempo within 8 %": abs(facts["tempo"] / record["tempo"] - 1) < 0.08,
        "lead": facts["lead"] == record["lead"],
        "genre": facts["genre"] == record["genre"],
        "drums": any(c == 9 for _, _, c, *_ in notes) == record["drums"],
        "mode": share[record["mode"]] > share["minor" if record["mode"] == "major" else "major"],
        "19 of 20 notes in the asked key": share[record["mode"]] > 0.95,
    }


def measure(count: int = 60) -> dict[str, Any]:
    """Full captions of held-out pairs of genre and lead, 8 s each; the composed pieces beside them."""
    from core.audio.symbolic import ScoreRequest
    from core.pipeline import complete

    rng, rows, real, factors, wrong = np.random.default_rng(77), [], [], [], 0
    for i in range(count):
        record = make_record(rng, heldout=True)
        beats = score.to_tokens(compose(record, rng, 8.0), record["tempo"], record["tonic"])
        real.append(judge(score.header(record) + [t for b in beats for t in b], record))
        result: Any = complete(ScoreRequest(prompt=record["captions"][0], seed=i, seconds=8.0))
        rows.append(judge(result.extras["tokens"], record))
        factors.append(result.seconds / 8)
        wave = result.waveform[:, 0]
        wrong += len(wave) != 8 * result.sample_rate or np.abs(wave).max() < 0.01 or np.abs(wave).max() > 0.99
    out: dict[str, Any] = {k: round(float(np.mean([r[k] for r in rows])), 3) for k in rows[0]}
    return out | {
        "composed pieces, all attributes": round(float(np.mean([list(r.values()) for r in real])), 3),
        "pieces": count,
        "silent, clipped or wrong length": int(wrong),
        "median real-time factor": round(float(np.median(factors)), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--device", default="cpu", choices=["cpu"])
    parser.add_argument("--batch", type=int, default=5)
    parser.add_argument("--measure", action="store_true")
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(), indent=1))
        return
    torch.manual_seed(0)
    vocabulary = score.vocabulary(words_of())
    number, words = {t: i for i, t in enumerate(vocabulary)}, FOLDER / "vocabulary.json"
    model: Any = build(vocabulary)
    if not (RUNS / "symbolic" / "last.pt").exists() and words.exists() and json.loads(words.read_text()) == vocabulary:
        model = LlamaForCausalLM.from_pretrained(FOLDER, dtype=torch.float32)  # warm start
    rate = 3e-3
    run = Run(
        "symbolic", model, options.minutes, rate, batch=options.batch, ema=0.99, optimizer=MuonAndAdam(model, rate)
    )
    rng = np.random.default_rng(run.step)

    def save() -> None:
        with torch.no_grad():
            held = loss_of(run.ema, *batch_of(number, np.random.default_rng(3), 48, heldout=True))
            plan = loss_of(run.ema, *batch_of(number, np.random.default_rng(3), 96, heldout=True, whole=False))
        print(f"step {run.step} held-out nats a token {float(held):.3f}, of the plan {float(plan):.3f}", flush=True)
        publish(FOLDER, _=run.ema)
        words.write_text(json.dumps(vocabulary) + "\n")

    for _ in run:
        piece = loss_of(run.model, *batch_of(number, rng, options.batch))
        plan = loss_of(run.model, *batch_of(number, rng, 6 * options.batch, whole=False))
        run.update(piece + plan, piece=piece.item(), plan=plan.item())
        if run.due("publish", 2.0):
            save()
    save()


if __name__ == "__main__":
    main()
