"""Recipes: `python -m training.NAME`. Each builds its data, trains one model or family, and writes its card."""
