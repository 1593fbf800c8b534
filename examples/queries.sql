-- mariadb -h 127.0.0.1 -P 3307 -u demo -pdemo demo --table < examples/queries.sql
SELECT id, aws_comprehend_detect_sentiment(user_feedback, 'en') AS sentiment
FROM Feedback;

-- Both functions over the same text share one call.
SELECT id,
       aws_comprehend_detect_sentiment(user_feedback, 'en') AS sentiment,
       aws_comprehend_detect_sentiment_confidence(user_feedback, 'en') AS confidence
FROM Feedback
WHERE id <= 5
ORDER BY id DESC;

-- One text per call instead of up to 25.
SELECT id, aws_comprehend_detect_sentiment(user_feedback, 'en', 1) AS sentiment
FROM Feedback
LIMIT 3;

-- What the server computes is what the model is asked.
SELECT aws_comprehend_detect_sentiment(CONCAT('I ', 'love ', 'it'), 'en') AS sentiment;
