from aurora_ml_proxy.evaluate.question import NULL, Question


def test_what_needs_no_asking_is_answered_and_the_rest_is_not():
    assert NULL.is_answered and NULL.answer is None
    question = Question("text", ("en", 25), b"key")
    assert not question.is_answered and not question.is_hit and question.text == "text"
