"""The README's tables are those of the cards and of benchmarks/results.md."""

from benchmarks.readme import README, filled


def test_the_readme_is_current():
    text = README.read_text(encoding="utf-8")
    assert filled(text) == text, "run python -m benchmarks.readme"
