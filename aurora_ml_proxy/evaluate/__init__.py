"""Argument values become answers: checked, distinct, cached, in batches, in parallel.

The one stage that waits. It knows a `Backend` by its contract only.
"""
