"""Full-size sound checkpoints: AudioLDM, AudioLDM2, MusicLDM and Stable Audio through diffusers; Bark, VITS (MMS) and
SpeechT5 and Dia through transformers; Kokoro through onnxruntime. MusicGen runs in our own loop (core.audio.music_lm) and AudioGen and MAGNeT in audiocraft's.

By local folder (a hub id is looked at and brought here by core.runtime.hub). Safetensors only, no code from the
checkpoint, one model in memory at a time; the size is judged before anything is loaded.
"""

from __future__ import annotations

import inspect
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from core.audio import dsp
from core.errors import BadRequest, Unavailable, first_line
from core.request import Request, integer, number, seed_field, text
from core.result import AudioResult, Result, Step
from core.runtime.aside import aside
from core.runtime.shelf import Shelf, needed_mb

if TYPE_CHECKING:
    from core.pipeline import Control

PIPELINES = ("AudioLDMPipeline", "AudioLDM2Pipeline", "MusicLDMPipeline", "StableAudioPipeline")
SPEAKERS = ("vits", "bark", "speecht5", "dia", "style_text_to_speech_2")  # the last is Kokoro
KINDS = (*PIPELINES, *SPEAKERS, "musicgen", "musicgen_melody")  # what the page lets through
shelf = Shelf()


@dataclass(frozen=True)
class FullSoundRequest(Request):
    """Music, an effect or speech from a full-size checkpoint; what kind it is, the folder says itself."""

    PIPELINE: ClassVar[str] = "core.audio.full_sound"

    folder: str = text("", 1000, help="A folder with model_index.json or config.json.")
    prompt: str = text("", 2000, help="What should be heard; for a voice, what it says.")
    seconds: float = number(5.0, 0.5, 47.0, step=0.5, help="Length, for diffusion models; voices take their own time.")
    num_inference_steps: int = integer(50, 1, 200)
    guidance_scale: float = number(-1.0, -1.0, 20.0, help="-1: what the pipeline takes by itself.")
    seed: int = seed_field()

    def check(self) -> None:
        if not self.prompt.strip():
            raise BadRequest("The prompt is empty; say what should be heard.")

    def models(self) -> tuple[str, ...]:
        return ()

    def work(self) -> float:
        """Steps, for the estimate of time."""
        return self.num_inference_steps / 50


def kind_of(folder: Path) -> str:
    """The pipeline's class or the model_type. Raises Unavailable."""
    for name, key in (("model_index.json", "_class_name"), ("config.json", "model_type")):
        try:
            return str(json.loads((folder / name).read_text(encoding="utf-8")).get(key, ""))
        except FileNotFoundError:
            continue
        except (OSError, ValueError):
            break
    raise Unavailable(f"“{folder.name[:80]}” holds no readable model_index.json or config.json; give a whole folder.")


def open_model(source: str) -> tuple[str, Any]:
    """(kind, what runs it), loaded once and held until another is asked for. Raises in one sentence."""
    folder = Path(source).expanduser()
    kind = kind_of(folder)
    if kind not in (*PIPELINES, *SPEAKERS):
        raise BadRequest(f"“{folder.name[:80]}” is a {kind[:40]}; this page runs {', '.join(KINDS)}.")
    return kind, shelf.take(source, lambda: needed_mb(folder), lambda: _open(folder, kind))


def _open(folder: Path, kind: str) -> Any:
    """A diffusers pipeline, or (model, tokenizer or processor) of a voice."""
    import torch
    import transformers

    if kind in PIPELINES:
        from diffusers import DiffusionPipeline

        absent, noisy = _absent(folder)
        pipe = DiffusionPipeline.from_pretrained(
            str(folder), torch_dtype=torch.float32, local_files_only=True, use_safetensors=True, **absent
        )
        if noisy:  # Stable Audio's solver adds noise by torchsde; the same solver runs without noise
            from diffusers import EDMDPMSolverMultistepScheduler

            pipe.register_modules(scheduler=EDMDPMSolverMultistepScheduler.from_pretrained(str(folder / "scheduler")))
        pipe.set_progress_bar_config(disable=True)
        return pipe
    if kind == "style_text_to_speech_2":
        return _open_kokoro(folder)
    name = {
        "vits": "VitsModel",
        "bark": "BarkModel",
        "speecht5": "SpeechT5ForTextToSpeech",
        "dia": "DiaForConditionalGeneration",
    }[kind]
    model = getattr(transformers, name).from_pretrained(
        folder, dtype=torch.float32, local_files_only=True, use_safetensors=True
    )
    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    if kind == "dia":
        if not (folder / "dac").is_dir():
            raise Unavailable("Dia's codec is a checkpoint of its own; put descript/dac_44khz into the folder's “dac”.")
        codec = transformers.DacModel.from_pretrained(folder / "dac", dtype=torch.float32, local_files_only=True)
        ears = transformers.AutoFeatureExtractor.from_pretrained(folder, local_files_only=True)
        tokenizer = transformers.DiaProcessor(ears, tokenizer, audio_tokenizer=codec.eval())
    return model.eval(), tokenizer


