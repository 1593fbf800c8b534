"""Answers go into the rows that stream back, and the appended columns come off."""
