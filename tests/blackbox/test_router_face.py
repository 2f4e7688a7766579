"""The router's face, path by path: what it tells, what it refuses, and what it leaves untouched."""

import contextlib
import http.client
import json

import home_socket
import pytest
from openai_scenarios import BIG_INT_ARGUMENTS, scenario
from router_service import MASTER_KEY, MESSAGES, read

PATHS = ["/v1/chat/completions", "/chat/completions"]

# One event is enough to hold whatever a parser might print differently: order and spacing, numbers
# that no double holds, escapes, a signature, fields that nobody has heard of.
ODD = (b'{ "id":"odd-1" ,"zz_unknown":[1e2, 18446744073709551617,{"a":"\\u00e9\\/"}],  "choices":'
       b'[{"index":0,"delta":{"role":"assistant","content":"odd","tool_calls":[{"index":0,"id":"c1"'
       b',"type":"function","function":{"name":"f","arguments":"{\\"id\\": 9007199254740993}"},'
       b'"extra_content":{"google":{"thought_signature":"c2ln+/=="}}}]},"finish_reason":null}]}')
ODD_END = b'{"id":"odd-1","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}'
ODD_STREAM = (b"event: message\r\ndata: " + ODD + b"\r\n\r\n: a comment\n\ndata:" + ODD_END +
              b"\n\ndata: [DONE]\n\n")
ODD_WHOLE = ODD.replace(b"delta", b"message").replace(b"null", b'"tool_calls"') + b" \n"


@scenario("odd-bytes")
def odd_bytes(turn):
    if not turn.streams:
        turn.conn.answer(200, ODD_WHOLE)
        return
    turn.start()
    turn.conn.send(ODD_STREAM)
    turn.conn.end()


# -- pages ----------------------------------------------------------------------------------------

@pytest.mark.parametrize("path", PATHS)
def test_a_chat_is_answered_with_and_without_v1(router, path):
    router.start({"free": ["echo"]})
    assert router.ask(path=path).text == "echo: hello"


@pytest.mark.parametrize("path", ["/openai/deployments/free", "/engines/free",
                                  "/openai/deployments/a/b"])
def test_a_path_may_name_the_model(router, up, path):
    """As clients of Azure ask, which need not say it again in the body."""
    router.start({"free": ["echo"], "a/b": ["fixed"]})
    answer = router.request("POST", f"{path}/chat/completions?api-version=1",
                            json.dumps({"messages": MESSAGES}))
    assert answer.status == 200, answer.body
    assert up.requests[0].model == ("fixed" if path.endswith("a/b") else "echo")


@pytest.mark.parametrize("before", ["/openai/deployments/", "/engines/"])
@pytest.mark.parametrize("said", ["free2", "echo", "none"])
def test_the_paths_model_wins_over_the_bodys(router, up, before, said):
    """As in LiteLLM; also where the body says what the deployment is called upstream."""
    router.start({"free": ["fixed"], "free2": ["echo"], "fixed": ["echo"]})
    for path, model in (("free", "fixed"), ("fixed", "echo")):
        answer = router.request("POST", f"{before}{path}/chat/completions",
                                json.dumps({"model": said, "messages": MESSAGES}))
        assert answer.status == 200, answer.body
        assert answer.headers["x-litellm-model-group"] == path
        assert up.requests[-1].model == model


@pytest.mark.parametrize("empty", ["", None])
def test_a_body_that_names_nothing_does_not_hide_the_paths_model(router, up, empty):
    """Also where the deployment's model has the name that the path says."""
    router.start({"echo": ["echo"]})
    answer = router.request("POST", "/engines/echo/chat/completions",
                            json.dumps({"model": empty, "messages": MESSAGES}))
    assert answer.status == 200, answer.body
    assert up.requests[0].model == "echo"


def test_one_model_can_be_looked_up(router):
    router.start({"free": ["echo"], "a/b": ["echo"]}, model_group_alias={"gpt-4": "free"})
    for name in ("free", "a/b", "gpt-4"):
        found = router.request("GET", f"/v1/models/{name}")
        assert found.status == 200 and found.json["id"] == name, found.body
        assert found.json["object"] == "model"
    missing = router.request("GET", '/models/no"ne')
    assert missing.status == 404 and 'no"ne' in missing.json["detail"]


