"""Exercises of the part on practice, one module for each page."""
