"""Scores with intervals: sufficient counts first, scores after. Pure numpy; nothing here imports torch."""
