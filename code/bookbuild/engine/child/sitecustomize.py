"""Python runs this as it starts: a child of a watched process is watched, too (see ``engine/watch.py``)."""

import os

if "BOOKBUILD_WATCH_LOG" in os.environ:
    import runpy

    place = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    runpy.run_path(os.path.join(place, "watch.py"))["begin"]()
