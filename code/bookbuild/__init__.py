"""The Sphinx side of the book: freshness, execution, snippets, claims report. Never imported by ``rlworkshop``."""
