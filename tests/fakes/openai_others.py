"""The two paths beside chat: text completions and embeddings.

A request is read by the same kind of picky eye, and answered by the same scenarios: "429:2" refuses
an embedding as it refuses a chat. Only what is said at the end is spelled differently.
"""

import base64
import struct

import openai_wire as wire
from openai_scenarios import Turn
from openai_validate import check_numbers, open_request, require

COMPLETION_FIELDS = set(
    "model prompt suffix stream stream_options max_tokens temperature top_p n best_of stop seed "
    "user logprobs logit_bias echo presence_penalty frequency_penalty".split())
EMBEDDING_FIELDS = {"model", "input", "encoding_format", "dimensions", "user", "input_type"}
DIMENSIONS = 8


# -- what is refused ------------------------------------------------------------------------------

def check_texts(value, where):
    """A text, texts, tokens, or texts as tokens."""
    require(isinstance(value, (str, list)) and value, f"{where} is missing or empty", where)
    for one in value if isinstance(value, list) else [value]:
        tokens = one if isinstance(one, list) else [one]
        legal = isinstance(one, str) and one or all(
            isinstance(n, int) and not isinstance(n, bool) for n in tokens)
        require(legal, f"{where}: neither a text nor tokens: {one!r}", where)


def check_completion(raw, headers):
    body = open_request(raw, headers, COMPLETION_FIELDS)
    check_texts(body.get("prompt"), "prompt")
    check_numbers(body)
    require(body.get("best_of", 1) >= body.get("n", 1), "best_of is less than n", "best_of")
    return body


def check_embedding(raw, headers):
    body = open_request(raw, headers, EMBEDDING_FIELDS)
    check_texts(body.get("input"), "input")
    require(body.get("encoding_format", "float") in ("float", "base64"),
            "encoding_format is neither float nor base64", "encoding_format")
    dimensions = body.get("dimensions", DIMENSIONS)
    require(isinstance(dimensions, int) and 0 < dimensions <= 4096, "dimensions", "dimensions")
    return body


# -- how it is said -------------------------------------------------------------------------------

class CompletionDialect(wire.Dialect):
    """`text` where chat has a message or a delta."""

    def frame(self, kind):
        return super().frame("text_completion")

    def whole(self, answer):
        value = self.frame("")
        value["choices"] = [{"index": 0, "text": answer.text, "logprobs": None,
                             "finish_reason": self.finish(answer)}]
        if answer.usage is not None:
            value["usage"] = answer.usage
        return value

    def chunk(self, delta, finish=None, **more):
        value = self.frame("")
        value["choices"] = [{"index": 0, "text": delta.get("content") or "", "logprobs": None,
                             "finish_reason": finish}]
        value.update(more)
        return value


class CompletionTurn(Turn):
    dialect_class = CompletionDialect

    def __init__(self, upstream, conn, request, argument):
        super().__init__(upstream, conn, request, argument)
        prompt = self.body["prompt"]
        text = prompt if isinstance(prompt, str) else "\n".join(map(str, prompt))
        self.body = {**self.body, "messages": [{"role": "user", "content": text}]}


def vector_of(text, dimensions):
    """The same for the same text, and exact in 32 bits."""
    seed = sum(str(text).encode()) % 251
    return [(seed + number) / 256 for number in range(dimensions)]


class EmbeddingTurn(Turn):
    """Says a vector for each text, whatever its scenario has to say."""

    def __init__(self, upstream, conn, request, argument):
        super().__init__(upstream, conn, request, argument)
        given = self.body["input"]
        one = isinstance(given, str) or isinstance(given[0], int)
        self.texts = [given] if one else given
        self.body = {**self.body, "messages": [{"role": "user", "content": str(given)}]}
        self.streams = False

    def spelled(self, text):
        vector = vector_of(text, self.body.get("dimensions", DIMENSIONS))
        if self.body.get("encoding_format") != "base64":
            return vector
        return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()

    def say(self, answer, size=5, done=True):
        tokens = sum(len(str(text)) for text in self.texts) // 4 + 1
        self.conn.answer(200, {
            "object": "list", "model": self.body["model"],
            "data": [{"object": "embedding", "index": number, "embedding": self.spelled(text)}
                     for number, text in enumerate(self.texts)],
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens}})


OTHERS = {"completions": (check_completion, CompletionTurn),
          "embeddings": (check_embedding, EmbeddingTurn)}
