"""Scores of one picture against another, or against a text."""
