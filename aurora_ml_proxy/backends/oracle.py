"""A sentiment that is a pure function of language and text, in Python and in SQL.

The fake Comprehend answers with it, and a stored function on the test server computes
the same: a statement run directly and through the proxy must then agree to the bit.
SHA2 is the one hash that MariaDB 10.11 and MySQL 9.6+ both have.
"""

from hashlib import sha256

from aurora_ml_proxy.functions import CONFIDENCE, LABEL, LABELS, Sentiment


def expected(text: str, language: str) -> Sentiment:
    """The sentiment of a text.

    The language is part of the hash, so that an answer to the right text in the wrong
    language is seen to be wrong. Confidences are k/1024: exact in every float.
    """
    digest = sha256(f"{language}:{text}".encode()).hexdigest()
    number = int(digest[:8], 16)  # modulo 4 it picks the label
    return Sentiment(LABELS[number % 4], (512 + number // 4 % 512) / 1024)


def sql_label(text: str, language: str) -> str:
    """The SQL expression of `expected().label`, NULL as the function's contract asks.

    Args:
        text: an SQL expression of a character type; so is language.
    """
    labels = ", ".join(f"'{label}'" for label in LABELS)
    return _or_null(text, f"ELT(1 + {_number(text, language)} MOD 4, {labels})")


def sql_confidence(text: str, language: str) -> str:
    """The SQL expression of `expected().confidence`, a DOUBLE.

    1024e0, because 1024 would divide as a DECIMAL of four places.
    """
    number = _number(text, language)
    return _or_null(text, f"(512 + {number} DIV 4 MOD 512) / 1024e0")


def sql_functions() -> list[str]:
    """CREATE FUNCTION statements of the two ML functions, with their two arguments.

    They go into the test server's default schema, and stand for Aurora's own.
    """
    arguments = (
        "(input_text LONGTEXT CHARSET utf8mb4, language_code VARCHAR(8) CHARSET utf8mb4)"
    )
    return [
        f"CREATE FUNCTION {LABEL.name}{arguments} RETURNS VARCHAR(8) CHARSET utf8mb4 "
        f"DETERMINISTIC NO SQL RETURN {sql_label('input_text', 'language_code')}",
        f"CREATE FUNCTION {CONFIDENCE.name}{arguments} RETURNS DOUBLE "
        f"DETERMINISTIC NO SQL RETURN {sql_confidence('input_text', 'language_code')}",
    ]


def _number(text: str, language: str) -> str:
    language, text = (f"CONVERT({x} USING utf8mb4)" for x in (language, text))
    digest = f"SHA2(CONCAT({language}, ':', {text}), 256)"
    return f"CAST(CONV(LEFT({digest}, 8), 16, 10) AS UNSIGNED)"


def _or_null(text: str, answer: str) -> str:
    """NULL and '' are not asked about. By length, since ' ' = '' in most collations."""
    return f"CASE WHEN CHAR_LENGTH({text}) = 0 THEN NULL ELSE {answer} END"
