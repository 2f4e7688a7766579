"""The upstream that fails: silence, cuts, HTTP errors, errors inside a 200.

Same registry as openai_scenarios; apart from it only so that each file can be read in one sitting.
"""

import openai_wire as wire
from openai_scenarios import KEEPALIVE, PATIENCE, echo, error_object, scenario

# -- silence --------------------------------------------------------------------------------------


@scenario("hang")
def hang(turn):
    turn.conn.wait(turn.number(PATIENCE))
    echo(turn)


@scenario("hang-first-byte")
def hang_first_byte(turn):
    turn.start()
    turn.conn.wait(turn.number(PATIENCE))


@scenario("hang-mid")
def hang_mid(turn):
    turn.begin_text("one ", "two ", "three ")
    turn.conn.wait(turn.number(PATIENCE))


@scenario("hang-after-finish")
def hang_after_finish(turn):
    """All was said, [DONE] too, only the end of the body does not come."""
    turn.begin_text("all said")
    turn.send(turn.dialect.chunk({}, "stop"))
    turn.send("[DONE]")
    turn.conn.wait(turn.number(PATIENCE))


@scenario("hang-comments")
def hang_comments(turn):
    """Alive by the byte, dead by the meaning: only a total limit ends it."""
    turn.start()
    for _ in range(int(turn.number(PATIENCE) / 0.1)):
        turn.conn.send(KEEPALIVE)
        turn.conn.wait(0.1)


@scenario("drip")
def drip(turn):
    """One word every 50 ms, for as long as anybody listens."""
    turn.begin_text()
    for number in range(int(PATIENCE / 0.05)):
        turn.send(turn.dialect.chunk({"content": f"word{number} "}))
        turn.conn.wait(0.05)


@scenario("hold")
def hold(turn):
    """One word, then nothing until the test sets `upstream.release`."""
    turn.begin_text("held ")
    turn.conn.wait(PATIENCE, turn.upstream.release)
    turn.send(turn.dialect.chunk({"content": "released"}))
    turn.send(turn.dialect.chunk({}, "stop"))
    turn.done()


@scenario("hold-first")
def hold_first(turn):
    """Nothing at all until the test sets `upstream.release`, then an echo."""
    turn.conn.wait(PATIENCE, turn.upstream.release)
    echo(turn)


# -- cuts -----------------------------------------------------------------------------------------

@scenario("cut-before-headers")
def cut_before_headers(turn):
    turn.conn.cut()


@scenario("cut-headers")
def cut_headers(turn):
    turn.conn.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/ev")
    turn.conn.cut()


