"""What to try next: suggestions, and the operators of search strategies."""
