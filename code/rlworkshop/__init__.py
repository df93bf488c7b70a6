"""The code of *The Deep RL Workshop*: every function here is shown, run and tested by the book.

Nothing is imported on purpose: ``import rlworkshop`` costs nothing, and the parts that need no
torch never load it.
"""

__version__ = "0.1.0"
