"""The main job on this machine: a private MariaDB, sample feedback, the local model.

tables      the rows: the article's Feedback, rows in other shapes, a big one.
processes   children with a log of their own, ended by pid in reverse order.
mariadb     a mariadbd that is found or installed, on a free port, gone afterwards.
client      a real client that runs a query and prints a table.
show        the order of events.

It starts the proxy as users do, by `aurora-ml-proxy serve`, and knows nothing of the
stages.
"""


class DemoFailed(Exception):
    """A step that did not work: one line for the user."""
