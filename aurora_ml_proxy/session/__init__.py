"""One client's conversation, from the greeting to the last byte.

Composes the stages; the network is an argument (`ports`), so all of it is tested
without a socket.
"""
