"""Mutation testing: breaks the code on purpose and expects the tests to notice. See ``__main__``."""
