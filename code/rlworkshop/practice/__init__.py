"""The practice of using it: in projects of one's own, beyond the book's tasks."""
