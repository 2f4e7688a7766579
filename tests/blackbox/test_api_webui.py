"""Open WebUI in front of the agent: its requests as version 0.12 sends them, and what it reads of
the answers."""

import json

import pytest

import telegram_models  # noqa: F401  registers its scenarios
from api_client import text_of, text_of_chunks
from harness import comes_true
from test_api import WRITE, api, sessions  # noqa: F401  api is a fixture

CHAT = "/v1/chat/completions"
USER = {"X_OpenWebUI_User_Name": "Ada%20L.", "X_OpenWebUI_User_Id": "0b1c",
        "X_OpenWebUI_User_Email": "ada@localhost", "X_OpenWebUI_User_Role": "admin",
        "X_OpenWebUI_Auth_Type": "jwt"}
# Its own tools, which it would run itself if the model called them.
TOOLS = [{"type": "function", "function": {
    "name": "get_current_timestamp", "description": "The time.",
    "parameters": {"type": "object", "properties": {}}}}]
CHORES = {"title": "Generate a concise title", "tags": "Generate 1-3 broad tags",
          "follow_up": "Predict 3-5 useful messages"}


def chore(kind, said="USER: one"):
    return f"### Task:\n{CHORES[kind]}\n### Chat History:\n<chat_history>\n{said}\n</chat_history>"


def told(*messages):
    return [{"role": "assistant" if n % 2 else "user", "content": text}
            for n, text in enumerate(messages)]


class WebUi:
    def __init__(self, asked, **headers):
        self.asked, self.headers = asked, {**USER, **headers}

    def say(self, *messages, **more):
        """The text of a streamed answer, and its session."""
        with self.asked.stream(CHAT, {"model": "hermes-agent", "messages": told(*messages),
                                      "tools": TOOLS, "stream_options": {"include_usage": True},
                                      **more}, **self.headers) as stream:
            return text_of_chunks(stream.events()), stream.session

    def chore(self, kind):
        return self.asked.post(CHAT, {"model": "hermes-agent", "messages": told(chore(kind)),
                                      "stream": False, "max_tokens": 1000}, **self.headers)


def in_chat(asked, name):
    """With ENABLE_FORWARD_USER_INFO_HEADERS it tells which of its chats it is."""
    return WebUi(asked, X_OpenWebUI_Chat_Id=name)


# -- the connection -------------------------------------------------------------------------------

def test_the_connection_is_tried(api):
    asked = api()
    models = asked.get("/v1/models", **USER, Content_Type="application/json").ok()
    assert [model["id"] for model in models["data"]] == ["hermes-agent"]
    asked.get("/models", **USER).refused(404, "/v1")  # the address without its end
    asked.key = "wrong"
    asked.get("/v1/models", **USER).refused(401, "API_SERVER_KEY")


# -- a chat and what is asked beside it -----------------------------------------------------------

@pytest.mark.parametrize("named", [False, True])
def test_a_chat_with_its_chores(hermes, up, api, named):
    asked = api("history")
    web = in_chat(asked, "073a275a-91ba") if named else WebUi(asked)
    text_of(web.chore("title"))  # before the question itself
    assert not json.loads(up.requests[-1].body).get("tools")
    first, session = web.say("one")
    names = [tool["function"]["name"] for tool in json.loads(up.requests[-1].body)["tools"]]
    assert "write_file" in names and "get_current_timestamp" not in names
    for kind in ("follow_up", "tags"):
        assert text_of(web.chore(kind)) == "system user"
    second, again = web.say("one", first, "two")
    assert second == "system user assistant user" and again == session
    assert comes_true(lambda: [one["id"] for one in sessions(hermes)] == [session])


def test_a_title_is_written_while_the_answer_is(hermes, up, api):
    asked = api("gate")
    for headers in ({"X_OpenWebUI_Chat_Id": "c"}, {"X_Hermes_Session_Id": "c"}):
        with asked.stream(CHAT, {"messages": told("one")}, **headers) as stream:
            stream.until("begun")
            up.release.set()
            text_of(WebUi(asked, **headers).chore("title"))
            assert stream.events()[-1] == ("", "[DONE]")
        up.release.clear()
    assert comes_true(lambda: len(sessions(hermes)) == 2)


def test_a_chore_leaves_the_session_that_its_connection_names(hermes, api):
    """A header of the connection that is {{CHAT_ID}} comes with chores as well."""
    web = WebUi(api("history"), X_Hermes_Session_Id="mine")
    web.say("one")
    for kind in CHORES:
        answer = web.chore(kind)
        assert text_of(answer) == "system user" and answer.session != "mine"
    assert comes_true(lambda: [one["id"] for one in sessions(hermes)] == ["mine"])
    assert web.say("two")[0] == "system user assistant user"
    assert sessions(hermes)[0]["messages"] == 4


def test_a_document_is_no_chore(hermes, up, api):
    """With a file, the question stands behind a task and the file, streamed or not."""
    asked = api("chain")
    question = ("### Task:\nRespond to the user query using the provided context.\n<context>\n"
                f"<source id=\"1\">a page</source>\n</context>\n\nand\n{WRITE}")
    assert text_of(asked.chat(question, stream=False))
    assert (hermes.workspace / "a.txt").read_text() == "by the agent"
    assert len(sessions(hermes)) == 1