def test_a_slash_at_the_end_of_a_path_means_nothing(router):
    router.start({"free": ["echo"]})
    assert router.ask(path="/v1/chat/completions/").text == "echo: hello"


@pytest.mark.parametrize("path,member", [
    ("/v1/chat/completions", "messages"), ("/completions", "prompt"), ("/v1/embeddings", "input")])
@pytest.mark.parametrize("more", [{}, {"model": "none"}])
def test_what_a_request_cannot_lack(router, up, path, member, more):
    """Said before the model is looked for, and not left to a provider."""
    router.start({"free": ["echo"]})
    for body in ({"model": "free", **more}, {"model": "free", **more, member: None}):
        answer = router.request("POST", path, json.dumps(body))
        assert answer.status == 400 and not up.requests
        assert answer.error == {
            "message": f"{path.removeprefix('/v1')}: Missing required parameter: '{member}'.",
            "type": "invalid_request_error", "param": member, "code": "400"}


def test_a_stream_that_ends_well_ends_with_its_mark(router):
    router.start({"free": ["no-done"]})
    answer = router.ask(stream=True)
    assert answer.whole and answer.text == "complete without a marker"
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.events.count("[DONE]") == 1


@pytest.mark.parametrize("path", ["/v1/embeddings", "/embeddings"])
def test_embeddings_pass(router, path, up):
    router.start({"free": ["fixed"]})
    answer = router.request("POST", path, json.dumps({"model": "free", "input": "x"}))
    assert answer.status == 200 and answer.json["data"][0]["embedding"]
    assert up.requests[0].path == "/v1/embeddings" and up.requests[0].model == "fixed"


@pytest.mark.parametrize("path", ["/v1/completions", "/completions"])
def test_text_completions_pass(router, path, up):
    router.start({"free": ["echo"]})
    answer = router.request("POST", path, json.dumps({"model": "free", "prompt": "x"}))
    assert answer.json["choices"][0]["text"] == "echo: x"
    assert up.requests[0].path == "/v1/completions"


@pytest.mark.parametrize("path", ["/v1/models", "/models"])
def test_the_list_of_models(router, path):
    router.start({"free": ["echo"], "strong": ["fixed", "echo"]})
    told = router.request("GET", path).json
    assert told["object"] == "list"
    assert [model["id"] for model in told["data"]] == ["free", "strong"]


@pytest.mark.parametrize("path", ["/v1/model/info", "/model/info"])
def test_what_is_known_of_a_model_and_no_key(router, path, up):
    priced = router.deployment("echo", input_cost_per_token=0.000001)
    router.start({"free": [{**priced, "model_info": {"id": "mine"}}]})
    answer = router.request("GET", path)
    entry, = answer.json["data"]
    assert entry["model_name"] == "free" and entry["litellm_params"]["model"] == "openai/echo"
    assert entry["model_info"]["id"] == "mine"
    assert entry["model_info"]["input_cost_per_token"] == 0.000001
    assert up.api_key.encode() not in answer.body


def test_a_page_that_is_too_large_is_refused_with_a_sentence(router):
    """The addresses come from a variable, so the configuration is small and the page is not."""
    router.hermes.environment["LONG"] = "http://127.0.0.1:9/" + "a" * 25_000
    far = {"model": "openai/echo", "api_base": "os.environ/LONG", "api_key": "none"}
    router.start({f"m{i}": [dict(far)] for i in range(200)})
    answer = router.request("GET", "/model/info")
    assert answer.status == 500
    assert answer.body == b"this page cannot be shown: the JSON document is larger than 4096 KiB\n"
    assert len(router.request("GET", "/models").json["data"]) == 200
    one = router.request("GET", "/model/info?litellm_model_id=none")
    assert (one.status, one.body) == (200, b'{"data":[]}')


def test_health_tells_the_last_calls_and_makes_none(router, up):
    router.start({"free": ["401"], "cheap": ["echo"]})
    router.ask()
    before = len(up.requests)
    told = router.request("GET", "/health").json
    assert [e["model"] for e in told["healthy_endpoints"]] == ["openai/echo"]
    assert [e["model"] for e in told["unhealthy_endpoints"]] == ["openai/401"]
    assert (told["healthy_count"], told["unhealthy_count"]) == (1, 1)
    assert len(up.requests) == before


