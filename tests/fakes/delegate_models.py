"""Models that hand tasks on, and those that do them.

A question that begins with "hand " is a parent's: the JSON behind it is what delegate_task is
called with, and the result is told. Any other question is a child's, by its first word.
"""

import json

import openai_wire as wire
from openai_scenarios import scenario
from openai_validate import text_of


def call(name, **arguments):
    return wire.Call("call_tool", json.dumps({"name": name, "arguments": arguments}))


def results(turn):
    return " | ".join(text_of(message) for message in turn.results())


def steps(turn):
    """Calls of tools that this child has made."""
    return sum(len(m.get("tool_calls") or ()) for m in turn.body["messages"])


def child_say(turn, rest):
    turn.say(wire.Answer(rest))


def child_hold(turn, rest):
    """Says so once the test sets `upstream.release`."""
    turn.begin_text("about to ")
    turn.conn.wait(600, turn.upstream.release)
    turn.send(turn.dialect.chunk({"content": f"say {rest}"}))
    turn.send(turn.dialect.chunk({}, "stop"))
    turn.done()


def child_loop(turn, rest):
    """The same call for ever."""
    turn.say(wire.Answer(calls=[call("list_files", path=".")]))


def child_walk(turn, rest):
    """Another call each time, for ever; `rest` dollars each."""
    answer = wire.Answer(calls=[call("recall", query=f"nothing {steps(turn)}")])
    if rest:
        answer.usage = {**turn.usage(answer), "cost": float(rest)}
    turn.say(answer)


def child_slow(turn, rest):
    """Another call each time, each after `rest` seconds."""
    turn.conn.wait(float(rest))
    child_walk(turn, "")


def child_do(turn, rest):
    """A call, and then what came of it."""
    if turn.results():
        turn.say(wire.Answer(f"done: {results(turn)}"))
    else:
        turn.say(wire.Answer(calls=turn.scripted_calls()))


CHILDREN = {"say": child_say, "hold": child_hold, "loop": child_loop, "walk": child_walk,
            "slow": child_slow, "do": child_do}


@scenario("hands-on")
def hands_on(turn):
    question = turn.question()
    if not question.startswith("hand "):
        word, _, rest = question.partition(" ")
        CHILDREN.get(word, child_say)(turn, rest)
    elif turn.results():
        turn.say(wire.Answer(f"heard: {results(turn)}"), size=200)
    else:
        _, _, rest = question.partition(" ")
        calls = [wire.Call(word, text) for word, text in before(rest)]
        turn.say(wire.Answer(calls=calls or [call("delegate_task", **json.loads(rest))]))


def before(rest):
    """"all [[NAME, {…}], …]": several calls at once."""
    if not rest.startswith("all "):
        return []
    return [("call_tool", json.dumps({"name": name, "arguments": given}))
            for name, given in json.loads(rest[4:])]
