"""A turn of chat with the any-to-any model: words and pictures in, words and pictures out, one token a step."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from core.chat.vocabulary import BOT, END, PICTURE, PICTURE_END, START, USER, Vocabulary
from core.errors import BadRequest
from core.request import Request, integer, number, seed_field, text
from core.result import Result, Step, TextResult

if TYPE_CHECKING:
    from core.chat.decoder import Decoder
    from core.chat.image_tokenizer import ImageTokenizer
    from core.pipeline import Control

READ = 240  # ids of the conversation that are read: dialogues of training are this long
WRITTEN = 150  # ids of one answer
CELLS = 64
TOLD = 0.02  # nats: a wish that tells less about a cell leaves it as it is
AHEAD = 160  # an edited picture stands this many positions after its source


def _turn(turn: Any) -> Any:
    """A turn as JSON gives it back: lists become tuples; a picture that a record only names is left out."""
    if not isinstance(turn, (list, tuple)) or len(turn) != 3:
        return turn
    role, said, picture = turn
    if picture == "" or isinstance(picture, dict):
        picture = b""
    return role, said, tuple(picture) if isinstance(picture, list) else picture


@dataclass(frozen=True)
class ChatRequest(Request):
    """One answer to a conversation.

    conversation: turns (role, text, picture), oldest first and the last by "user"; role: "user" or "bot"; picture: the
    bytes of a PNG, JPEG or WebP file, or 64 picture codes as a tuple, or b"" for none.
    start: token ids that the answer begins with, to go on from another candidate.
    """

    PIPELINE: ClassVar[str] = "core.chat.chat"
    KEEP_STEPS: ClassVar[int] = 160

    EXAMPLE: ClassVar[dict[str, str]] = {"prompt": "Draw a person with short red hair"}

    model: str = "any-to-any"
    prompt: str = text("", 400, help="Short for a conversation of one turn of yours.")
    conversation: tuple = ()
    start: tuple = ()
    temperature: float = number(0.2, 0.0, 2.0, help="Of words. 0 takes the likeliest token; 1 follows the model.")
    picture_temperature: float = number(0.5, 0.0, 2.0, help="Of picture codes: 1 follows the model, less is cleaner.")
    top_k: int = integer(0, 0, 500, help="Keep only the k likeliest tokens; 0 keeps all.")
    top_p: float = number(0.95, 0.05, 1.0, help="Keep the likeliest tokens that reach this probability together.")
    guidance_scale: float = number(
        4.0, 1.0, 5.0, step=0.25, help="Drawings from words: how far to push away from “draw a face”. 1 is off."
    )
    keep: float = number(
        8.0,
        0.0,
        20.0,
        step=0.5,
        help="Drawings after a picture: how much likelier (in logits) a cell keeps its old code where the wish changes "
        "nothing that the model expects. 0 is off.",
    )
    edit_guidance: float = number(
        1.5, 1.0, 5.0, step=0.25, help="Drawings after a picture: how far to push away from “draw it again”. 1 is off."
    )
    seed: int = seed_field()

    def check(self) -> None:
        object.__setattr__(self, "conversation", tuple(_turn(turn) for turn in self.conversation))
        if self.prompt.strip() and not self.conversation:
            object.__setattr__(self, "conversation", (("user", self.prompt, b""),))
        if not self.conversation or self.conversation[-1][0] != "user":
            raise BadRequest("The conversation must end with a turn of yours; write something.")
        for turn in self.conversation:
            role, text, picture = turn if isinstance(turn, tuple) and len(turn) == 3 else (None, None, None)
            if role not in ("user", "bot") or not isinstance(text, str) or not isinstance(picture, (bytes, tuple)):
                raise BadRequest(
                    "A turn is (“user” or “bot”, text, picture bytes or 64 codes); check the conversation."
                )
            if len(text) > 4000:
                raise BadRequest(f"A turn has {len(text):,} characters; shorten it to 4,000 or fewer.")
            if (
                isinstance(picture, tuple)
                and picture
                and (len(picture) != CELLS or not all(isinstance(c, int) and 0 <= c < 1000 for c in picture))
            ):
                raise BadRequest("A picture is 64 codes from 0 to 999; check the conversation.")
        if (
            not all(isinstance(i, int) and not isinstance(i, bool) and i >= 0 for i in self.start)
            or len(self.start) > WRITTEN
        ):
            raise BadRequest(f"start is a list of at most {WRITTEN} token ids.")

    def models(self) -> tuple[str, ...]:
        return (self.model, "image-tokenizer")


# 1. Pictures and codes
def opened(data: bytes, side: int) -> Any:
    """An image file as an RGB picture of Pillow on white, at most about `side` wide. Raises BadRequest."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP", "GIF", "BMP")) as file:
            if file.width * file.height > 40_000_000:
                raise BadRequest("The picture has more than 40 million pixels; choose a smaller one.")
            file.draft("RGB", (side, side))
            picture = ImageOps.exif_transpose(file).convert("RGBA")
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise BadRequest("This is no picture that can be read; choose a PNG, JPEG or WebP file.") from None
    ground = Image.new("RGBA", picture.size, "white")
    ground.alpha_composite(picture)
    if max(picture.size) > 2 * side:
        ground.thumbnail((side, side))
    return ground.convert("RGB")