@pytest.mark.parametrize("path", ["/health/liveliness", "/health/liveness"])
def test_probes_are_open(router, path):
    router.start({"free": ["echo"]})
    answer = router.request("GET", path, headers={})
    assert answer.status == 200 and answer.json == "I'm alive!"


def test_readiness_names_what_it_stands_on(router, up):
    """Of the ledger: what an earlier process left is taken up first."""
    router.start({"free": ["echo"]})
    assert up.wait_for(lambda: router.request("GET", "/health/readiness",
                                              headers={}).json["db"] == "connected")
    told = router.request("GET", "/health/readiness", headers={}).json
    assert told["status"] == "healthy" and "trouble" not in told


def test_metrics_count_what_was_asked(router):
    router.start({"free": ["echo"]})
    router.ask()
    router.ask(stream=True)
    total = [value for name, value in router.metrics().items()
             if name.startswith("litellm_proxy_total_requests_metric_total{")]
    assert sum(total) == 2


def test_metrics_need_no_key_where_the_owner_said_so(router):
    router.start({"free": ["echo"]}, litellm={"require_auth_for_metrics_endpoint": False})
    assert router.request("GET", "/metrics", headers={}).status == 200
    assert router.request("GET", "/v1/models", headers={}).status == 401


# -- refusals -------------------------------------------------------------------------------------

@pytest.mark.parametrize("method,path", [("GET", "/"), ("GET", "/v1"), ("GET", "/v1/chat"),
                                         ("POST", "/v1/responses"), ("GET", "/v1/v1/models"),
                                         ("GET", "/health/other")])
def test_what_is_not_there(router, method, path):
    router.start({"free": ["echo"]})
    answer = router.request(method, path, "{}" if method == "POST" else None)
    assert answer.status == 404 and answer.json == {"detail": "Not Found"}


@pytest.mark.parametrize("method,path,allowed", [
    ("GET", "/v1/chat/completions", "POST"), ("PUT", "/v1/embeddings", "POST"),
    ("DELETE", "/v1/models", "GET"), ("POST", "/metrics", "GET"),
    ("POST", "/health/liveliness", "GET")])
def test_a_method_that_a_path_does_not_take(router, method, path, allowed):
    router.start({"free": ["echo"]})
    answer = router.request(method, path)
    assert answer.status == 405 and allowed in answer.headers["allow"]


@pytest.mark.parametrize("body", [
    b"", b"{", b"[]", b'"model"', b"null", b'{"model": "free",}', b'{"model": "free"} x',
    b'{"model": "free", "messages": [}', b"\xff\xfe", b'{"model": 7}',
    b'{"messages": []}', b'{"model": "free", "model": "strong"}',
    b'{"model": "free", "stream": true, "stream": false}',
    b'{"model": "free", "\\u006dodel": "strong"}', b"[" * 100000])
def test_a_body_that_cannot_be_meant_is_refused_and_not_passed_on(router, up, body):
    """Two members of one name, too: what we read of it and what the upstream reads may differ."""
    router.start({"free": ["echo"], "strong": ["echo"]})
    answer = router.request("POST", "/v1/chat/completions", body)
    assert answer.status == 400 and answer.error["code"] == "400", answer.body
    assert answer.error["message"] and not up.requests


def test_an_error_has_litellms_shape(router):
    router.start({"free": ["echo"]})
    error = router.ask(model="none").json
    assert set(error) == {"error"} and set(error["error"]) == {"message", "type", "param", "code"}
    assert error["error"]["code"] == "400" and "none" in error["error"]["message"]


def test_an_upstreams_error_has_litellms_shape_and_names_the_class(router):
    router.start({"free": ["401"]})
    answer = router.ask()
    assert answer.status == 401 and answer.error["code"] == "401"
    assert answer.error["message"].startswith("litellm.AuthenticationError: ")


def test_a_body_that_is_too_large(router, up):
    router.start({"free": ["echo"]}, own={"max_body": "10Ki"})
    assert router.ask(user="x" * 20000).status == 413
    assert router.ask().status == 200 and len(up.requests) == 1


def test_a_header_that_is_too_large(router, up):
    router.start({"free": ["echo"]})
    assert router.ask(headers={"X-Large": "x" * 40000}).status == 431
    assert router.ask().status == 200 and len(up.requests) == 1


# -- keys -----------------------------------------------------------------------------------------

