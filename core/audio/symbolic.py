"""The symbolic music transformer: caption (and a melody, if given) -> score tokens, as music21 or a DAW would read them.

A stock LlamaForCausalLM over caption words and score tokens (core.audio.score). A grammar masks what cannot follow, so
every piece is a score. Sound is made by a small synthesiser of ours, not by the network.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from core.audio import pitch, score
from core.audio.music_lm import sample
from core.errors import BadRequest, Unavailable
from core.request import Request, integer, number, seed_field, text
from core.result import AudioResult, Result, Step

if TYPE_CHECKING:
    from core.catalog import Card
    from core.pipeline import Control

WINDOW = 330  # tokens: when so many are open, the older half of the beats is forgotten
EXAMPLES = (
    "a fast happy rock piece in C major with guitar lead with drums at 150 bpm",
    "sad ambient music played on piano , slow tempo , without drums",
    "a medium happy waltz piece in G major with violin lead without drums at 104 bpm",
    "trumpet and drums , fast jazz , minor key",
)


class Composer:
    """The network and its vocabulary."""

    def __init__(self, model: Any, vocabulary: list[str]):
        self.model, self.vocabulary = model, vocabulary
        self.number = {t: i for i, t in enumerate(vocabulary)}

    def prefix(self, prompt: str) -> tuple[list[int], list[str]]:
        """Caption -> (<start> words <score>, the words that the network never read)."""
        words = re.findall(r"[^\W_]+|,", prompt.lower())
        unknown = [w for w in words if w not in self.number]
        ids = [self.number.get(w, self.number["<unk>"]) for w in words]
        return [self.number["<start>"], *ids, self.number["<score>"]], unknown


def load(card: Card, device: str) -> Composer:
    """From assets/models/symbolic-music: the network and vocabulary.json. Raises Unavailable."""
    import torch
    from transformers import LlamaForCausalLM

    try:
        words = json.loads((card.folder / "vocabulary.json").read_text())
        model = LlamaForCausalLM.from_pretrained(card.folder, dtype=torch.float32, local_files_only=True)
    except (OSError, ValueError) as error:
        raise Unavailable(f"{card.title} cannot be read ({str(error).splitlines()[0][:100]}).") from error
    return Composer(model.eval(), words)


@dataclass(frozen=True)
class ScoreRequest(Request):
    """A piece of music as a score, from a caption."""

    PIPELINE = "core.audio.symbolic"
    top_p: ClassVar[float] = 1.0  # for `sample`: all that top_k leaves

    model: str = "symbolic-music"
    prompt: str = text(EXAMPLES[0], 300, help="Genre, mood, key, lead instrument, drums, tempo.")
    seconds: float = number(16.0, 2.0, 60.0, help="Length; it was taught pieces in windows of 8 bars.", step=1.0)
    melody: str = text(
        "", 400, help="Notes that the lead plays in turn, such as C5 D5 E5 G5, in a rhythm of its own; empty: its own."
    )
    seed: int = seed_field()
    temperature: float = number(0.9, 0.1, 2.0, help="Below 1 takes likelier notes, above 1 stranger ones.")
    top_k: int = integer(24, 0, 400, help="Only the k likeliest tokens may be drawn; 0 allows all.")

    def work(self) -> float:
        """Seconds of music, for the estimate of time."""
        return self.seconds

    def check(self) -> None:
        if not self.prompt.strip():
            raise BadRequest("The prompt is empty; describe some music, such as “slow sad piano”.")
        pitch.read(self.melody)


def generate(request: ScoreRequest, control: Control, composer: Composer) -> Iterator[Step | Result]:
    """Yields a step a beat, then an AudioResult. extras: tokens, notes, facts (the plan and beats), midi (bytes),
    unknown_words, tokens_a_second."""
    import torch
    from transformers.cache_utils import DynamicCache

    prefix, unknown = composer.prefix(request.prompt)
    melody = [key for key in pitch.read(request.melody) if key is not None]  # the rhythm, rests too, is the network's
    grammar, rng = score.Grammar(composer.vocabulary), np.random.default_rng(request.seed)
    tokens: list[str] = []
    ids, fresh = list(prefix), list(prefix)  # what the network has open; what it has not read yet
    head, tonic, beats, total, calls = list(prefix), "C", 0, 1, 0
    cache = DynamicCache(config=composer.model.config)
    with torch.inference_mode():
        while True:
            # 1. Probabilities, masked by the grammar
            out = composer.model(torch.tensor([fresh]), past_key_values=cache, use_cache=True)
            calls += 1
            logits = np.where(grammar.mask(), out.logits[0, -1].float().numpy(), -np.inf)
            token = int(sample(logits[None], request, rng)[0][0])
            # 2. A given melody takes the place of the lead's keys
            if melody and composer.vocabulary[token].startswith("lead:"):
                key = melody[sum(t.startswith("lead:") for t in tokens) % len(melody)]
                token = composer.number[f"lead:{key - score.TONICS[tonic]}"]
            word = composer.vocabulary[token]
            if word == "beat":
                if beats == total or control.stopped:
                    break
                beats += 1
                yield Step("compose", beats, total)
            grammar.push(word)
            tokens.append(word)
            ids.append(token)
            fresh = [token]
            if len(tokens) == len(score.PLAN):
                head, plan = list(ids), score.to_notes(tokens)[1]
                tonic, total = plan["tonic"], max(1, int(np.ceil(request.seconds * plan["tempo"] / 60)))
            # 3. The context slides: caption and header stay, the older half of the beats goes
            if len(ids) > len(head) + WINDOW and word == "beat":
                starts = [i for i, t in enumerate(ids) if i >= len(head) and composer.vocabulary[t] == "beat"]
                keep = next(
                    i
                    for i in starts[len(starts) // 2 :]
                    if (len(starts) - starts.index(i) - 1) % 12 == 0 or i == starts[-1]
                )
                ids = head + ids[keep:]
                fresh, cache = list(ids), DynamicCache(config=composer.model.config)
    notes, facts = score.to_notes(tokens)
    seconds = min(request.seconds, max(beats, 1) * 60 / facts["tempo"]) if beats < total else request.seconds
    wave = score.render(notes, facts, seconds)
    yield AudioResult(
        request,
        steps_run=beats,
        model_calls=calls,
        complete=beats >= total,
        waveform=wave[:, None],
        sample_rate=score.RATE,
        seeds=[request.seed],
        extras={
            "tokens": tokens,
            "notes": [n for n in notes if n[0] < seconds],
            "facts": facts,
            "midi": score.to_midi(notes, facts),
            "unknown_words": unknown,
        },
    )