# -- which conversation ---------------------------------------------------------------------------

def test_chats_that_begin_alike_are_kept_apart_by_their_ids(hermes, up, api):
    asked = api("text-and-tools")  # its answers have the time in them
    one, other = in_chat(asked, "a"), in_chat(asked, "b")
    first, session = one.say("what time?")
    second, elsewhere = other.say("what time?")
    assert session != elsewhere
    assert one.say("what time?", first, "and now?")[1] == session
    roles = [message["role"] for message in up.requests[-1].messages]
    assert roles.count("tool") == 2  # of which the client knows nothing
    assert other.say("what time?", second, "and now?")[1] == elsewhere
    assert len(sessions(hermes)) == 2


def test_an_id_does_not_say_what_was_said(hermes, api):
    """An answer is asked for again, or its question is changed."""
    web = in_chat(api("history"), "a")
    first, session = web.say("one")
    web.say("one", first, "two")
    text, branch = web.say("one", first, "two, in other words")
    assert text == "system user assistant user" and branch != session
    assert web.say("one", first, "two, in other words", text, "three")[1] == branch
    assert web.say("something else")[0] == "system user"


# -- what it reads of a stream --------------------------------------------------------------------

def lines_of(stream):
    """It takes lines, knows nothing of the types of events, and stops at no empty line."""
    while line := stream.response.readline():
        text = line.decode().strip()
        if text.startswith("data:"):
            data = text.removeprefix("data:").strip()
            yield data if data == "[DONE]" else json.loads(data)
        elif text:
            with pytest.raises(json.JSONDecodeError):  # it would look for an error in it
                json.loads(text)


def test_the_lines_of_a_stream(api):
    asked = api("chain")
    with asked.stream(CHAT, {"messages": told("a file\n" + WRITE),
                             "stream_options": {"include_usage": True}}, **USER) as stream:
        chunks = list(lines_of(stream))
    assert chunks[-1] == "[DONE]"
    *chunks, usage = chunks[:-1]
    # What it has a use of its own for: events for its page, a model that another one chose, events
    # of responses, errors.
    for chunk in chunks:
        assert not {"event", "selected_model_id", "type", "error", "usage"} & set(chunk), chunk
        assert set(chunk["choices"][0]["delta"]) <= {"role", "content"}
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == \
        "done with a file"
    assert [chunk["status"] for chunk in chunks if "tool" in chunk] == ["running", "completed"]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks][-1] == "stop"
    assert usage["choices"] == [] and usage["usage"]["total_tokens"] > 0


def test_an_error_in_a_stream_is_a_chunk_without_choices(api):
    with api("502").stream(CHAT, {"messages": told("hi")}, **USER) as stream:
        *_, last = lines_of(stream)
    assert not last.get("choices") and "502" in last["error"]["message"]


def test_go_on_writing(api):
    """Its button "Continue" sends the answer as the last message."""
    asked = api()
    asked.post(CHAT, {"messages": told("one", "two"), "stream": True}).refused(400, "the user's")


# -- a connection of the type "Responses" ---------------------------------------------------------

def item(role, text):
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}


def test_as_responses(hermes, up, api):
    asked = api("chain")
    body = {"model": "hermes-agent", "instructions": "Be brief.", "tools": [
        {"type": "function", **TOOLS[0]["function"], "strict": False}]}
    first = item("user", "a file\n" + WRITE)
    with asked.stream("/v1/responses", {**body, "input": [first]}, **USER) as stream:
        output = stream.events()[-1][1]["response"]["output"]
    call, result, said = output
    assert result["output"] == [{"type": "input_text", "text": result["output"][0]["text"]}]
    assert "a.txt" in result["output"][0]["text"]
    sent = [{key: one[key] for key in keys} for one, keys in (
        (call, ("type", "call_id", "name", "arguments", "id")),
        (result, ("type", "call_id", "output")), (said, ("type", "role", "content")))]
    answer = asked.post("/v1/responses", {**body, "input": [
        first, *sent, item("user", "and then")], "stream": False}, **USER).ok()
    assert answer["status"] == "completed"
    told_of = [message["content"] for message in up.requests[-1].messages
               if message["role"] == "user"]
    assert result["output"][0]["text"] in told_of[1] and told_of[-1] == "and then"


def test_a_chore_as_a_response(hermes, up, api):
    asked = api("history")
    kept = asked.post("/v1/responses", {"input": [item("user", "one")]}).ok()
    answer = asked.post("/v1/responses", {"input": [item("user", chore("title"))],
                                          "max_output_tokens": 1000}, **USER).ok()
    assert answer["output"][0]["content"][0]["text"] == "system user"
    assert not json.loads(up.requests[-1].body).get("tools")
    assert comes_true(lambda: len(sessions(hermes)) == 1)
    asked.post("/v1/responses", {"input": chore("title"),  # not beside it, but in it
                                 "previous_response_id": kept["id"]}).ok()
    assert sessions(hermes)[0]["messages"] == 4