@pytest.mark.parametrize("name,value", [
    ("Authorization", f"Bearer {MASTER_KEY}"), ("authorization", f"bearer  {MASTER_KEY}"),
    ("x-litellm-api-key", MASTER_KEY), ("x-litellm-api-key", f"Bearer {MASTER_KEY}"),
    ("api-key", MASTER_KEY), ("x-api-key", MASTER_KEY)])
def test_a_key_is_taken_from_every_header_that_clients_use(router, name, value):
    router.start({"free": ["echo"]})
    assert router.request("GET", "/v1/models", headers={name: value}).status == 200


def test_a_key_in_the_owners_own_header(hermes, router):
    config = router.config({"free": ["echo"]})
    config["general_settings"]["litellm_key_header_name"] = "X-House-Key"
    hermes.put("router.yaml", json.dumps(config))
    router.restart()
    for value in (MASTER_KEY, f"Bearer {MASTER_KEY}"):
        assert router.request("GET", "/v1/models", headers={"x-house-key": value}).status == 200
    assert router.request("GET", "/v1/models", headers={"x-house-key": "sk-no"}).status == 401


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer ", "Basic c2s=", f"Bearer {MASTER_KEY}x",
                                   f"Bearer {MASTER_KEY[:-1]}", f"Bearer {MASTER_KEY} x"])
def test_what_is_nearly_a_key_is_none(router, value):
    router.start({"free": ["echo"]})
    assert router.request("GET", "/v1/models", headers={"Authorization": value}).status == 401


def test_no_clients_key_goes_to_the_upstream(router, up):
    router.start({"free": ["echo"]})
    router.ask(headers={"x-api-key": MASTER_KEY, "api-key": MASTER_KEY})
    assert not any(MASTER_KEY in value for _, value in up.requests[0].fields)


# -- headers --------------------------------------------------------------------------------------

@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_tells_where_it_comes_from(router, up, stream):
    router.start({"free": [{**router.deployment("echo"), "model_info": {"id": "mine"}}]})
    headers = router.ask(stream=stream).headers
    assert headers["x-litellm-model-id"] == "mine"
    assert headers["x-litellm-model-group"] == "free"
    assert headers["x-litellm-model-name"] == "openai/echo"
    assert headers["x-litellm-model-api-base"] == up.base_url
    assert headers["x-litellm-attempted-retries"] == headers["x-litellm-attempted-fallbacks"] == "0"
    for name in ("x-litellm-call-id", "x-litellm-version", "x-litellm-response-duration-ms"):
        assert headers[name]


def test_the_cost_of_a_whole_answer_is_a_header(router):
    router.start({"free": ["echo"]})
    assert float(router.ask().headers["x-litellm-response-cost"]) == 0.00014


@pytest.mark.parametrize("given,kept", [("mine-1", True), ("x" * 65, False), ("a b", False)])
def test_a_clients_own_id_of_its_call(router, given, kept):
    router.start({"free": ["echo"]})
    told = router.ask(headers={"x-litellm-call-id": given}).headers["x-litellm-call-id"]
    assert (told == given) is kept


def test_one_id_for_many_calls_at_once_hides_none_of_them(router, hermes, up):
    """The ledger tells calls apart by their ids, and a client must not be able to lose some."""
    router.start({"free": ["hold"]})
    with contextlib.ExitStack() as clients:
        for _ in range(5):
            clients.enter_context(router.open(headers={"x-litellm-call-id": "same"}))
        assert up.wait_for(lambda: len(up.requests) == 5)
    cost = lambda: home_socket.ask(hermes.home, "GET", "/cost/model/1")[1]  # noqa: E731
    assert up.wait_for(lambda: cost().get("today", {}).get("cancelled") == 5, 60), cost()


def test_two_calls_have_two_ids(router):
    router.start({"free": ["echo"]})
    assert len({router.ask().headers["x-litellm-call-id"] for _ in range(3)}) == 3


@pytest.mark.parametrize("stream", [False, True])
def test_the_upstreams_headers_come_with_a_name_of_their_own(router, stream):
    router.start({"free": ["echo"]})
    headers = router.ask(stream=stream).headers
    assert headers["llm_provider-x-generation-id"].startswith("gen-")
    assert "x-generation-id" not in headers
    assert not {"llm_provider-content-length", "llm_provider-transfer-encoding"} & set(headers)