def _open_kokoro(folder: Path) -> tuple[Any, dict[str, np.ndarray]]:
    """(session, voices by name, each (lengths, 1, 256)): onnx/*.onnx and voices/*.bin, as in onnx-community/Kokoro-82M."""
    import onnxruntime

    graphs = sorted(folder.glob("onnx/*.onnx"), key=lambda f: f.stat().st_size) or sorted(folder.glob("*.onnx"))
    voices = {f.stem: np.fromfile(f, "<f4").reshape(-1, 1, 256) for f in sorted(folder.glob("voices/*.bin"))}
    if not graphs or not voices:
        raise Unavailable("Kokoro's folder needs onnx/*.onnx and voices/*.bin; give the whole folder.")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(graphs[0], options, providers=["CPUExecutionProvider"]), voices


def _absent(folder: Path) -> tuple[dict[str, None], bool]:
    """(parts that the checkpoint leaves out, whether its solver needs the package torchsde, which is not installed).

    Raises BadRequest when a part wants code that is not diffusers' own."""
    from importlib.util import find_spec

    index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    specs = {name: spec for name, spec in index.items() if isinstance(spec, list)}
    for name, spec in specs.items():
        if spec[0] not in (None, "diffusers", "transformers", "stable_audio", "audioldm2"):  # the last: diffusers' own
            raise BadRequest(f"{name} of “{folder.name}” comes from {spec[0]}, whose code is not run here.")
    noisy = specs.get("scheduler", ["", ""])[1] == "CosineDPMSolverMultistepScheduler" and not find_spec("torchsde")
    absent = {name: None for name, spec in specs.items() if spec[0] is None}
    return absent | ({"scheduler": None} if noisy else {}), noisy


def generate(request: FullSoundRequest, control: Control) -> Iterator[Step | Result]:
    """A Step a denoising step (diffusion) or one for the whole (voices), then an AudioResult."""
    import torch

    yield Step("load", note=Path(request.folder).name)
    kind, held = open_model(request.folder)
    started = time.perf_counter()
    steps = 0
    wave, rate = np.zeros((0, 1), np.float32), dsp.SAMPLE_RATE
    try:
        if kind in PIPELINES:
            for item in _denoise(held, request, control):
                if isinstance(item, int):
                    steps = item
                    yield Step("denoise", item, request.num_inference_steps)
                else:
                    wave, rate = item
        else:
            yield Step("speak", 0, 1, note="one pass; Stop takes effect at its end")
            with torch.inference_mode(), torch.random.fork_rng(devices=[]):
                torch.manual_seed(request.seed)  # these models take no generator
                wave, rate = VOICES[kind](held[0], held[1], request)
            steps = 1
    except (ValueError, RuntimeError, TypeError, IndexError) as error:
        raise BadRequest(
            f"This {kind} refused these settings ({first_line(error)}); change them and run again."
        ) from error
    if not len(wave):
        raise Unavailable("Stopped before there was any sound.")
    loudest = float(np.abs(wave).max())
    yield AudioResult(
        request,
        steps_run=steps,
        model_calls=steps,
        complete=not control.stopped,
        seconds=time.perf_counter() - started,
        waveform=(wave / max(1.0, loudest / 0.98)).astype(np.float32),
        sample_rate=rate,
        seeds=[request.seed],
        extras={"kind": kind},
    )


def _denoise(pipe: Any, request: FullSoundRequest, control: Control) -> Iterator[int | tuple[np.ndarray, int]]:
    """The pipeline on a thread of its own: step numbers, then ((samples, channels), rate). Stop ends it within a step."""
    import torch

    accepted = inspect.signature(pipe.__call__).parameters
    options: dict[str, Any] = {
        "prompt": request.prompt,
        "num_inference_steps": request.num_inference_steps,
        "generator": torch.Generator("cpu").manual_seed(request.seed),
        "output_type": "np",
    }
    options["audio_end_in_s" if "audio_end_in_s" in accepted else "audio_length_in_s"] = request.seconds
    if request.guidance_scale >= 0:
        options["guidance_scale"] = request.guidance_scale

    def work(put: Callable[[Any], None]) -> None:
        def each(index: int, _time: Any, _latents: Any) -> None:
            put(index + 1)
            if control.stopped:
                raise InterruptedError

        try:
            sound = np.asarray(pipe(**options, callback=each, callback_steps=1).audios[0], np.float32)
        except InterruptedError:
            sound = np.zeros(0, np.float32)
        put(sound[:, None] if sound.ndim == 1 else sound.T if sound.shape[0] < sound.shape[1] else sound)

    try:
        for item in aside(work, "lab-full-sound"):
            yield item if isinstance(item, int) else (item, _rate(pipe))
    except Exception as error:  # whatever the pipeline raises; the caller makes a sentence of it
        raise ValueError(str(error)) from error


