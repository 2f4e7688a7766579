"""A stream is held until its first content, however much comes before that: what never becomes an
answer goes to the next deployment, and no client sees a 200 with an error in it."""

import pytest
from openai_excess import MEGABYTE
from openai_scenarios import error_object, scenario
from router_chain import is_from_good, named, rows

SIZE = 6  # MB, more than is held of many events


@scenario("mb-line")
def long_line(turn):
    """One line without an end (`:N` for N MB), and the connection breaks."""
    turn.start()
    turn.conn.send(b'data: {"padding":"')
    for _ in range(turn.number(SIZE)):
        turn.conn.send(b"a" * MEGABYTE)
    turn.conn.cut()


@scenario("mb-error")
def long_error(turn):
    """One line that is an error, told at length."""
    turn.start()
    turn.send(error_object(503, "overloaded", raw="a" * turn.number(SIZE) * MEGABYTE))
    turn.done()


@scenario("mb-comments")
def long_comments(turn):
    """One event of comments alone, of which the end never comes."""
    turn.start()
    for _ in range(turn.number(SIZE)):
        turn.conn.send(b": OPENROUTER PROCESSING\n" * (MEGABYTE // 24))
    turn.conn.cut()


@scenario("mb-deltas")
def empty_deltas(turn):
    """Events without content, and an error at last."""
    turn.start()
    empty = turn.event(turn.dialect.chunk({"role": "assistant", "content": ""}))
    for _ in range(turn.number(SIZE)):
        turn.conn.send(empty * (MEGABYTE // len(empty)))
    turn.send(error_object(503, "overloaded"))
    turn.done()


@scenario("mb-content")
def long_content(turn):
    """A first event that is a whole picture."""
    turn.start()
    turn.send(turn.dialect.chunk({"role": "assistant", "content": "a" * SIZE * MEGABYTE}))
    turn.send(turn.dialect.chunk({}, "stop"))
    turn.done()


def start(router, fault):
    return router.start({"free": [named(router, "bad", fault)],
                         "free2": [named(router, "good", "echo")]},
                        fallbacks=[{"free": ["free2"]}])


@pytest.mark.parametrize("fault", ["mb-line", "mb-error", "mb-comments", "mb-deltas", "mb-line:20",
                                   "mb-error:20", "mb-comments:20"])
def test_much_that_is_no_answer_goes_to_the_fallback(router, fault):
    start(router, fault)
    answer = router.ask(stream=True)
    is_from_good(answer, True)
    bad, good = rows(router, answer)
    assert bad["error"] and not good["error"]


def test_a_large_first_event_is_an_answer(router):
    start(router, "mb-content")
    answer = router.ask(stream=True)
    assert answer.whole and answer.text == "a" * SIZE * MEGABYTE
    assert answer.headers["x-litellm-model-id"] == "bad"
