"""Readers: from a file to pixels."""
