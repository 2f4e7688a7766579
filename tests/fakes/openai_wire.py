"""The OpenAI chat-completions wire format, and the dialects of it that servers really speak.

An `Answer` is what the model says; a `Dialect` is how one kind of server spells it. Both the
streamed and the whole form are rendered from the same `Answer`, so a client must get the same
result from either.
"""

import dataclasses
import itertools
import json
import time

_ids = itertools.count(1)


def compact(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@dataclasses.dataclass
class Call:
    name: str
    arguments: str  # the model's own bytes, JSON or not
    id: str | None = ""
    extra: dict = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        if self.id == "":
            self.id = f"call_{next(_ids):06d}"


@dataclasses.dataclass
class Answer:
    text: str = ""
    calls: list = dataclasses.field(default_factory=list)
    reasoning: str = ""
    finish: str | None = None
    usage: dict | None = None

    def reason(self):
        return self.finish or ("tool_calls" if self.calls else "stop")


def usage(prompt, completion, reasoning=0):
    """OpenRouter's usage object: OpenAI's numbers and what the call cost, in dollars."""
    return {
        "prompt_tokens": prompt, "completion_tokens": completion,
        "total_tokens": prompt + completion, "cost": 0.00014, "is_byok": False,
        "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0, "audio_tokens": 0},
        "cost_details": {"upstream_inference_cost": None},
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }


class Dialect:
    """OpenAI itself, with OpenRouter's extras. Others override what they spell differently."""

    provider = "Fake"
    fingerprint = "fp_fake"
    finish_with_calls = "tool_calls"
    reasoning_field = "reasoning"
    sends_usage_unasked = True

    def __init__(self, model):
        self.id = f"gen-{next(_ids)}"
        self.model = model
        self.created = int(time.time())

    def frame(self, kind):
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model,
                "provider": self.provider, "system_fingerprint": self.fingerprint}

    def finish(self, answer):
        if answer.calls and answer.finish is None:
            return self.finish_with_calls
        return answer.reason()

    def call(self, call, number):
        value = {"index": number, "id": call.id, "type": "function",
                 "function": {"name": call.name, "arguments": call.arguments}, **call.extra}
        if call.id is None:
            del value["id"]
        return value

    def whole(self, answer):
        message = {"role": "assistant", "content": answer.text or None, "refusal": None}
        if answer.reasoning:
            message[self.reasoning_field] = answer.reasoning
        if answer.calls:
            message["tool_calls"] = [self.call(c, n) for n, c in enumerate(answer.calls)]
        reason = self.finish(answer)
        value = self.frame("chat.completion")
        value["choices"] = [{"index": 0, "logprobs": None, "finish_reason": reason,
                             "native_finish_reason": reason, "message": message}]
        if answer.usage is not None:
            value["usage"] = answer.usage
        return value

    def chunk(self, delta, finish=None, **more):
        value = self.frame("chat.completion.chunk")
        value["choices"] = [{"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}]
        value.update(more)
        return value

    def text_deltas(self, text, size):
        for start in range(0, len(text), size):
            yield {"content": text[start:start + size]}

    def call_deltas(self, calls, size):
        """All heads first, then argument fragments in turns: what parallel calls look like."""
        for number, call in enumerate(calls):
            head = self.call(call, number)
            head["function"] = {"name": call.name, "arguments": ""}
            yield {"tool_calls": [head]}
        longest = max((len(call.arguments) for call in calls), default=0)
        for start in range(0, longest, size):
            for number, call in enumerate(calls):
                if part := call.arguments[start:start + size]:
                    yield {"tool_calls": [{"index": number, "function": {"arguments": part}}]}

    def chunks(self, answer, size=5, want_usage=True):
        """The stream's JSON objects, without [DONE]."""
        yield self.chunk({"role": "assistant", "content": ""})
        for start in range(0, len(answer.reasoning), size):
            yield self.chunk({self.reasoning_field: answer.reasoning[start:start + size]})
        for delta in self.text_deltas(answer.text, size):
            yield self.chunk(delta)
        for delta in self.call_deltas(answer.calls, size):
            yield self.chunk(delta)
        yield self.chunk({}, self.finish(answer))
        if answer.usage is not None and (want_usage or self.sends_usage_unasked):
            value = self.frame("chat.completion.chunk")
            value.update(choices=[], usage=answer.usage)
            yield value


class Ollama(Dialect):
    """A call comes whole in one chunk; parallel calls all have index 0; the reason stays `stop`."""

    fingerprint = "fp_ollama"
    finish_with_calls = "stop"
    sends_usage_unasked = False

    def frame(self, kind):
        value = super().frame(kind)
        del value["provider"]
        return value

    def call(self, call, number):
        value = super().call(call, number)
        value["index"] = 0
        return value

    def text_deltas(self, text, size):
        for delta in super().text_deltas(text, size):
            yield {"role": "assistant", **delta}

    def call_deltas(self, calls, size):
        for number, call in enumerate(calls):
            yield {"role": "assistant", "content": "", "tool_calls": [self.call(call, number)]}


class OldOllama(Ollama):
    """Before 2025 its streamed tool calls had no index at all."""

    def call(self, call, number):
        value = super().call(call, number)
        del value["index"]
        return value


class LlamaCpp(Dialect):
    """finish_reason before index, a null content, `timings` in the last chunks, no provider."""

    fingerprint = "b9554-d403f00ec"
    reasoning_field = "reasoning_content"

    def frame(self, kind):
        return {"created": self.created, "id": self.id, "model": self.model,
                "system_fingerprint": self.fingerprint, "object": kind}

    def chunk(self, delta, finish=None, **more):
        if delta.get("content") == "":
            delta = {"role": "assistant", "content": None}
        value = {"choices": [{"finish_reason": finish, "index": 0, "delta": delta}],
                 **self.frame("chat.completion.chunk"), **more}
        value["timings"] = {"cache_n": 7, "prompt_n": 10, "prompt_ms": 251.51,
                            "prompt_per_second": 39.75985050296211, "predicted_n": 28}
        return value


class DeepSeek(Dialect):
    """Thinks in reasoning_content; content is null meanwhile; usage counts its cache."""

    fingerprint = "fp_44709d6fcb_prod0425fp8"
    reasoning_field = "reasoning_content"

    def chunk(self, delta, finish=None, **more):
        if "reasoning_content" in delta:
            delta = {"content": None, **delta}
        elif delta.get("content"):
            delta = {**delta, "reasoning_content": None}
        return super().chunk(delta, finish, **more)


class LiteLlm(Dialect):
    """A proxy that repeats the usage, leaves nulls and stamps its own fields into each chunk."""

    def frame(self, kind):
        value = super().frame(kind)
        del value["provider"]
        return value

    def chunk(self, delta, finish=None, **more):
        blank = {"provider_specific_fields": None, "refusal": None, "content": None, "role": None,
                 "function_call": None, "tool_calls": None, "audio": None}
        return super().chunk({**blank, **delta}, finish, citations=None, **more)
