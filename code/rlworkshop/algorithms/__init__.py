"""The algorithms of the book, one file each: everything that a paper would name stands in that file."""
