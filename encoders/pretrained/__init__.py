"""Pretrained weights by name: each folder holds a card and weights."""
