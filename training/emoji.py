"""Captioned emoji: about 370 concepts, each in four styles on eight plain backgrounds, with exact labels.

    python -m training.emoji          # runs/data: emoji-64.npy, emoji.jsonl, emoji-sheet.png

Pictures come from four pinned icon packages, joined by code point with the labels and tags of emojibase.
Chosen is what a small network can learn to draw: faces, hearts, animals, plants, food, places, vehicles, weather and
objects; left out are people and skin tones, flags, signs with letters, clock faces, and near doubles. For about four
concepts in ten one of the four styles is held out: those pictures occur only in the split "heldout".
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from training.portraits import BACKGROUNDS, DATA, halve, install_node_packages, render_lines

SIZE = 64
MARGIN = 0.06  # of the picture's side, left free all around

# 1. What is chosen

STYLES = {  # our name -> the words for it; the first one is always understood
    "3d": ["3d", "fluent 3d", "glossy", "rendered"],
    "flat": ["flat", "fluent flat", "simple"],
    "noto": ["noto", "google", "android"],
    "twemoji": ["twemoji", "twitter"],
}
CONCEPTS = {  # our group -> labels of emojibase
    "face": "grinning face; grinning squinting face; rolling on the floor laughing; face with tears of joy; winking face; "
    "smiling face with smiling eyes; smiling face with halo; smiling face with hearts; smiling face with heart-eyes; "
    "star-struck; face blowing a kiss; face with tongue; zany face; money-mouth face; shushing face; thinking face; "
    "neutral face; smirking face; face with rolling eyes; grimacing face; sleeping face; face with medical mask; "
    "face with head-bandage; nauseated face; face vomiting; face with spiral eyes; exploding head; cowboy hat face; "
    "partying face; smiling face with sunglasses; nerd face; face with monocle; frowning face; face with open mouth; "
    "flushed face; crying face; loudly crying face; face screaming in fear; enraged face; smiling face with horns; "
    "skull; pile of poo; clown face; ghost; alien; robot; grinning cat; smiling cat with heart-eyes",
    "heart": "red heart; orange heart; yellow heart; green heart; blue heart; purple heart; black heart; broken heart; "
    "heart with arrow; sparkling heart",
    "animal": "monkey face; monkey; gorilla; dog face; poodle; wolf; fox; raccoon; cat face; lion; tiger face; leopard; "
    "horse face; unicorn; zebra; cow face; pig face; pig; goat; two-hump camel; giraffe; elephant; rhinoceros; "
    "mouse face; hamster; rabbit face; hedgehog; bat; bear; polar bear; koala; panda; sloth; paw prints; chicken; "
    "hatching chick; baby chick; bird; penguin; eagle; duck; swan; owl; flamingo; peacock; parrot; frog; crocodile; "
    "turtle; lizard; snake; dragon face; sauropod; T-Rex; spouting whale; dolphin; fish; tropical fish; blowfish; "
    "shark; octopus; spiral shell; crab; lobster; shrimp; squid; snail; butterfly; bug; ant; honeybee; lady beetle; "
    "spider; scorpion",
    "plant": "bouquet; cherry blossom; lotus; rose; hibiscus; sunflower; tulip; seedling; potted plant; evergreen tree; "
    "deciduous tree; palm tree; cactus; four leaf clover; maple leaf; mushroom",
    "food": "grapes; melon; watermelon; tangerine; lemon; banana; pineapple; mango; red apple; green apple; pear; peach; "
    "cherries; strawberry; blueberries; kiwi fruit; tomato; coconut; avocado; eggplant; potato; carrot; ear of corn; "
    "hot pepper; cucumber; broccoli; garlic; onion; peanuts; bread; croissant; pretzel; bagel; pancakes; "
    "cheese wedge; meat on bone; poultry leg; bacon; hamburger; french fries; pizza; hot dog; sandwich; taco; egg; "
    "cooking; green salad; popcorn; rice ball; steaming bowl; spaghetti; sushi; fried shrimp; soft ice cream; "
    "ice cream; doughnut; cookie; birthday cake; shortcake; cupcake; pie; chocolate bar; candy; lollipop; honey pot",
    "drink": "glass of milk; hot beverage; teapot; wine glass; cocktail glass; tropical drink; beer mug; cup with straw; "
    "bubble tea",
    "place": "snow-capped mountain; volcano; desert island; house; office building; factory; castle; fountain; tent; "
    "sunset; ferris wheel; circus tent",
    "vehicle": "locomotive; bus; ambulance; fire engine; police car; taxi; automobile; delivery truck; tractor; "
    "racing car; motor scooter; bicycle; skateboard; anchor; ring buoy; sailboat; speedboat; ship; airplane; parachute; "
    "helicopter; rocket; flying saucer",
    "weather": "full moon; crescent moon; sun; sun with face; ringed planet; star; shooting star; cloud; "
    "sun behind cloud; cloud with rain; cloud with snow; cloud with lightning; tornado; rainbow; "
    "umbrella with rain drops; high voltage; snowflake; snowman; comet; fire; droplet",
    "event": "jack-o-lantern; Christmas tree; firecracker; sparkles; balloon; party popper; wrapped gift; trophy; "
    "sports medal",
    "sport": "soccer ball; baseball; basketball; volleyball; american football; tennis; bowling; boxing glove; ice skate",
    "game": "bullseye; yo-yo; kite; pool 8 ball; crystal ball; game die; puzzle piece; teddy bear; artist palette; yarn",
    "clothing": "glasses; sunglasses; necktie; t-shirt; jeans; scarf; gloves; socks; dress; bikini; handbag; backpack; "
    "running shoe; high-heeled shoe; crown; top hat; graduation cap; lipstick; ring; gem stone",
    "music": "megaphone; bell; studio microphone; headphone; radio; saxophone; trumpet; guitar; violin; drum",
    "object": "alarm clock; mobile phone; battery; laptop; computer mouse; floppy disk; clapper board; television; "
    "camera; candle; light bulb; red paper lantern; open book; scroll; envelope; pencil; briefcase; scissors; "
    "locked; key; hammer; axe; bomb; shield; wrench; gear; magnet; microscope; telescope; syringe; pill; door; "
    "toilet; bathtub; broom; fire extinguisher; shopping cart",
}

Record = dict[str, Any]


def key(code: str) -> str:
    """A code point sequence as all packages can be joined by it: lower case, without the variation selector."""
    return "-".join(part for part in code.lower().split("-") if part != "fe0f")


def concepts(home: Path) -> list[Record]:
    """The chosen concepts: label, group, tags (labels of others and group names left out), hexcode. SystemExit if one lacks."""
    listed = json.loads((home / "node_modules/emojibase-data/en/data.json").read_text())
    of_label = {entry["label"]: entry for entry in listed}
    chosen = [(group, label) for group, line in CONCEPTS.items() for label in line.split("; ")]
    if missing := [label for _, label in chosen if label not in of_label]:
        raise SystemExit(f"emojibase-data has no {', '.join(missing)}: is it the pinned version?")
    said = {label.lower() for _, label in chosen} | set(CONCEPTS)
    return [
        {
            "label": label.lower(),
            "group": group,
            "tags": [t for tag in of_label[label]["tags"] if tag.isascii() and (t := tag.lower()) not in said],
            "hexcode": key(of_label[label]["hexcode"]),
        }
        for group, label in chosen
    ]


def is_heldout(hexcode: str, style: str) -> bool:
    """True for one style of about four concepts in ten: the other three styles of it are trained on."""
    first, second = hashlib.sha256(hexcode.encode()).digest()[:2]
    return first < 102 and list(STYLES)[second % 4] == style


# 2. Captions


def article(words: str) -> str:
    return ("an " if words[0] in "aeiou" else "a ") + words


def captions(record: Record) -> list[str]:
    """Eight phrasings; each names the concept (two of them by its group and a tag too), background and style."""
    label, style, background = record["label"], record["style"], record["background"]
    tag = record["tags"][0] if record["tags"] else record["group"]
    return [
        f"{article(label)} emoji on {article(background)} background, in the {style} style",
        f"{style} emoji of {article(label)}, {background} background",
        f"{article(label)}, {style} style, on {background}",
        f"{label}, {background} backdrop, drawn as {style}",
        f"on {article(background)} background, {article(label)} in {style} style",
        f"{article(style)} {label} before {background}",
        f"an emoji of a {record['group']}: {label}, {tag}, {style} style, {background} background",
        f"{label} ({tag}), {style}, {background}",
    ]


# 3. Rendering


def svg_of(icons: dict[str, Any], name: str) -> str:
    """The drawing `name` of an iconify set as an SVG with MARGIN around it."""
    name = icons.get("aliases", {}).get(name, {}).get("parent", name)
    icon = icons["icons"][name]
    side = icon.get("width", icons["width"])  # the sets chosen are square
    edge = side * MARGIN / (1 - 2 * MARGIN)
    box = f"{-edge:.4g} {-edge:.4g} {side + 2 * edge:.6g} {side + 2 * edge:.6g}"
    return f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="{box}">{icon["body"]}</svg>'


def render_webp(path: Path, backgrounds: list[str], size: int) -> np.ndarray:
    """A webp with transparency on each of the plain `backgrounds` (hex): (N, size, size, 3) uint8."""
    from PIL import Image

    inner = round(size * (1 - 2 * MARGIN))
    with Image.open(path) as picture:
        art = picture.convert("RGBA").resize((inner, inner), Image.Resampling.LANCZOS)
    pages = []
    for colour in backgrounds:
        page = Image.new("RGBA", (size, size), f"#{colour}")
        page.alpha_composite(art, ((size - inner) // 2,) * 2)
        pages.append(np.asarray(page.convert("RGB")))
    return np.stack(pages)


def build(folder: Path = DATA, count: int | None = None) -> list[Record]:
    """Write emoji-64.npy (N, 64, 64, 3) uint8 and emoji.jsonl: training pictures first, held-out last; the records.

    `count`: only so many concepts, for tests.
    """
    modules = install_node_packages() / "node_modules"
    webp = {key(path.stem): path for path in sorted((modules / "@lobehub/fluent-emoji-3d/assets").glob("*.webp"))}
    sets = {"flat": "fluent-emoji-flat", "noto": "noto", "twemoji": "twemoji"}
    icons = {s: json.loads((modules / f"@iconify-json/{n}/icons.json").read_text()) for s, n in sets.items()}
    names = {
        style: {
            key(code): name
            for code, name in json.loads((modules / f"@iconify-json/{n}/chars.json").read_text()).items()
        }
        for style, n in sets.items()
    }
    records = [
        {**concept, "style": style, "background": background}
        for concept in concepts(modules.parent)[:count]
        for style in STYLES
        for background in BACKGROUNDS
    ]
    for record in records:
        record["split"] = "heldout" if is_heldout(record["hexcode"], record["style"]) else "train"
        record["captions"] = captions(record)
    records.sort(key=lambda r: r["split"] == "heldout")  # stable: contiguous splits can be memory-mapped
    drawn = np.empty((len(records), SIZE, SIZE, 3), np.uint8)
    vector = [i for i, r in enumerate(records) if r["style"] != "3d"]
    specs = [
        {
            "svg": svg_of(icons[r["style"]], names[r["style"]][r["hexcode"]]),
            "background": f"#{BACKGROUNDS[r['background']]}",
        }
        for r in (records[i] for i in vector)
    ]
    drawn[vector] = halve(render_lines(specs, 2 * SIZE))
    raster: dict[str, list[int]] = {}
    for i, record in enumerate(records):
        if record["style"] == "3d":
            raster.setdefault(record["hexcode"], []).append(i)
    for code, rows in raster.items():
        drawn[rows] = halve(render_webp(webp[code], [BACKGROUNDS[records[i]["background"]] for i in rows], 2 * SIZE))
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "emoji-64.part.npy", drawn)
    (folder / "emoji-64.part.npy").replace(folder / "emoji-64.npy")  # a training that maps the old file keeps it whole
    with (folder / "emoji.jsonl").open("w") as out:
        for index, record in enumerate(records):
            out.write(json.dumps({"index": index, **record}) + "\n")
    return records


def load(split: str = "train", folder: Path = DATA) -> tuple[np.ndarray, list[Record]]:
    """Emoji of `split` ("train", "heldout", "all"): (N, 64, 64, 3) uint8, memory-mapped, and their N records."""
    path = folder / "emoji-64.npy"
    if not path.is_file():
        raise SystemExit(f"{path} is missing: run python -m training.emoji first.")
    with (folder / "emoji.jsonl").open() as lines:
        records = [json.loads(line) for line in lines]
    images = np.load(path, mmap_mode="c")
    if split not in ("train", "heldout", "all"):
        raise ValueError(f"split must be train, heldout or all, not {split!r}")
    rows = [i for i, record in enumerate(records) if split in ("all", record["split"])]
    return images[rows[0] : rows[-1] + 1], records[rows[0] : rows[-1] + 1]


def main() -> None:
    from training.loop import save_sheet

    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    start = time.perf_counter()
    records = build()
    images, _ = load("all")
    first: dict[tuple[str, str], list[int]] = {}  # one picture of each concept and style, the background changing
    for i, r in enumerate(records):
        first.setdefault((r["hexcode"], r["style"]), []).append(i)
    rows = [rows[n % 8] for n, (_, rows) in enumerate(sorted(first.items()))]
    save_sheet(images[rows], DATA / "emoji-sheet.png", columns=40, zoom=1)
    count = len({r["hexcode"] for r in records})
    held = sum(r["split"] == "heldout" for r in records)
    print(f"{count} concepts, {len(records)} pictures ({held} held out) in {time.perf_counter() - start:.0f} s: {DATA}")
    print(Counter(r["group"] for r in records if r["style"] == "3d" and r["background"] == "white"))


if __name__ == "__main__":
    main()
