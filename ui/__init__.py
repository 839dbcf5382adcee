"""Streamlit helpers that all pages share."""