@scenario("cut-json")
def cut_json(turn):
    """The connection ends in the middle of a JSON object."""
    if turn.streams:
        turn.begin_text("the first part ")
        data = turn.event(turn.dialect.chunk({"content": "never complete"}))
        turn.conn.send(data[:len(data) // 2])
    else:
        body = wire.compact(turn.dialect.whole(wire.Answer("never complete"))).encode()
        turn.conn.head(200, [("Content-Type", "application/json"),
                             ("Content-Length", len(body))])
        turn.conn.write(body[:len(body) // 2])
    turn.conn.cut()


@scenario("cut-json-clean")
def cut_json_clean(turn):
    """Half a JSON object and a flawless end of the HTTP message."""
    if turn.streams:
        turn.begin_text("the first part ")
        data = turn.event(turn.dialect.chunk({"content": "never complete"}))
        turn.conn.send(data[:len(data) // 2])
        turn.conn.end()
    else:
        body = wire.compact(turn.dialect.whole(wire.Answer("never complete")))
        turn.conn.answer(200, body[:len(body) // 2])


@scenario("cut-utf8")
def cut_utf8(turn):
    """The connection ends inside a character."""
    if turn.streams:
        turn.begin_text("Gr")
        data = turn.event(turn.dialect.chunk({"content": "üße 世界"}))
    else:
        data = wire.compact(turn.dialect.whole(wire.Answer("Grüße 世界"))).encode()
        turn.conn.head(200, [("Content-Type", "application/json"),
                             ("Content-Length", len(data))])
    turn.conn.send(data[:data.index("世".encode()) + 1])
    turn.conn.cut()


@scenario("cut-stream")
def cut_stream(turn):
    turn.begin_text("one ", "two ", "three ")
    turn.conn.cut()


@scenario("rst-stream")
def rst_stream(turn):
    turn.begin_text("one ", "two ", "three ")
    turn.conn.wait(0.05)
    turn.conn.reset()


@scenario("cut-stream-clean")
def cut_stream_clean(turn):
    """Three deltas and a flawless end of the HTTP message: silent truncation unless noticed."""
    turn.begin_text("one ", "two ", "three ")
    turn.conn.end()


@scenario("cut-stream-close")
def cut_stream_close(turn):
    """The same without chunked encoding: the close itself is the end of the body."""
    turn.conn.start_until_close()
    for word in ("one ", "two ", "three "):
        turn.send(turn.dialect.chunk({"content": word}))
    turn.conn.cut()


@scenario("cut-tools")
def cut_tools(turn):
    """Ends inside a tool call's arguments, which happen to be valid JSON so far."""
    if turn.results():
        turn.say_results_or([])
        return
    call = turn.dialect.call(wire.Call("write_file", '{"path":"half.txt","content":"x"}'), 0)
    turn.start()
    turn.send(turn.dialect.chunk({"role": "assistant", "tool_calls": [call]}))
    turn.conn.end()


# -- HTTP errors ----------------------------------------------------------------------------------

@scenario("429")
def too_many_once(turn):
    """Refused once with Retry-After, then answered."""
    if turn.upstream.count(turn.body["model"]) == 1:
        turn.error(429, "Rate limit exceeded: free-models-per-min.", fields=[
            ("Retry-After", turn.number(1)), ("X-RateLimit-Limit", 20),
            ("X-RateLimit-Remaining", 0)], error_type="rate_limit_exceeded")
    else:
        turn.say(wire.Answer("answered at the second try"))


@scenario("429-forever")
def too_many(turn):
    turn.error(429, "Rate limit exceeded: free-models-per-day.",
               fields=[("Retry-After", turn.number(1))], error_type="rate_limit_exceeded")


@scenario("429-long")
def too_many_for_a_day(turn):
    turn.error(429, "Rate limit exceeded: free-models-per-day.",
               fields=[("Retry-After", 86400)], error_type="rate_limit_exceeded")


@scenario("429-date")
def too_many_until(turn):
    """Retry-After as a date, long past by the time it is read."""
    if turn.upstream.count(turn.body["model"]) == 1:
        turn.error(429, "slow down", fields=[("Retry-After", "Wed, 21 Oct 2015 07:28:00 GMT")])
    else:
        turn.say(wire.Answer("answered at the second try"))


@scenario("429-nonsense")
def too_many_nonsense(turn):
    if turn.upstream.count(turn.body["model"]) == 1:
        turn.error(429, "slow down", fields=[("Retry-After", "-99999999999999999999")])
    else:
        turn.say(wire.Answer("answered at the second try"))


@scenario("500-html")
def server_error_html(turn):
    turn.conn.answer(500, "<!DOCTYPE html><html><head><title>500 Internal Server Error</title>"
                     "</head><body><h1>Internal Server Error</h1>" + "<p>nginx</p>" * 500 +
                     "</body></html>", kind="text/html; charset=utf-8")


@scenario("500-once")
def server_error_once(turn):
    if turn.upstream.count(turn.body["model"]) == 1:
        turn.error(500, "Internal Server Error", error_type="server")
    else:
        turn.say(wire.Answer("answered at the second try"))


@scenario("500-empty")
def server_error_empty(turn):
    turn.conn.head(500, [("Content-Length", 0)])


@scenario("401")
def unauthorized(turn):
    """A provider that quotes the key it was given, as OpenAI does in part."""
    key = turn.request.headers.get("authorization", "").removeprefix("Bearer ")
    turn.conn.answer(401, {"error": {
        "message": f"Incorrect API key provided: {key}. You can find your API key at "
        "https://platform.example.test/account/api-keys.",
        "type": "invalid_request_error", "param": None, "code": "invalid_api_key"}})


@scenario("402")
def payment_required(turn):
    turn.error(402, "Insufficient credits. Add more using https://openrouter.test/credits",
               error_type="payment_required")


@scenario("403")
def forbidden(turn):
    turn.error(403, "Your input was flagged", reasons=["violence"], flagged_input="…",
               provider_name="Fake")


@scenario("403-page")
def firewall(turn):
    """What stands before a provider and dislikes something in the prompt."""
    turn.conn.answer(403, "<html><head><title>403 Forbidden</title></head>"
                     "<body><center><h1>403 Forbidden</h1></center></body></html>",
                     kind="text/html")


@scenario("403-guidelines")
def against_guidelines(turn):
    """xAI's words for a prompt that it refuses, under a code that speaks of permissions."""
    turn.conn.answer(403, {
        "code": "The caller does not have permission to execute the specified operation",
        "error": "Content violates usage guidelines. Team: t, API key ID: k, Model: m, Failed "
                 "check: SAFETY_CHECK_TYPE_BIO"})


@scenario("403-key")
def key_may_not(turn):
    turn.error(403, "This key may not use this model", error_type="permission_denied")


@scenario("404-image")
def no_images(turn):
    """A model that is there, and cannot do what this request wants."""
    turn.error(404, "No endpoints found that support image input",
               routing_funnel=[{"step": "Initial Endpoints", "endpoint_count": 1}],
               failed_routing_step="Filter by Image Support")


@scenario("404-tools")
def no_tools(turn):
    turn.error(404, 'No endpoints found that support tool use. Try disabling "f". To learn more '
               "about provider routing, visit: https://openrouter.test/docs/provider-selection",
               failed_routing_step="Filter by Tool Compatibility")


@scenario("404-providers")
def no_provider_left(turn):
    """The client chose providers of which none has the model."""
    turn.error(404, "No allowed providers are available for the selected model. Providers serving "
               "vendor/model: one, but your request's provider.only preference permits only: two.",
               available_providers=["one"], requested_providers=["two"],
               failed_routing_step="Filter by Allowed Providers")


@scenario("404-account")
def no_provider_allowed(turn):
    """The same, but it is the account that forbids them."""
    turn.error(404, "No allowed providers are available for the selected model. Providers serving "
               "vendor/model: one, but your account's allowed-providers setting permits only: two.",
               failed_routing_step="Filter by Allowed Providers")


@scenario("404")
def not_found(turn):
    """The availability shape: http_status and no code."""
    turn.conn.answer(404, {"error": {
        "message": f"No endpoints found for {turn.body['model']}.", "http_status": 404,
        "availability": {"code": "free_variant_ended", "retryable": False}}})


@scenario("408")
def request_timeout(turn):
    turn.error(408, "Request timed out", error_type="timeout")


@scenario("413")
def too_large(turn):
    turn.error(413, "Payload too large", error_type="payload_too_large")


@scenario("422")
def unprocessable(turn):
    turn.error(422, "Unprocessable", error_type="unprocessable")


@scenario("502")
def bad_gateway(turn):
    turn.error(502, "Provider returned error", error_type="provider_unavailable")


@scenario("503")
def unavailable(turn):
    turn.error(503, "No provider meets the routing requirements",
               error_type="provider_overloaded", fields=[("Retry-After", turn.number(1))])


@scenario("504")
def gateway_timeout(turn):
    turn.error(504, "Gateway timeout", error_type="timeout")


@scenario("529")
def overloaded(turn):
    turn.conn.answer(529, {"type": "error", "error": {"type": "overloaded_error",
                                                      "message": "Overloaded"}})


@scenario("400-context")
def context_length(turn):
    turn.error(400, "This endpoint's maximum context length is 8192 tokens. However, you "
               "requested about 9000 tokens.", error_type="context_length_exceeded")


@scenario("400-long")
def long_message(turn):
    """An error message of a megabyte with terminal escapes in it."""
    turn.error(400, "bad \x1b[2J\x1b]0;owned\x07 request " + "very " * 200000 + "long")


@scenario("400-string")
def error_is_a_string(turn):
    turn.conn.answer(400, {"error": "model is required"})


@scenario("400-detail")
def error_is_a_detail(turn):
    """FastAPI's shape, from servers that forgot OpenAI's."""
    turn.conn.answer(400, {"detail": [{"loc": ["body"], "msg": "field required"}]})


@scenario("gemini-array")
def gemini_array(turn):
    turn.conn.answer(400, [{"error": {
        "code": 400, "message": "Please use a valid role: user, model.",
        "status": "INVALID_ARGUMENT"}}])


@scenario("redirect")
def redirect(turn):
    """To another host: whoever follows it hands the key to a stranger."""
    turn.conn.answer(302, "", fields=[("Location", turn.upstream.redirect_to)])


# -- errors inside a 200 --------------------------------------------------------------------------

@scenario("200-error")
def error_in_200(turn):
    turn.conn.answer(200, error_object(502, "Provider returned error",
                                       error_type="provider_unavailable"))


@scenario("200-limit")
def limit_in_200(turn):
    turn.conn.answer(200, error_object(429, "Rate limit exceeded",
                                       error_type="rate_limit_exceeded"))


@scenario("200-limit-event")
def limit_in_first_event(turn):
    turn.start()
    turn.send(error_object(429, "Rate limit exceeded", error_type="rate_limit_exceeded"))
    turn.done()


@scenario("201-cut")
def created_and_cut(turn):
    """A stream under another status of success, which never ends."""
    turn.conn.start_chunked(201)
    turn.send(turn.dialect.chunk({"role": "assistant", "content": "one "}))
    turn.conn.wait(PATIENCE, turn.upstream.release)
    turn.conn.cut()


@scenario("201-error")
def created_and_broken(turn):
    """An error as a first event under another status of success, and silence."""
    turn.conn.start_chunked(201)
    turn.send(error_object(500, "it broke"))
    turn.conn.wait(PATIENCE, turn.upstream.release)
    turn.conn.cut()


@scenario("choice-error")
def error_in_choice(turn):
    """Partial content and an error in choices[0], HTTP 200."""
    if turn.streams:
        with turn.conn.at_once():
            turn.start()
            turn.send(turn.dialect.chunk({"role": "assistant", "content": "partial"}))
            value = turn.dialect.chunk({"content": ""}, "error")
            value["choices"][0]["error"] = {"code": 502, "message": "Upstream broke off"}
            turn.send(value)
            turn.conn.end()
        return
    value = turn.dialect.whole(wire.Answer("partial", finish="error"))
    value["choices"][0]["error"] = {"code": 502, "message": "Upstream broke off"}
    turn.conn.answer(200, value)


def stream_error_with(turn, code, after=("one ", "two ")):
    with turn.conn.at_once():
        turn.begin_text(*after)
        value = turn.dialect.chunk({"content": ""}, "error")
        value["error"] = {"code": code, "message": "Provider disconnected unexpectedly",
                          "metadata": {"error_type": "provider_unavailable"}}
        turn.send(value)
        turn.conn.end()


@scenario("stream-error")
def stream_error(turn):
    stream_error_with(turn, 502)


@scenario("stream-error-string")
def stream_error_string(turn):
    stream_error_with(turn, "server_error")


@scenario("stream-error-bare")
def stream_error_bare(turn):
    """An error object as the first and only event, as proxies send it, then [DONE]."""
    turn.start()
    turn.send({"error": {"message": "overloaded", "type": "server_error", "param": None,
                         "code": "503"}})
    turn.done()


@scenario("stream-error-event")
def stream_error_event(turn):
    """A typed SSE event."""
    with turn.conn.at_once():
        turn.begin_text("one ")
        turn.conn.send(b'event: error\ndata: {"error":{"message":"it broke","code":500}}\n\n')
        turn.conn.end()


@scenario("empty-stream")
def empty_stream(turn):
    turn.start()
    turn.done()


@scenario("no-events")
def no_events(turn):
    turn.start()
    turn.conn.end()


@scenario("empty-answer")
def empty_answer(turn):
    """A finish reason and not one character."""
    turn.say(wire.Answer(""))


@scenario("withheld")
def withheld(turn):
    """A content filter that leaves nothing of the answer."""
    turn.say(wire.Answer("", finish="content_filter"))


@scenario("empty-choices")
def empty_choices(turn):
    value = turn.dialect.whole(wire.Answer("x"))
    value["choices"] = []
    if turn.streams:
        turn.start()
        turn.send(value)
        turn.done()
    else:
        turn.conn.answer(200, value)


@scenario("empty-body")
def empty_body(turn):
    turn.conn.answer(200, "")


@scenario("not-sse")
def not_sse(turn):
    turn.conn.answer(200, "<html><body>Please log in to the guest network</body></html>",
                     kind="text/html")


@scenario("json-for-stream")
def json_for_stream(turn):
    turn.streams = False
    turn.say(wire.Answer("whole in spite of the question"))


@scenario("stream-for-json")
def stream_for_json(turn):
    turn.streams = True
    turn.say(wire.Answer("a stream in spite of the question"))
