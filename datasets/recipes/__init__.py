"""Recipes: pure functions from raw public files to tables."""
