"""How sure claims are: on other seeds, under faults planted on purpose (``make claims``, ``make calibrate``).

- ``claims``: claims on seed sets that no build uses, and the figures that are committed.
- ``faults``: what is broken so that a claim must fail.
"""
