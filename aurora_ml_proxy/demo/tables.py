"""The rows that the demo asks about, as one SQL script."""

from collections.abc import Iterable, Sequence

FEEDBACK = [
    "I love the new dashboard. Finding last month's invoices takes seconds now!",
    "The update is awful: my searches are gone and nobody answers my complaint.",
    "Delivery was on Tuesday.",
    "Great product, great price, and the setup was surprisingly easy.",
    "The battery dies after two hours. Very disappointing for this price.",
    "The box contains a cable and a manual.",
    "Support was friendly and solved my problem in ten minutes. Thank you!",
    "The app crashes every time I open the camera. This is terrible.",
    "I use it at work and at home.",
    "Beautiful screen and excellent sound; I would happily buy it again.",
    "Worst checkout I have ever used. I gave up and bought it somewhere else.",
]
"""Eleven rows, written for this demo."""

SHAPES: list[tuple[str, str | None]] = [
    ("no text", None),
    ("zero length", ""),
    ("blanks", "   "),
    ("emoji", "Finally a dark mode 😍🎉 I love it"),
    ("accents", "The café's crème brûlée was wonderful, très élégant!"),
    ("quotes", 'It\'s "great", they said; C:\\temp\\ is full of errors and I hate it'),
    ("long", "It works very well and I am happy with it. " * 116),
]
"""The last one has 4,988 bytes; 5,000 is Comprehend's limit."""

SUBJECTS = [
    *("dashboard", "search", "invoice page", "mobile app", "checkout", "camera"),
    *("battery", "keyboard", "screen", "manual", "delivery", "packaging", "support"),
    *("price", "login", "dark mode", "report", "map", "chat", "newsletter"),
]
OPINIONS = [
    "The {} is excellent, I love it.",
    "The {} is terrible and I want my money back.",
    "I use the {} on Mondays.",
    "Thank you for the {}, it works great!",
    "The {} is slow and full of errors.",
    "The {} has three buttons.",
    "I am very happy with the {}.",
    "I hate what you did to the {}.",
    "My colleague asked about the {}.",
    "The {} is a nice surprise.",
]

ARCHIVE_ROWS = 1_000
ARCHIVE_TEXTS = [opinion.format(s) for s in SUBJECTS for opinion in OPINIONS]
"""Two hundred distinct texts, five rows of each."""


def literal(text: str | None) -> str:
    """An SQL literal for any text, whatever it holds."""
    return "NULL" if text is None else f"_utf8mb4 X'{text.encode().hex()}'"


def script(user: str, password: str) -> str:
    """The database `demo`, its tables, and the only account that TCP reaches."""
    # A server reads its script in statements of at most 60,000 bytes.
    copies = " UNION ALL ".join(["SELECT 1"] * (ARCHIVE_ROWS // len(ARCHIVE_TEXTS) - 1))
    column = "id INT AUTO_INCREMENT PRIMARY KEY, user_feedback TEXT"
    return f"""\
CREATE DATABASE demo CHARACTER SET utf8mb4;
CREATE TABLE demo.Feedback ({column});
INSERT INTO demo.Feedback (user_feedback) VALUES {_rows([t] for t in FEEDBACK)};
CREATE TABLE demo.FeedbackShapes ({column}, shape VARCHAR(20));
INSERT INTO demo.FeedbackShapes (shape, user_feedback) VALUES {_rows(SHAPES)};
CREATE TABLE demo.FeedbackArchive ({column});
INSERT INTO demo.FeedbackArchive (user_feedback)
  VALUES {_rows([text] for text in ARCHIVE_TEXTS)};
INSERT INTO demo.FeedbackArchive (user_feedback)
  SELECT user_feedback FROM demo.FeedbackArchive JOIN ({copies}) AS copies ORDER BY id;
CREATE USER {user}@'127.0.0.1' IDENTIFIED BY '{password}';
GRANT ALL ON demo.* TO {user}@'127.0.0.1';
"""


def _rows(rows: Iterable[Sequence[str | None]]) -> str:
    return ", ".join(f"({', '.join(map(literal, row))})" for row in rows)
