"""Codings that cost the same memory."""

from rlworkshop.foundations.function_approximation import car_tiles


def same_memory(features, slack=0.1):
    """All pairs, tiles by tiles: more tilings only add features."""
    found, tiles = [], 2
    while car_tiles(tiles, 1).features <= (1 + slack) * features:
        tilings = 1
        while (size := car_tiles(tiles, tilings).features) <= (1 + slack) * features:
            if size >= (1 - slack) * features:
                found.append((tiles, tilings))
            tilings += 1
        tiles += 1
    return found
