"""The error of what is used before it is fitted; apart from :mod:`archenc.errors`, which offers it, as it imports scikit-learn."""

from __future__ import annotations

from sklearn.exceptions import NotFittedError

from archenc.errors import ArchencError


class NotFitted(ArchencError, NotFittedError):  # type: ignore[misc]
    """A predictor that is used before it was fitted."""
