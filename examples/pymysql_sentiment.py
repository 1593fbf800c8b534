"""Ask for sentiment from Python: point the driver at the proxy's port.

pip install pymysql; python pymysql_sentiment.py [PORT]
"""

import sys

import pymysql

port = int(sys.argv[1]) if len(sys.argv) > 1 else 3307
connection = pymysql.connect(
    host="127.0.0.1", port=port, user="demo", password="demo", database="demo"
)
with connection, connection.cursor() as cursor:
    cursor.execute(
        "SELECT user_feedback,"
        " aws_comprehend_detect_sentiment(user_feedback, %s),"
        " aws_comprehend_detect_sentiment_confidence(user_feedback, %s)"
        " FROM Feedback WHERE id <= %s",
        ("en", "en", 5),
    )
    for text, sentiment, confidence in cursor:
        print(f"{sentiment:8} {confidence:.2f}  {text}")
