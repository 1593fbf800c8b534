"""What lives in the server: the marker functions that views call.

No statement of a client passes here, and no row: only SQL of the proxy's own.
"""
