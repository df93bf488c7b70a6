"""Takes code out of a project: an object, a region, a whole module as one file that runs alone."""
