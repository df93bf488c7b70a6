"""Python runs this as it starts: a child of a watched process is watched, too (see ``engine/watch.py``)."""

import os

if "BOOKBUILD_WATCH_LOG" in os.environ:
    import importlib.util
    import sys

    place = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "watch.py")
    spec = importlib.util.spec_from_file_location("bookbuild_watch", place)
    watch = sys.modules["bookbuild_watch"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(watch)
    watch.begin(os.environ[watch.ROOT], os.environ[watch.LOG])
