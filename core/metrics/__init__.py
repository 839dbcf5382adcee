"""Figures of quality: attributes and adherence, Frechet distance, KID, precision and recall, nearest pictures."""
