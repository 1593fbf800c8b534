"""Listener, links, TLS, the admin endpoint: sockets live here and nowhere else."""
