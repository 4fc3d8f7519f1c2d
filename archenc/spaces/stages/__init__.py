"""Spaces whose architectures are lists of choices: stages of layers with attributes, and global choices."""

from archenc.spaces.stages.space import StageSpace

__all__ = ["StageSpace"]
