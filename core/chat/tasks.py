"""Small Python tasks with exact docstrings, reference answers and tests: what the code model is trained and judged on.

Five kinds: `list` (filter, change, reduce a list), `text`, `number`, `condition` and `loop`. A task's `key` names its
structure; one key in ten is held out: never trained on, used only to measure.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

KINDS = ("list", "text", "number", "condition", "loop")


@dataclass(frozen=True)
class Task:
    """A function to write.

    `prompt` is the signature and docstring, `solution` the body that follows it, `calls` argument texts such as
    "([1, 2], 3)" without the function's name, `key` the structure (arguments' names and phrasing left out).
    """

    kind: str
    key: str
    name: str
    prompt: str
    solution: str
    calls: tuple[str, ...]

    @property
    def held_out(self) -> bool:
        return zlib.crc32(self.key.encode()) % 10 == 0


# phrase before "numbers", condition on x; {n} is a number
FILTERS = (
    ("", ""),
    ("even ", "x % 2 == 0"),
    ("odd ", "x % 2 == 1"),
    ("positive ", "x > 0"),
    ("negative ", "x < 0"),
    ("", "x > {n}"),
    ("", "x < {n}"),
    ("", "x % {n} == 0"),
)
FILTER_TAILS = {
    "x > {n}": (" greater than {n}", " above {n}"),
    "x < {n}": (" less than {n}", " below {n}"),
    "x % {n} == 0": (" divisible by {n}", " that {n} divides"),
}
# words before the numbers, words after them, value
MAPS = (
    ("", "", "x"),
    ("the squares of ", "", "x * x"),
    ("the cubes of ", "", "x ** 3"),
    ("the doubles of ", "", "2 * x"),
    ("the absolute values of ", "", "abs(x)"),
    ("the negatives of ", "", "-x"),
    ("", ", each plus {n}", "x + {n}"),
    ("", ", each minus {n}", "x - {n}"),
    ("", ", each times {n}", "x * {n}"),
)
# phrases, body; {g} is "VALUE for x in LIST if CONDITION"
REDUCES = (
    (("Return the sum of ", "Add up ", "Sum "), "return sum({g})"),
    (("Return ", "List ", "Return a list of "), "return [{g}]"),
    (("Return the largest of ", "Find the maximum of "), "return max(({g}), default=0)"),
    (("Return the smallest of ", "Find the minimum of "), "return min(({g}), default=0)"),
    (("Sort ", "Return in rising order "), "return sorted({g})"),
    (("Sort in falling order ", "Return in falling order "), "return sorted(({g}), reverse=True)"),
    (("Count ", "Return how many there are of "), "return len([{g}])"),
    (("Return without repeats, sorted, ", "Sort without repeats "), "return sorted(set({g}))"),
)
TEXTS = (
    (("Return {s} in upper case.", "Make {s} upper case."), "return {s}.upper()"),
    (("Return {s} in lower case.", "Make {s} lower case."), "return {s}.lower()"),
    (("Reverse {s}.", "Return {s} backwards."), "return {s}[::-1]"),
    (("Return the length of {s}.", "Count the characters of {s}."), "return len({s})"),
    (("Count the words in {s}.", "Return how many words {s} has."), "return len({s}.split())"),
    (("Return the words of {s}.", "Split {s} into words."), "return {s}.split()"),
    (("Return the first {n} characters of {s}.", "Take the first {n} letters of {s}."), "return {s}[:{n}]"),
    (("Return the last {n} characters of {s}.", "Take the last {n} letters of {s}."), "return {s}[-{n}:]"),
    (
        ("Return {s} without its first {n} characters.", "Drop the first {n} letters of {s}."),
        "return {s}[{n}:]",
    ),
    (("Repeat {s} {n} times.", "Return {s} {n} times in a row."), "return {s} * {n}"),
    (("Count the letter {c} in {s}.", "Return how often {c} is in {s}."), "return {s}.count('{c}')"),
    (
        ("Replace {c} by {d} in {s}.", "Return {s} with {c} turned into {d}."),
        "return {s}.replace('{c}', '{d}')",
    ),
    (("Remove {c} from {s}.", "Return {s} without the letter {c}."), "return {s}.replace('{c}', '')"),
    (("Tell if {s} starts with {c}.", "Return whether {s} begins with {c}."), "return {s}.startswith('{c}')"),
    (("Tell if {s} ends with {c}.", "Return whether {s} ends in {c}."), "return {s}.endswith('{c}')"),
    (
        ("Tell if {s} is a palindrome.", "Return whether {s} reads the same backwards."),
        "return {s} == {s}[::-1]",
    ),
    (
        ("Count the vowels in {s}.", "Return how many vowels {s} has."),
        "return sum(c in 'aeiou' for c in {s})",
    ),
    (("Join the letters of {s} with {c}.", "Put {c} between the letters of {s}."), "return '{c}'.join({s})"),
    (
        ("Return the longest word of {s}.", "Find the longest word in {s}."),
        "return max({s}.split(), key=len)",
    ),
    (("Return the words of {s} sorted.", "Sort the words of {s}."), "return sorted({s}.split())"),
)
NUMBERS = (
    (("{a} plus {b}", "the sum of {a} and {b}"), "{a} + {b}"),
    (("{a} minus {b}", "the difference of {a} and {b}"), "{a} - {b}"),
    (("{a} times {b}", "the product of {a} and {b}"), "{a} * {b}"),
    (("{a} plus {n}", "the sum of {a} and {n}"), "{a} + {n}"),
    (("{a} times {n}", "the product of {a} and {n}"), "{a} * {n}"),
    (("{a} squared", "the square of {a}"), "{a} * {a}"),
    (("the larger of {a} and {b}", "the maximum of {a} and {b}"), "max({a}, {b})"),
    (("the smaller of {a} and {b}", "the minimum of {a} and {b}"), "min({a}, {b})"),
    (("the remainder of {a} by {n}", "{a} modulo {n}"), "{a} % {n}"),
    (("the absolute value of {a}", "{a} without its sign"), "abs({a})"),
)
NUMBER_TAILS = (
    ("", "{e}"),
    (", plus {m}", "{e} + {m}"),
    (", minus {m}", "{e} - {m}"),
    (", times {m}", "({e}) * {m}"),
    (", squared", "({e}) ** 2"),
)
CONDITIONS = (
    ("{a} is even", "{a} % 2 == 0"),
    ("{a} is odd", "{a} % 2 == 1"),
    ("{a} is positive", "{a} > 0"),
    ("{a} is negative", "{a} < 0"),
    ("{a} is greater than {n}", "{a} > {n}"),
    ("{a} is less than {n}", "{a} < {n}"),
    ("{a} is divisible by {n}", "{a} % {n} == 0"),
    ("{a} is between {n} and {m}", "{n} <= {a} <= {m}"),
)
LOOPS = (
    (("Return the sum of the numbers from 1 to {a}.", "Add up 1 to {a}."), "return sum(range(1, {a} + 1))"),
    (
        ("Return the factorial of {a}.", "Multiply the numbers from 1 to {a}."),
        "result = 1\n    for i in range(1, {a} + 1):\n        result *= i\n    return result",
    ),
    (
        ("Return the Fibonacci number {a}.", "Find the Fibonacci number at {a}."),
        "x, y = 0, 1\n    for i in range({a}):\n        x, y = y, x + y\n    return x",
    ),
    (
        ("List the numbers from 1 to {a}.", "Return the numbers from 1 to {a}."),
        "return list(range(1, {a} + 1))",
    ),
    (
        ("List the first {a} multiples of {n}.", "Return the first {a} multiples of {n}."),
        "return [{n} * i for i in range(1, {a} + 1)]",
    ),
    (
        ("List the divisors of {a}.", "Return all divisors of {a}."),
        "return [i for i in range(1, {a} + 1) if {a} % i == 0]",
    ),
    (
        ("Tell if {a} is prime.", "Return whether {a} is a prime number."),
        "return {a} > 1 and all({a} % i for i in range(2, {a}))",
    ),
    (
        ("Return the sum of the digits of {a}.", "Add up the digits of {a}."),
        "return sum(int(c) for c in str({a}))",
    ),
    (
        ("List the first {a} powers of {n}.", "Return the first {a} powers of {n}."),
        "return [{n} ** i for i in range({a})]",
    ),
    (("Count down from {a} to 1.", "List the numbers from {a} down to 1."), "return list(range({a}, 0, -1))"),
)
LIST_NAMES = ("xs", "numbers", "values", "items")
TEXT_NAMES = ("s", "text", "word", "line")
NUMBER_NAMES = (("a", "b"), ("n", "m"), ("x", "y"), ("first", "second"))
FUNCTION_NAMES = ("f", "solve", "answer", "compute")
WORDS = (
    "banana",
    "level",
    "a quick brown fox",
    "Hello World",
    "tattoo",
    "noon",
    "see the trees",
    "Generative",
)


def make(rng: np.random.Generator, kind: str | None = None) -> Task:
    """One random task of a kind (or of any)."""
    pick = lambda options: options[int(rng.integers(len(options)))]  # noqa: E731
    kind = kind or str(rng.choice(KINDS, p=(0.4, 0.18, 0.18, 0.12, 0.12)))
    n, m = (int(rng.integers(2, 10)) if rng.random() < 0.5 else int(rng.integers(10, 60)) for _ in range(2))
    name = pick(FUNCTION_NAMES)
    if kind == "list":
        head, condition = pick(FILTERS)
        before, after, value = pick(MAPS)
        phrases, body = pick(REDUCES)
        arg, k = pick(LIST_NAMES), (n if condition else m)
        tail = pick(FILTER_TAILS[condition]).format(n=k) if condition in FILTER_TAILS else ""
        after, value, condition = after.format(n=m), value.format(n=m), condition.format(n=k)
        words = f"{pick(phrases)}{before}the {head}numbers{tail} in {arg}{after}."
        inner = f"{value} for x in {arg}" + (f" if {condition}" if condition else "")
        solution, args = body.format(g=inner), arg
        if value == "x" and not condition:  # no comprehension needed
            solution = {
                "return [": f"return list({arg})",
                "return l": f"return len({arg})",
                "return m": body.format(g="@").replace("(@)", arg),
            }.get(body[:8], body.format(g=arg).replace(f"(({arg})", f"({arg}"))
        key = f"list {value} {condition} {body}"
        calls = tuple(f"({[int(v) for v in rng.integers(-40, 90, size)]})" for size in (6, 9, 12, 1, 0))
    elif kind == "text":
        phrases, body = TEXTS[i := int(rng.integers(len(TEXTS)))]
        args, n = pick(TEXT_NAMES), int(rng.integers(2, 10))
        c, d = (chr(97 + int(v)) for v in rng.choice(26, 2, replace=False))
        words, solution = (t.format(s=args, n=n, c=c, d=d) for t in (pick(phrases), body))
        key = f"text {i} {n if '{n}' in body else ''} {c if '{c}' in body else ''}"
        calls = tuple(f"({w!r})" for w in (*rng.choice(WORDS, 4, replace=False).tolist(), f"{c}x{c}{c} {d}{c}"))
        if not any(mark in body for mark in ("{n}", "{c}")):  # too few keys to hold any out
            key = "text shared"
    elif kind == "number":
        a, b = pick(NUMBER_NAMES)
        phrases, expression = pick(NUMBERS)
        end, form = pick(NUMBER_TAILS)
        inner = expression.format(a=a, b=b, n=n)
        words = f"{pick(('Return', 'Compute'))} {pick(phrases).format(a=a, b=b, n=n)}{end.format(m=m)}."
        solution = "return " + form.format(e=inner, m=m)
        args = f"{a}, {b}" if "{b}" in expression else a
        key = f"number {expression.format(a='a', b='b', n=n)} {form.format(e='e', m=m)}"
        two = "{b}" in expression
        calls = tuple(f"({x}, {y})" if two else f"({x})" for x, y in rng.integers(-30, 60, (5, 2)).tolist())
    elif kind == "condition":
        args = pick(NUMBER_NAMES)[0]
        n, m = min(n, m), max(n, m) + 1
        phrase, test = (t.format(a=args, n=n, m=m) for t in pick(CONDITIONS))
        generic = test.replace(args, "a")
        calls = tuple(f"({v})" for v in (*rng.integers(-40, 90, 6).tolist(), n, m, 0))
        if rng.random() < 0.4:
            words, solution = f"{pick(('Tell if', 'Return whether'))} {phrase}.", f"return {test}"
            key = f"condition {generic}"
        else:
            one, two = pick((("big", "small"), ("yes", "no"), ("hot", "cold"), ("left", "right"), ("odd", "even")))
            words = f"Return {one} if {phrase}, else {two}."
            solution, key = f"return '{one}' if {test} else '{two}'", f"condition {generic} {one}"
    else:
        phrases, body = LOOPS[i := int(rng.integers(len(LOOPS)))]
        args = pick(NUMBER_NAMES)[0]
        words, solution = (t.format(a=args, n=n) for t in (pick(phrases), body))
        key = f"loop {i} {n}" if "{n}" in body else "loop shared"
        calls = ("(1)", "(2)", "(6)", "(7)", "(12)")
    prompt = f'def {name}({args}):\n    """{words}"""\n    '
    return Task(kind, key, name, prompt, solution, calls)


def expected(task: Task) -> list[tuple[str, str]]:
    """The tests: (call, repr of the value) from the reference answer, which we wrote ourselves."""
    space: dict[str, object] = {}
    exec(task.prompt + task.solution, space)
    return [(f"{task.name}{call}", repr(eval(f"{task.name}{call}", space))) for call in task.calls]
