"""What embeddings of a space tell, without training a predictor."""
