"""Summaries and key words without a model: plain text work, the same answer every time, no network.

Made for English, German and Persian; other languages in scripts that put spaces between words work less well.
"""
