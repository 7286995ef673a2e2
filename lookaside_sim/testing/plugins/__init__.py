"""Entry points that pytest and Hypothesis load in every project; light until asked."""