def read_picture(data: bytes, side: int = 64) -> np.ndarray:
    """An image file to (side, side, 3) uint8, cropped to its middle square. Raises BadRequest."""
    from PIL import Image, ImageOps

    return np.asarray(ImageOps.fit(opened(data, side * 4), (side, side), Image.Resampling.BOX))


def to_codes(picture: np.ndarray, tokenizer: ImageTokenizer) -> tuple[int, ...]:
    """(64, 64, 3) uint8 to 64 codes in reading order."""
    import torch

    x = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.inference_mode():
        return tuple(int(c) for c in tokenizer.encode(x).flatten())


def from_codes(codes: tuple[int, ...] | list[int], tokenizer: ImageTokenizer) -> np.ndarray:
    """Codes to (64, 64, 3) uint8; cells that are not drawn yet (fewer than 64 codes) come out grey."""
    import torch

    full = torch.tensor([*codes, *[0] * (CELLS - len(codes))]).view(1, 8, 8)
    with torch.inference_mode():
        x = tokenizer.decode(full)[0].permute(1, 2, 0)
    picture = ((x + 1) * 127.5).round().byte().numpy()
    cells = picture.reshape(8, 8, 8, 8, 3).transpose(0, 2, 1, 3, 4).reshape(CELLS, 8, 8, 3).copy()
    cells[len(codes) :] = 160
    return cells.reshape(8, 8, 8, 8, 3).transpose(0, 2, 1, 3, 4).reshape(64, 64, 3)


# 2. The conversation as one sequence
def picture_ids(codes: tuple[int, ...], words: Vocabulary) -> list[int]:
    """<picture>, eight rows of a mark and 8 codes, </picture>: 74 ids."""
    ids = [PICTURE]
    for row in range(8):
        ids += [words.first_row + row, *(words.first_code + c for c in codes[8 * row : 8 * row + 8])]
    return [*ids, PICTURE_END]


def turn_ids(turn: tuple[str, str, tuple[int, ...]], words: Vocabulary) -> list[int]:
    """One turn with its mark; a bot's turn ends with <end>."""
    role, text, codes = turn
    ids = [USER if role == "user" else BOT, *(picture_ids(codes, words) if codes else [])]
    ids += words.encode(text.strip().lower() if role == "user" else text)
    return ids if role == "user" else [*ids, END]


def context(turns: list[tuple[str, str, tuple[int, ...]]], words: Vocabulary) -> list[int]:
    """What the model reads: the turn with the newest picture, then as many of the newest turns as fit, then <bot>.

    Two pictures sent one after the other are both read; before a drawn picture stands what was asked for.
    """
    seen = max((i for i, turn in enumerate(turns) if turn[2]), default=-1)
    head = [] if seen < 0 else turn_ids(turns[seen], words)[:160]
    if seen > 0:
        role, said, before = turns[seen - 1]
        if turns[seen][0] == "bot":
            head = [*turn_ids((role, said, ()), words)[:40], *head]
        elif role == "user" and before:
            head = [*turn_ids(turns[seen - 1], words)[:75], *head[:120]]
    tail: list[int] = []
    for turn in reversed(turns[seen + 1 :]):
        ids = turn_ids(turn, words)
        if tail and len(head) + len(tail) + len(ids) > READ:
            break
        tail = [*ids[:150], *tail]
    return [START, *head, *tail, BOT]


def positions(ids: list[int]) -> list[int]:
    """The rotary position of each id: one after the other, but a picture that answers talk about a picture begins AHEAD
    of where that one began, so that a cell and its source are always equally far apart, however long the wish is."""
    places: list[int] = []
    next_, source, role = 0, -1, START
    for token in ids:
        role = token if token in (USER, BOT) else role
        if token == PICTURE:
            if role == BOT and source >= 0:
                next_ = max(next_, source + AHEAD)
            source = next_
        places.append(next_)
        next_ += 1
    return places