def test_a_fallback_is_told(router):
    router.start({"free": ["500-html"], "cheap": ["echo"]}, fallbacks=[{"free": ["cheap"]}])
    headers = router.ask().headers
    assert headers["x-litellm-attempted-fallbacks"] == "1"


# -- bytes ----------------------------------------------------------------------------------------

ODD_REQUEST = (
    '{ "zz":"NAME" ,  "model" : "free","messages":[{"role":"user","content":"é\\u00e9\\/ 😀"},'
    '{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":'
    '{"name":"f","arguments":"{\\"id\\": 9007199254740993}"},"extra_content":{"google":'
    '{"thought_signature":"c2ln+/=="}}}]},{"role":"tool","tool_call_id":"c1","content":"x"}],'
    '"provider":{"big": 18446744073709551617, "e":1E+2,"deep":[[{"zz":-0.0}]]},\n"seed":1 }')


@pytest.mark.parametrize("stream", [False, True])
def test_a_request_arrives_but_for_the_models_name_as_it_was_sent(router, up, stream):
    """Also what we have no name for, and what a parser would print otherwise."""
    router.start({"free": ["echo"]})
    options = '"stream":true,"stream_options": {"include_usage" :true, "zz":1.0},' if stream else ""
    sent = ODD_REQUEST.replace('"zz":"NAME" ,', options)
    assert router.request("POST", "/v1/chat/completions", sent.encode()).status == 200
    assert up.requests[0].body.decode() == sent.replace('"free"', '"echo"')


def test_a_field_without_a_name_goes_along(router, up):
    """The picky upstream here refuses it; that is not ours to decide."""
    router.start({"free": ["echo"]})
    assert router.request("POST", "/v1/chat/completions", ODD_REQUEST.encode()).status == 400
    assert up.requests[0].body.decode() == ODD_REQUEST.replace('"free"', '"echo"')


def test_a_whole_answer_arrives_as_it_was_sent(router):
    router.start({"free": ["odd-bytes"]})
    assert router.ask().body == ODD_WHOLE


def test_a_stream_arrives_as_it_was_sent(router):
    router.start({"free": ["odd-bytes"]})
    assert router.ask(stream=True).body == ODD_STREAM


@pytest.mark.parametrize("stream", [False, True])
def test_the_arguments_of_a_tool_call_are_untouched(router, stream):
    router.start({"free": ["big-int"]})
    answer = router.ask(stream=stream)
    if stream:
        parts = [call["function"].get("arguments", "") for event in answer.events[:-1]
                 for choice in event["choices"] for call in choice["delta"].get("tool_calls", [])]
        assert "".join(parts) == BIG_INT_ARGUMENTS
    else:
        call, = answer.json["choices"][0]["message"]["tool_calls"]
        assert call["function"]["arguments"] == BIG_INT_ARGUMENTS


def test_the_usage_that_only_we_asked_for_is_not_passed_on(router, up):
    router.start({"free": ["echo"]})
    answer = router.ask(stream=True)
    assert up.requests[0].json["stream_options"] == {"include_usage": True}
    assert all(event["choices"] for event in answer.events[:-1]) and answer.whole
    assert b'"usage"' not in answer.body


def test_the_usage_that_the_client_asked_for_is(router, up):
    router.start({"free": ["echo"]})
    answer = router.ask(stream=True, stream_options={"include_usage": True})
    *_, usage, done = answer.events
    assert usage["choices"] == [] and usage["usage"]["cost"] == 0.00014 and done == "[DONE]"


def test_a_clients_wish_for_no_usage_does_not_blind_the_ledger(router, up):
    router.start({"free": ["echo"]})
    answer = router.ask(stream=True, stream_options={"include_usage": False},
                        headers={"x-litellm-call-id": "unasked"})
    assert b'"usage"' not in answer.body
    row, = router.attempts("unasked")
    assert row["prompt_tokens"] > 0 and row["cost_usd"] == 0.00014


def test_requests_on_one_connection(router):
    router.start({"free": ["echo"]})
    connection = http.client.HTTPConnection("127.0.0.1", router.port, timeout=60)
    body = json.dumps({"model": "free", "messages": MESSAGES, "stream": True})
    for _ in range(3):
        connection.request("POST", "/v1/chat/completions", body, router.headers())
        assert read(connection.getresponse()).text == "echo: hello"
    connection.close()
