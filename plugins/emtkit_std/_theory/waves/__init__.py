"""Traveling-wave working memory."""
