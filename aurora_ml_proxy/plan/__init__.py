"""A statement that calls an ML function becomes a Plan, or one clear error.

The statement stays bytes: it is cut into tokens, edited by span, never regenerated.
Decides only: nothing is sent and nothing is asked from here.
"""
