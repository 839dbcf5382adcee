"""The child process of core/audio/audiocraft.py: one JSON job in argv, JSON lines out, the sound in a .npy file."""

from __future__ import annotations

import json
import sys
import types
from typing import Any

from core.audio.audiocraft import PACKAGES


def _prepare() -> None:
    """Make audiocraft importable beside a current CPU torch.

    Its torchaudio is linked against CUDA; only the optional native extension is, and this stub says that it is absent.
    spacy only splits words, and only for the tiny debug network: a split at spaces stands in for it.
    """
    sys.path.insert(0, str(PACKAGES))
    extension: Any = types.ModuleType("torchaudio._extension")
    extension._IS_TORCHAUDIO_EXT_AVAILABLE = False
    extension._IS_ALIGN_AVAILABLE = False
    extension.fail_if_no_align = lambda function: function
    extension._check_cuda_version = lambda: None
    sys.modules["torchaudio._extension"] = extension
    spacy: Any = types.ModuleType("spacy")
    spacy.load = lambda name: _words
    sys.modules["spacy"] = spacy


def _words(text: str) -> list[types.SimpleNamespace]:
    """What audiocraft's white-space tokenizer reads of a spacy document."""
    return [types.SimpleNamespace(text=w, lemma_=w, is_stop=False, is_punct=False) for w in text.split()]


def main(job: dict[str, Any]) -> None:
    """Load, generate, save. Reports {"step", "total"} while it runs and {"sample_rate"} or {"error"} at the end."""
    _prepare()
    import numpy as np
    import torch
    from audiocraft import models
    from audiocraft.modules.transformer import set_efficient_attention_backend

    set_efficient_attention_backend("torch")
    torch.manual_seed(job["seed"])  # a process of its own: audiocraft takes no generator
    model = getattr(models, job["kind"]).get_pretrained(job["checkpoint"], device="cpu")
    settings = {"top_k": job["top_k"], "top_p": job["top_p"], "temperature": job["temperature"]}
    if job["kind"] == "MAGNeT":
        model.set_generation_params(**settings, max_cfg_coef=job["guidance_scale"])
    else:
        model.set_generation_params(**settings, duration=job["seconds"], cfg_coef=job["guidance_scale"])
    model.set_custom_progress_callback(
        lambda step, total: print(json.dumps({"step": step, "total": total}), flush=True)
    )
    sound = model.generate([job["prompt"]], progress=True)[0]  # (channels, samples)
    np.save(job["out"], sound.clamp(-1, 1).T.float().numpy())
    print(json.dumps({"sample_rate": model.sample_rate}), flush=True)


if __name__ == "__main__":
    try:
        main(json.loads(sys.argv[1]))
    except Exception as error:  # whatever it is, the parent needs one line
        first = str(error).splitlines()[0] if str(error) else "no details"
        print(json.dumps({"error": f"{type(error).__name__}: {first[:200]}"}), flush=True)
        sys.exit(1)
