"""Exercises of the part on safety."""
