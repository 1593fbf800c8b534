"""Aurora MySQL's machine learning functions for every MySQL and MariaDB, as a proxy.

The folders are the journey of a query, and a folder may import those above it only:

protocol    bytes to packets and back: what the two peers say. No sockets, no SQL.
intercept   is this packet ours? The fast "no", on raw bytes.
plan        a statement that calls an ML function becomes a Plan, or one clear error.
backends    the model services: Comprehend, a local model, a fake.
evaluate    argument values become answers: distinct, in batches, in parallel.
splice      answers go into the rows that stream back.
catalog     what lives in the server: the functions that views call.
session     one client's conversation; composes the six stages above.
server      listener, links, TLS, the admin endpoint: sockets live here only.

Beside them: `functions` (the table of ML functions), `errors` (the table of errors),
`config` (every setting and its default), `metrics` (what is counted), `cli`.
`evaluate` knows the backends by the contract in `backends/__init__.py` alone.
The two peers are always *client* and *upstream*; a model service is a *backend*.
"""
