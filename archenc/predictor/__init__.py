"""Predictor: an encoder, a head and a loss as one scikit-learn estimator over graphs."""

from archenc.predictor.estimator import EpochCallback, Predictor, Transform
from archenc.predictor.fitted import NUMBERS_PER_BLOCK, FittedPredictor

__all__ = ["NUMBERS_PER_BLOCK", "EpochCallback", "FittedPredictor", "Predictor", "Transform"]
