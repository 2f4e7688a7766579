"""A model with a small context, which counts honestly and sums up what it is told to.

It counts four bytes of a request's body as a token, the descriptions of tools included, refuses
what is longer than its context, and keeps what a test wants to know of each request.
"""

import collections
import re
import threading

import openai_wire as wire
from openai_scenarios import scenario
from openai_validate import text_of

BYTES_PER_TOKEN = 4
SUMMING_UP = "You write the notes with which an AI assistant goes on in a long conversation"
EARLIER = "[What was said before, in short"
EMPTIED = "was left out here to make room"
LEFT_OUT = "Earlier messages were left out to make room"


def short(_, chat):
    return f"Goal: to count in <{chat}>. Facts: " + "one, two, three; " * 20


def none(*_):
    """No summary: a refusal, which nobody tries again."""


def endless(shown, chat):
    """More than what it sums up, and more than it was allowed."""
    return f"of <{chat}> " + "and so on " * 10_000


def hardly_shorter(shown, chat):
    """As long as an answer may be, or a little less than what is summed up."""
    return f"of <{chat}> " + "x" * min(len(shown) * 9 // 10, 4000 * BYTES_PER_TOKEN)


class Window:
    """What `upstream.window` is for the model "window"."""

    def __init__(self, tokens, sum_up=short):
        self.tokens, self.sum_up, self.lock = tokens, sum_up, threading.Lock()
        self.most = self.calls = self.summaries = self.too_long = 0
        self.seen = collections.Counter()
        self.in_turn = collections.Counter()  # calls for a summary of a chat since it was asked
        self.mixed = []  # requests that hold what was said in another chat

    def begins(self, chat):
        self.in_turn[chat] = 0

    def take(self, turn):
        """The text of the request, and its chat."""
        text = "\n".join(text_of(m) for m in turn.body["messages"])
        chats = sorted(set(re.findall(r"<([ct]\d+)>", text)))
        size = len(turn.request.body)
        with self.lock:
            self.calls += 1
            self.most = max(self.most, size)
            for word in (EARLIER, EMPTIED, LEFT_OUT):
                self.seen[word] += word in text
            if len(chats) > 1:
                self.mixed.append(chats)
        # Thousands of them are not to be kept.
        turn.request.body, turn.request.json = b"", None
        return text, chats[0] if chats else "", size // BYTES_PER_TOKEN + 1


@scenario("window")
def window(turn):
    own = turn.upstream.window
    text, chat, tokens = own.take(turn)
    if tokens > own.tokens:
        own.too_long += 1
        turn.error(400, f"This model's maximum context length is {own.tokens} tokens, not "
                        f"{tokens}.", error_type="context_length_exceeded")
        return
    if SUMMING_UP in text:
        with own.lock:
            own.summaries += 1
            own.in_turn[chat] += 1
        said = own.sum_up(text, chat)
        if said is None:
            turn.error(400, "This model sums nothing up.")
            return
        answer = wire.Answer(said)
    else:
        calls = [] if turn.results() else turn.scripted_calls()
        answer = wire.Answer(calls=calls) if calls else wire.Answer(f"echo: {turn.question()}")
    answer.usage = wire.usage(tokens, len(answer.text) // BYTES_PER_TOKEN + 1)
    turn.say(answer, size=1000)
