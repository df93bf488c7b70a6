"""The Sphinx side of the book: freshness, execution, snippets, claims. ``rlworkshop`` never imports it."""
