"""The doctor at the door: what is wrong with a data set, before any time is spent on it."""
