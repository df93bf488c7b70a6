"""Exercises of the part on robotics."""
