"""Read a big table row by row: the proxy streams, and the driver must be told to.

pip install pymysql; python streaming_sentiment.py [PORT]
"""

import sys
from collections import Counter

import pymysql
import pymysql.cursors

port = int(sys.argv[1]) if len(sys.argv) > 1 else 3307
connection = pymysql.connect(
    host="127.0.0.1", port=port, user="demo", password="demo", database="demo"
)
found: Counter[str] = Counter()
with connection, connection.cursor(pymysql.cursors.SSCursor) as cursor:
    cursor.execute(
        "SELECT aws_comprehend_detect_sentiment(user_feedback, 'en') FROM FeedbackArchive"
    )
    for (sentiment,) in cursor:
        found[sentiment] += 1
for sentiment, rows in found.most_common():
    print(f"{sentiment:8} {rows:5}")
