"""Bytes to packets and back: what the two peers say to each other.

No sockets, no clock, no SQL. Parsers are fed bytes and answer with a value, with None
for "feed me more", or with MalformedPacket.
Source: MySQL Source Code Documentation, "Client/Server Protocol", and the MariaDB
Knowledge Base, "Clients & Utilities: Client/Server Protocol".
"""
