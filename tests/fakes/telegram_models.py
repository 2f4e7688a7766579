"""Models for conversations over a chat, where what matters is when something is said.

Apart from the other scenarios because only a test that holds the upstream can steer them.
"""

import openai_wire as wire
from openai_scenarios import scenario
from openai_validate import text_of


@scenario("say")
def say(turn):
    """What follows "say " in the question, as it stands there."""
    question = turn.question()
    at = question.find("say ")
    turn.say(wire.Answer(question[at + 4:] if at >= 0 else f"you said: {question}"), size=40)


@scenario("words")
def words(turn):
    """As many words as the argument tells, ten a second; then what was asked."""
    turn.begin_text()
    for number in range(turn.number(20)):
        turn.send(turn.dialect.chunk({"content": f"word{number} "}))
        turn.conn.wait(0.1)
    turn.send(turn.dialect.chunk({"content": f"end of {turn.question()}"}))
    turn.send(turn.dialect.chunk({}, "stop"))
    turn.done()


@scenario("gate")
def gate(turn):
    """Says what it was asked; then nothing more until the test sets `upstream.release`."""
    turn.begin_text(f"answer to {turn.question()}: begun ")
    turn.conn.wait(600, turn.upstream.release)
    turn.send(turn.dialect.chunk({"content": "and finished"}))
    turn.send(turn.dialect.chunk({}, "stop"))
    turn.done()


@scenario("gate-whole")
def gate_whole(turn):
    """Says nothing until the test sets `upstream.release`; also where nothing is streamed."""
    turn.conn.wait(600, turn.upstream.release)
    turn.say(wire.Answer("at last"))


@scenario("gate-tools")
def gate_tools(turn):
    """Waits for the test, then calls a tool; then tells what it read after the question."""
    results = turn.results()
    if not results:
        turn.begin_text()
        turn.conn.wait(600, turn.upstream.release)
        for value in turn.dialect.chunks(wire.Answer(calls=[wire.Call("current_time", "{}")]),
                                         1000):
            turn.send(value)
        turn.done()
        return
    later = turn.body["messages"][-len(results):]
    turn.say(wire.Answer("read: " + " | ".join(text_of(m) for m in later)))


@scenario("chain")
def chain(turn):
    """The calls that stand in the question, one after another, then "done with FIRST LINE"; a
    first line with "slowly" in it is answered word by word."""
    messages = turn.body["messages"]
    last = max(i for i, m in enumerate(messages) if m["role"] == "user")
    done = sum(1 for m in messages[last:] if m["role"] == "tool")
    calls = turn.scripted_calls()
    title = turn.question().split("\n")[0]
    if done < len(calls):
        turn.say(wire.Answer(calls=[calls[done]]))
    elif "slowly" in title:
        turn.begin_text()
        for number in range(turn.number(15)):
            turn.send(turn.dialect.chunk({"content": f"w{number} "}))
            turn.conn.wait(0.1)
        turn.send(turn.dialect.chunk({"content": f"done with {title}"}))
        turn.send(turn.dialect.chunk({}, "stop"))
        turn.done()
    else:
        turn.say(wire.Answer(f"done with {title}"))


@scenario("recount")
def recount(turn):
    """Everything that was said to it in this conversation, without its own instructions."""
    told = [f"{m['role']}={text_of(m)}" for m in turn.body["messages"]
            if m["role"] in ("user", "assistant")]
    turn.say(wire.Answer(f"{len(told)} messages, the last: {told[-1]}; before: " +
                         (told[-2][:80] if len(told) > 1 else "none")))


@scenario("describe")
def describe(turn):
    """What an image shows, whatever it is."""
    turn.say(wire.Answer("A red door, half open."))


@scenario("gate-after")
def gate_after(turn):
    """The calls that stand in the question; then it waits for the test, and is done."""
    if not turn.results():
        turn.say(wire.Answer(calls=turn.scripted_calls()))
        return
    turn.conn.wait(600, turn.upstream.release)
    turn.say(wire.Answer("done"))
