"""Search strategies, one file each, found by the entry points ``archenc.strategies``."""
