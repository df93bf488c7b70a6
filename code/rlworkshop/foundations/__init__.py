"""The code of the book's first part: numpy only, no torch."""
