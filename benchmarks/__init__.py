"""Protocols, runs, leaderboards."""
