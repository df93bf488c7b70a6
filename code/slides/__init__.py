"""Slides of the workshop's talks, made of the book's own figures and values: ``make slides``.

- ``shown``: what pages of this build show: values, figures, films, drawings, code, by reference.
- ``deck``: one talk, from its Markdown in ``book/workshop/_slides`` to one file that needs no network.
- ``__main__``: all talks, into ``_build/slides``, or a list of all that is wrong with them.

A talk is Markdown that opens with its ``title`` and ``minutes``. A line ``---`` ends a slide, ``+++`` a
column of it, and what stands behind a line ``???`` is for the speaker. References look like MyST's roles::

    {value}`algorithms/dqn:late_agent:.0f`   a value that a page has glued, with its format
    {claim}`algorithms/vpg#learns`           the measured value of a claim
    {figure}`fig-dqn-curve`                  a figure, by the name that its page gives it
    {film}`robotics/dexterity:0`             a page's films, counted from 0
    {diagram}`dqn-loop`                      a drawing of book/_diagrams
    {snippet}`rlworkshop.algorithms.vpg.gae` code of the book, as it is

Book: workshop/run_a_workshop
"""