def _rate(pipe: Any) -> int:
    """Samples a second of what the pipeline gives: its vocoder's, or its autoencoder's."""
    vocoder = getattr(pipe, "vocoder", None)
    return int(vocoder.config.sampling_rate if vocoder is not None else pipe.vae.sampling_rate)


Voice = Callable[[Any, Any, FullSoundRequest], tuple[np.ndarray, int]]


def _vits(model: Any, tokenizer: Any, request: FullSoundRequest) -> tuple[np.ndarray, int]:
    words = tokenizer(request.prompt, return_tensors="pt")
    if words.input_ids.shape[1] < 2:
        raise ValueError("it knows none of these letters")
    return model(**words).waveform[0].numpy()[:, None], int(model.config.sampling_rate)


def _bark(model: Any, tokenizer: Any, request: FullSoundRequest) -> tuple[np.ndarray, int]:
    words = tokenizer(
        request.prompt, return_tensors="pt", padding="max_length", truncation=True, max_length=256, add_special_tokens=False
    )  # fmt: skip
    sound = model.generate(input_ids=words.input_ids, attention_mask=words.attention_mask)
    return sound[0].float().numpy()[:, None], int(getattr(model.generation_config, "sample_rate", 24_000))


def _speecht5(model: Any, tokenizer: Any, request: FullSoundRequest) -> tuple[np.ndarray, int]:
    """A speaker drawn by the seed, and phases by Griffin-Lim: its vocoder is a checkpoint of its own."""
    import torch
    from transformers.audio_utils import mel_filter_bank

    speaker = torch.nn.functional.normalize(torch.randn(1, model.config.speaker_embedding_dim))
    words = tokenizer(request.prompt, return_tensors="pt")
    mel = model.generate_speech(words.input_ids, speaker).numpy().T  # (80, frames) log10, 16 ms a frame
    filters = mel_filter_bank(513, 80, 80, 7600, 16_000, norm="slaney", mel_scale="slaney").T  # (80, 513)
    magnitude = dsp.unmel(10.0 ** np.minimum(mel, 3), filters, np.linalg.pinv(filters))
    return dsp.griffin_lim(magnitude.astype(np.float32), 256)[:, None], 16_000


def _dia(model: Any, processor: Any, request: FullSoundRequest) -> tuple[np.ndarray, int]:
    """A dialogue: [S1] and [S2] in the text change the speaker. It ends by itself, at most after `seconds`."""
    codec = processor.audio_tokenizer
    rate, hop = int(codec.config.sampling_rate), int(codec.config.hop_length)
    words = processor(text=[request.prompt], padding=True, return_tensors="pt")
    # the last codebook comes later than the first by the largest delay
    columns = int(request.seconds * rate / hop) + max(model.config.delay_pattern) + 1
    codes = model.generate(**words, max_new_tokens=columns, do_sample=True)
    return processor.batch_decode(codes)[0].float().numpy().reshape(-1, 1), rate


def _kokoro(session: Any, voices: dict[str, np.ndarray], request: FullSoundRequest) -> tuple[np.ndarray, int]:
    """hibari's phonemes, which are Kokoro's own; the seed chooses the voice."""
    from hibari import Hibari

    reader, name = Hibari(), list(voices)[request.seed % len(voices)]
    known = reader.vocab
    parts = []
    for phonemes in (p for s in reader.split_sentences(request.prompt) for p in reader.phonemize(s)):
        ids = [known[p] for p in phonemes if p in known][: len(voices[name]) - 1]
        if not ids:
            continue
        tokens, style, speed = (i.name for i in session.get_inputs())
        feeds = {tokens: [[0, *ids, 0]], style: voices[name][len(ids) - 1], speed: np.ones(1, np.float32)}
        parts.append(np.asarray(session.run(None, feeds)[0], np.float32).reshape(-1))
    if not parts:
        raise ValueError("it found no English words")
    return np.concatenate(parts)[:, None], 24_000


VOICES: dict[str, Voice] = {  # how each of SPEAKERS speaks
    "vits": _vits,
    "bark": _bark,
    "speecht5": _speecht5,
    "dia": _dia,
    "style_text_to_speech_2": _kokoro,
}
