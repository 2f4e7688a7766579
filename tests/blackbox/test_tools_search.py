"""web_search: each service is asked in its own words, and its key is in no answer."""

import json

import pytest
from test_tools_web import caller
from web_server import WebServer, answer, endless, html

pytestmark = pytest.mark.release

KEY = "the-search-key-0123456789"
FOUND = [{"title": f"Title {n}", "url": f"https://example.org/{n}", "content": f"Words\nof {n}",
          "description": f"Words of {n}", "text": f"Words of {n}"} for n in range(1, 31)]
PATHS = {"searxng": "/search", "tavily": "/search", "brave": "/res/v1/web/search", "exa": "/search"}


def found(results, provider="searxng"):
    whole = {"results": results}
    return answer(json.dumps({"web": whole} if provider == "brave" else whole),
                  kind="application/json")


def configure(hermes, web, provider, key=KEY):
    hermes.environment["SEARCH_KEY"] = key
    line = "      api_key: ${SEARCH_KEY}\n" if key else ""
    hermes.put("config.yaml", "tools:\n  web:\n    search:\n"
               f"      provider: {provider}\n      base_url: {web.url()}\n{line}")


@pytest.fixture
def web():
    with WebServer() as server:
        yield server


@pytest.fixture
def search(hermes, up, web):
    hermes.use(up, "tools")
    configure(hermes, web, "searxng", key="")
    return caller(hermes, up, "web_search")


@pytest.mark.parametrize("provider", PATHS)
def test_each_service(search, hermes, web, provider):
    configure(hermes, web, provider)
    web.pages[PATHS[provider]] = found(FOUND, provider)
    text = search(query='pumps & "noon"', limit=2)
    assert text == ("1. Title 1\nhttps://example.org/1\nWords of 1\n\n"
                    "2. Title 2\nhttps://example.org/2\nWords of 2")
    request = web.requests[0]
    if provider in ("tavily", "exa"):
        assert request.method == "POST" and request.headers["content-type"] == "application/json"
        assert json.loads(request.body)["query"] == 'pumps & "noon"'
        assert 2 in json.loads(request.body).values()
    else:
        assert request.method == "GET" and "q=pumps%20%26%20%22noon%22" in request.path
    name = {"brave": "x-subscription-token", "exa": "x-api-key"}.get(provider, "authorization")
    assert request.headers[name].endswith(KEY)


def test_the_limit(search, web):
    web.pages["/search"] = found(FOUND)
    assert "\n5. " not in "\n" + search(query="x", limit=4)
    assert search(query="x").count("https://") == 5
    assert search(query="x", limit=100).count("https://") == 20


@pytest.mark.parametrize("page,said", [
    (answer(b"{}", kind="application/json"), "nothing was found"),
    (found([]), "nothing was found"),
    (found([7, None, {"title": 1}]), "1. "),
    (html("<p>a login"), "did not reply in JSON"),
    (answer(b"no", status="403 No"), "format json"),
    (answer(b"no", status="429 Slow"), "HTTP status 429"),
    (answer(b"no", status="302 Found", location="http://x/"), "HTTP status 302"),
    (endless("application/json"), "larger than 512 KiB"),
    (b"220 mail\r\n", "broke"),
])
def test_answers_that_are_odd(search, web, page, said):
    web.pages["/search"] = page
    assert said in search(query="x")


def test_a_key_that_is_refused(search, hermes, web):
    configure(hermes, web, "tavily")
    web.pages["/search"] = answer(KEY.encode(), status="401 No")
    text = search(query="x")
    assert "another api_key" in text and KEY not in text


@pytest.mark.parametrize("arguments", [{}, {"query": ""}, {"query": " "}, {"query": 7},
                                       {"query": "x" * 2000}, {"query": "x", "limit": 0},
                                       {"query": "x", "limit": 101}, {"query": "x", "limit": "y"}])
def test_hostile_arguments_are_a_sentence(search, web, arguments):
    text = search(**arguments)
    assert "parameter" in text and not web.requests


def test_it_is_listed_only_when_it_is_configured(hermes, up, web):
    hermes.use(up, "tools")
    find = caller(hermes, up, "find_tools")
    assert "web_search" not in find()
    assert 'no tool "web_search"' in caller(hermes, up, "web_search")(query="x")
    configure(hermes, web, "tavily", key="")
    assert "web_search" not in find()
    configure(hermes, web, "tavily")
    assert "web_search" in find()


@pytest.mark.parametrize("lines,said", [
    ("      provider: searxng\n", "base_url is not set"),
    ("      provider: searxng\n      base_url: x\n", "must begin with http"),
    ("      provider: google\n", "searxng"),
])
def test_mistakes_are_told_at_the_start(hermes, lines, said):
    hermes.put("config.yaml", f"tools:\n  web:\n    search:\n{lines}")
    result = hermes.run("config", "check")
    assert result.code == 1 and said in result.text
