"""Voice messages that are written down, and files that are kept."""

import os

import pytest
from harness import comes_true

import telegram_models  # noqa: F401  registers its scenarios
from speech import SpeechServer
from telegram_owner import OWNER, settled

SOUND = b"OggS" + os.urandom(3000)


@pytest.fixture
def speech():
    with SpeechServer() as server:
        yield server


@pytest.fixture
def start(hermes, api, up, service):
    def begin(config="", model="say"):
        hermes.use_telegram(api)
        hermes.use(up, model)
        hermes.put("config.yaml", config or "display: {tool_progress: off}\n")
        return service()
    return begin


@pytest.fixture
def heard(start, speech):
    return lambda more="": start(f"stt: {{base_url: '{speech.url}', api_key: my-speech-key{more}}}")


def asked(up):
    return [m for m in up.requests[-1].messages if m["role"] == "user"][-1]["content"]


def inbox(hermes):
    folder = hermes.home / "workspace" / "inbox"
    return {p.name: p.read_bytes() for p in folder.iterdir()} if folder.exists() else {}


# -- voice ----------------------------------------------------------------------------------------

@pytest.mark.release
def test_what_is_said_is_written_down(heard, speech, api, up):
    daemon = heard(", language: de")
    api.user_sends_voice(OWNER, SOUND)
    settled(api, 1)
    assert asked(up) == "[a voice message of 3 s, which says:]\nBuy milk, please."
    assert speech.asked == [{"path": "/v1/audio/transcriptions", "key": "Bearer my-speech-key",
                             "model": "whisper-1", "language": "de", "name": "voice.oga",
                             "file": SOUND}]
    assert "my-speech-key" not in daemon.log_text and "Buy milk" not in daemon.log_text


def test_an_audio_file_with_a_caption(heard, speech, api, up):
    heard()
    api.user_sends_voice(OWNER, SOUND, "what is this?", kind="audio")
    settled(api, 1)
    assert asked(up) == "what is this?\n[an audio file of 3 s, which says:]\nBuy milk, please."


@pytest.mark.parametrize("answer, why", [
    ((500, {"error": "x"}), "answers 500"), ((401, {}), "answers 401"),
    ((200, b"<html>"), "has no text"), ((200, {"words": 1}), "has no text"),
    ((200, b'{"text":"' + b"x" * 300_000), "speech-to-text server"),
])
def test_a_server_that_fails_is_told(heard, speech, api, up, answer, why):
    heard()
    speech.answer = answer
    api.user_sends_voice(OWNER, SOUND)
    settled(api, 1)
    assert "a voice message of 3 s came with this; it could not be written down" in asked(up)
    assert why in asked(up)


def test_nobody_is_there(heard, speech, api, up):
    heard()
    speech.server.server_close()
    api.user_sends_voice(OWNER, SOUND)
    settled(api, 1)
    assert "could not be written down: the speech-to-text server" in asked(up)


def test_without_a_server_it_says_what_to_set(start, api, up):
    start()
    api.user_sends_voice(OWNER, SOUND)
    settled(api, 1)
    assert "no speech-to-text is configured; its owner can set stt.provider" in asked(up)


def test_switched_off_it_is_a_file(start, hermes, api, up):
    start("stt: {enabled: false}")
    api.user_sends_voice(OWNER, SOUND)
    settled(api, 1)
    assert inbox(hermes) == {"voice.oga": SOUND}
    assert "inbox/voice.oga in the workspace" in asked(up)


def test_a_kill_while_it_is_written_down(heard, speech, api, up):
    daemon = heard()
    speech.gate.clear()
    api.user_sends_voice(OWNER, SOUND)
    assert comes_true(lambda: len(speech.asked) == 1)
    daemon.kill()
    speech.gate.set()
    daemon.start()
    settled(api, 1)
    assert "Buy milk" in asked(up) and len(speech.asked) == 2 and len(up.requests) == 1


# -- documents ------------------------------------------------------------------------------------

@pytest.mark.release
def test_a_document_is_kept_and_marked(start, hermes, api, up):
    start()
    data = os.urandom(3_000_000)
    api.user_sends_document(OWNER, data, "report 1.pdf", "say look")
    text, = settled(api, 1)
    assert text == "look\n[a document, 3000000 bytes, which is now inbox/report 1.pdf in the " \
                   "workspace]"
    assert inbox(hermes) == {"report 1.pdf": data}
    api.user_says(OWNER, "/trust")
    assert "inbox/report 1.pdf" in settled(api, 2)[1]


@pytest.mark.parametrize("name, kept", [
    ("../../.hermes/config.yaml", "_.._.hermes_config.yaml"), ("/etc/passwd", "_etc_passwd"),
    (".bashrc", "bashrc"), ("-rf", "rf"), ("a\nb\x00c\x1b[31m", "a_b"), ("", "document.bin"),
    (None, "document.bin"), ("ü" * 200 + ".txt", "ü" * 48 + ".txt"), ("a;$(x)`y`|z", "a__(x)_y__z"),
    ("...", "file"),
])
def test_names_that_mean_harm(start, hermes, api, name, kept):
    start()
    api.user_sends_document(OWNER, b"x", name, "say x")
    settled(api, 1)
    found, = inbox(hermes)
    assert found.startswith(kept) and "/" not in found and found.isprintable(), found


def test_nothing_is_overwritten(start, hermes, api):
    start()
    for data in b"one", b"two", b"one":
        api.user_sends_document(OWNER, data, "a.tar.gz", "say x")
        settled(api, len(api.texts(OWNER)) + 1)
    assert inbox(hermes) == {"a.tar.gz": b"one", "a.tar-2.gz": b"two"}


def test_links_do_not_lead_out(start, hermes, api, tmp_path):
    start()
    inside = hermes.home / "workspace"
    (inside / "inbox").symlink_to(tmp_path)
    api.user_sends_document(OWNER, b"x", "a.txt", "say x")
    assert "it could not be kept" in settled(api, 1)[0]
    assert not list(tmp_path.iterdir())


def test_one_that_is_too_large(start, hermes, api):
    start()
    api.user_sends_document(OWNER, b"x", "a.iso", "say x", size=21 << 20)
    assert "it is too large: a bot may fetch 20 MB" in settled(api, 1)[0]
    assert not api.of("getFile") and not inbox(hermes)


def test_a_kill_fetches_it_again(start, hermes, api):
    daemon = start()
    hangs = api.fault("download", "hang", times=1)
    api.user_sends_document(OWNER, b"data", "a.txt", "say x")
    assert api.wait_for(lambda: hangs.struck)
    daemon.kill()
    api.heal()
    daemon.start()
    settled(api, 1)
    assert inbox(hermes) == {"a.txt": b"data"}


def test_what_it_says_is_nobodys_word(start, hermes, api, up):
    """Reading it taints the conversation, as any text does that nobody vouches for."""
    start(model="chain")
    api.user_sends_document(OWNER, b"text", "a.txt", 'call read_file {"path": "inbox/a.txt"}')
    settled(api, 1)
    api.user_says(OWNER, "/status")
    assert comes_true(lambda: "Text that nobody vouches for: none" not in api.texts(OWNER)[-1]
                      and "Text that nobody vouches for" in api.texts(OWNER)[-1])
