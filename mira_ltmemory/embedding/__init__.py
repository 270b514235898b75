"""Embedding models. The heavy libraries are imported when the first text is embedded, not before."""