def allowed_next(written: list[int], words: Vocabulary) -> Any:
    """(V,) bool: the grammar of an answer, words or pictures of eight rows of eight codes."""
    import torch

    mask = torch.zeros(words.size, dtype=torch.bool)
    opened = max((i for i, token in enumerate(written) if token == PICTURE), default=-1)
    if opened >= 0 and PICTURE_END not in written[opened:]:
        inside = len(written) - opened - 1  # 9 ids a row
        if inside == 72:
            mask[PICTURE_END] = True
        elif inside % 9 == 0:
            mask[words.first_row + inside // 9] = True
        else:
            mask[words.first_code :] = True
    elif opened >= 0:
        mask[END] = True  # one picture an answer
    else:
        mask[words.first_text : words.first_code] = True
        mask[PICTURE] = not written
        mask[END] = bool(written)
    return mask


# 3. The answer, token by token
def generate(
    request: ChatRequest, control: Control, model: Decoder, tokenizer: ImageTokenizer
) -> Iterator[Step | Result]:
    """Yield a Step a token (data: see core.chat.sampling.described, and "attention" (T,) for words), last a TextResult.

    The result's extras: context (ids), tokens (the steps' data), codes (64 or none), picture ((64, 64, 3) uint8 or
    None), first_token and tokens_per_second.
    """
    import torch

    from core.chat.decoder import Memory
    from core.chat.sampling import choose, described

    words = model.words
    started = time.perf_counter()
    turns = [
        (role, text, to_codes(read_picture(p), tokenizer) if isinstance(p, bytes) and p else tuple(p))
        for role, text, p in request.conversation
    ]
    ids = context(turns, words)
    if any(i >= words.size for i in request.start):
        raise BadRequest(f"start holds a token id above {words.size - 1}; take the ids from the token view.")
    edits = any(i >= words.first_code for i in ids)
    scale = request.edit_guidance if edits else request.guidance_scale
    source = next((codes for _, _, codes in reversed(turns) if codes), ())  # what an edit starts from
    wish = ("user", "draw it again", turns[-1][2]) if edits else ("user", "draw a face", ())
    plain = context([*turns[:-1], wish] if edits else [wish], words)
    memory, free = Memory(), Memory()
    noise = torch.Generator().manual_seed(request.seed)
    logits, seen = model.read(ids, memory, look=True)
    base = None
    written: list[int] = []
    tokens: list[dict[str, Any]] = []
    calls, first_token, picture = 1, 0.0, None
    while len(written) < WRITTEN and not control.stopped:
        mask = allowed_next(written, words)
        drawing = PICTURE in written
        if (scale > 1 or edits) and drawing:
            if base is None:  # the same picture so far, asked for in the plain words
                model.read(plain, free)
                base, _ = model.read(written, free, at=positions([*plain, *written])[-1])
                calls += 2
            if edits and mask[words.first_code]:  # the idea of DiffEdit, https://arxiv.org/abs/2210.11427
                wished, again = (each[words.first_code :].log_softmax(-1) for each in (logits, base))
                told = float((wished.exp() * (wished - again)).sum())  # nats that the wish tells about this cell
                bonus = request.keep * math.exp(-told / TOLD)
            logits = base + scale * (logits - base)
            if edits and mask[words.first_code]:
                logits[words.first_code + source[sum(t >= words.first_code for t in written)]] += bonus
        heat = request.picture_temperature if drawing else request.temperature
        token, probabilities, kept = choose(
            logits, mask, temperature=heat, top_k=request.top_k, top_p=request.top_p, noise=noise
        )
        if len(written) < len(request.start):
            token = request.start[len(written)]
            if not mask[token]:
                raise BadRequest(
                    "start breaks the grammar of an answer at token "
                    f"{len(written) + 1}; take the ids from the token view."
                )
        first_token = first_token or time.perf_counter() - started
        forced = int(mask.sum()) == 1
        data = described(token, probabilities, kept, words, forced=forced)
        if seen is not None:  # what the model looked at when it chose this token: mean of layers and heads
            data["attention"] = seen.mean((0, 1)).numpy().astype(np.float16)  # (T,)
        written.append(token)
        if token == END:
            tokens.append(data)
            break
        at = positions([*ids, *written])[-1]
        logits, seen = model.read([token], memory, look=PICTURE not in written, at=at)
        calls += 1
        if base is not None:
            base, _ = model.read([token], free)
            calls += 1
        tokens.append(data)
        codes = [t - words.first_code for t in written if t >= words.first_code]
        if codes and (len(codes) % 4 == 0 or len(codes) == CELLS) and token >= words.first_code:
            picture = from_codes(codes, tokenizer)
        yield Step("token", len(written), 74 if PICTURE in written else 0, preview=picture, data=data)
    drawn = tuple(t - words.first_code for t in written if t >= words.first_code)
    if drawn and len(drawn) < CELLS:
        picture = from_codes(drawn, tokenizer)
    spent = time.perf_counter() - started
    yield TextResult(
        request,
        steps_run=len(written),
        seconds=spent,
        model_calls=calls,
        text=words.decode(written),
        complete=bool(written) and written[-1] == END,
        extras={
            "context": ids,
            "tokens": tokens,
            "codes": drawn if len(drawn) == CELLS else (),
            "picture": picture,
            "first_token": first_token,
            "guided": scale > 1 and PICTURE in written,
            "tokens_per_second": len(written) / max(spent, 1e-6),
        },
    )
