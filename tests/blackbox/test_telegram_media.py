"""Photos that a person sends: what a model gets of them, and what no bad day changes."""

import base64

import pytest
from harness import comes_true

import telegram_models  # noqa: F401  registers its scenarios
from telegram_files import image
from telegram_owner import OWNER, settled

SEES = "supports_vision: true"


class Eyes:
    """A bot whose model sees, or not."""

    def __init__(self, hermes, api, up, service):
        self.hermes, self.api, self.up, self.service = hermes, api, up, service

    def start(self, info=SEES, model="say", more="", **options):
        where = f'api_base: "{self.up.base_url}", api_key: os.environ/MY_KEY'
        self.hermes.use_telegram(self.api)
        self.hermes.environment.update(MY_KEY=self.up.api_key, HERMES_MODEL="asked")
        self.hermes.put("config.yaml", f"""model_list:
  - model_name: asked
    litellm_params: {{model: openai/{model}, {where}}}
    model_info: {{{info}}}
  - model_name: looker
    litellm_params: {{model: openai/describe, {where}}}
    model_info: {{{SEES}}}
{more}""")
        return self.service(**options)

    def sent(self, request=-1):
        """The images of a request: bytes, in their order."""
        found = []
        for message in self.up.requests[request].messages:
            for part in message["content"] if isinstance(message["content"], list) else []:
                if part["type"] == "image_url":
                    found.append(part["image_url"]["url"].split(";base64,")[1])
        return [base64.b64decode(one, validate=True) for one in found]

    def asked(self, request=-1):
        """What the user said last."""
        content = [m for m in self.up.requests[request].messages if m["role"] == "user"][-1][
            "content"]
        if isinstance(content, str):
            return content
        return "".join(p["text"] for p in content if p["type"] == "text")


@pytest.fixture
def eyes(hermes, api, up, service):
    return Eyes(hermes, api, up, service)


# -- a photo --------------------------------------------------------------------------------------

@pytest.mark.release
def test_a_model_that_sees_gets_the_very_bytes(eyes, api):
    eyes.start()
    photo = image()
    api.user_sends_photo(OWNER, photo, "say a <b>*cat*</b>", sizes=[image(300)])
    assert settled(api, 1) == ["a <b>cat</b>\n[a photo]"]
    assert eyes.asked() == "say a <b>*cat*</b>\n[a photo]"
    assert eyes.sent() == [photo] and not api.violations


def test_a_photo_without_a_word(eyes, api):
    eyes.start()
    api.user_sends_photo(OWNER, image())
    settled(api, 1)
    assert eyes.asked() == "[a photo]" and len(eyes.sent()) == 1


def test_the_largest_size_that_is_not_too_large(eyes, api):
    eyes.start()
    middle = image(500_000)
    api.user_sends_photo(OWNER, image(700_000), "say x", sizes=[image(300), middle])
    settled(api, 1)
    assert eyes.sent() == [middle]


def test_it_is_seen_again_after_a_restart_and_by_retry(eyes, api):
    daemon = eyes.start()
    photo = image()
    api.user_sends_photo(OWNER, photo, "say one")
    settled(api, 1)
    daemon.kill()
    daemon.start()
    api.user_says(OWNER, "say two")
    settled(api, 2)
    assert eyes.sent() == [photo]
    api.user_says(OWNER, "/undo")
    settled(api, 3)
    api.user_says(OWNER, "/retry")
    settled(api, 4)
    assert eyes.sent() == [photo] and len(api.of("download")) == 1


def test_an_album_is_one_message(eyes, api):
    eyes.start()
    photos = [image(5000 + n) for n in range(10)]
    api.user_sends_album(OWNER, photos, "say these")
    settled(api, 1)
    assert eyes.sent() == photos and len(eyes.up.requests) == 1


def test_an_album_that_comes_in_two_answers(eyes, api):
    eyes.start()
    photos = [image() for _ in range(4)]
    api.user_sends_album(OWNER, photos[:2], "say these")
    assert api.wait_for(lambda: len(api.of("download")) == 2)
    api.user_sends_album(OWNER, photos[2:])
    settled(api, 1)
    assert eyes.sent() == photos and len(eyes.up.requests) == 1


def test_two_photos_are_two_messages(eyes, api):
    eyes.start(more="display: {busy_input_mode: queue}\n")
    first, other = image(), image()
    api.user_sends_photo(OWNER, first, "say one")
    api.user_sends_photo(OWNER, other, "say two")
    assert settled(api, 2) == ["one\n[a photo]", "two\n[a photo]"]


# -- a model that does not see --------------------------------------------------------------------

def test_a_model_that_does_not_see_is_told(eyes, api):
    eyes.start(info="mode: chat")
    api.user_sends_photo(OWNER, image(), "what is this?")
    settled(api, 1)
    assert not eyes.sent()
    assert "not shown, as the model is not known to see" in eyes.asked()


def test_another_model_describes_it(eyes, api):
    eyes.start(info="mode: chat", more="router: {slots: {vision: looker}}\n")
    photo = image()
    api.user_sends_photo(OWNER, photo, "what is this?")
    settled(api, 1)
    assert eyes.sent(0) == [photo] and not eyes.sent(1)
    assert eyes.asked(1).endswith("[a photo], as another model sees it:\nA red door, half open.")
    api.user_says(OWNER, "say more")
    settled(api, 2)
    assert len(eyes.up.requests) == 3, "it is described once"


def test_auxiliary_vision_of_hermes_agent(eyes, api):
    eyes.start(info="mode: chat", more="auxiliary: {vision: {provider: auto, model: looker}}\n")
    api.user_sends_photo(OWNER, image(), "what is this?")
    settled(api, 1)
    assert "A red door" in eyes.asked(1)


def test_a_model_that_sees_needs_no_other(eyes, api):
    eyes.start(more="router: {slots: {vision: looker}}\n")
    api.user_sends_photo(OWNER, image(), "say x")
    settled(api, 1)
    assert len(eyes.up.requests) == 1 and eyes.sent()


# -- bad days -------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind", ["cut", "short", "500", "429", "404", "reset-before"])
def test_a_download_that_fails_is_tried_again(eyes, api, kind):
    eyes.start()
    photo = image()
    if kind != "404":
        api.fault("download", kind, times=2)
    else:
        api.fault("download", "400", times=2)
    api.user_sends_photo(OWNER, photo, "say x")
    settled(api, 1)
    assert eyes.sent() == [photo] and len(api.of("download")) == 3


@pytest.mark.debug_build
def test_a_network_that_is_lost_for_long_is_waited_for(eyes, api):
    """Longer than the attempts of a file that cannot be had take."""
    eyes.start()
    photo = image()
    hangs = api.fault("getFile", "hang")
    api.user_sends_photo(OWNER, photo, "say x")
    assert api.wait_for(lambda: hangs.struck)
    api.down()
    api.heal()
    eyes.hermes.sleep_through(60)
    api.up()
    assert settled(api, 1) == ["x\n[a photo]"]
    assert eyes.sent() == [photo]


@pytest.mark.parametrize("method", ["getFile", "download"])
def test_one_that_never_works_is_told(eyes, api, method):
    daemon = eyes.start()
    api.fault(method, "500", times=100)
    api.user_sends_photo(OWNER, image(), "say x")
    text, = settled(api, 1)
    assert "[a photo came with this; it could not be fetched:" in text
    assert api.token not in text and api.token not in daemon.log_text
    assert not eyes.sent()


def test_a_page_is_no_photo(eyes, api):
    eyes.start()
    api.fault("download", "page", times=100)
    api.user_sends_photo(OWNER, b"x" * 10, "say x")
    assert "it is no image that is known" in settled(api, 1)[0]


@pytest.mark.parametrize("path", ["../../bot", "/etc/passwd", "a b", "a?x=1", "%2e%2e/x", ""])
def test_a_path_that_is_none(eyes, api, path):
    eyes.start()
    api.keep(b"", path="photos/x").path = path
    api.user_says(OWNER, None, caption="say x",
                  photo=[next(iter(api.files.values())).as_object(width=1, height=1)])
    assert "Telegram does not say where it lies" in settled(api, 1)[0]
    assert not api.of("download")


def test_others_do_not_wait_for_a_slow_file(eyes, api):
    eyes.hermes.environment["TELEGRAM_ALLOWED_USERS"] = "42,43"
    eyes.start()
    eyes.hermes.environment["TELEGRAM_ALLOWED_USERS"] = "42,43"
    hangs = api.fault("download", "hang", times=1)
    api.user_sends_photo(OWNER, image(), "say x")
    assert api.wait_for(lambda: hangs.struck)
    api.user_says(OWNER, "/status")
    assert "Idle" in settled(api, 1)[0]
    api.heal()
    assert settled(api, 2)[1] == "x\n[a photo]"


def test_a_photo_is_no_answer_to_a_question(eyes, api):
    """It waits until the turn has ended."""
    eyes.start(model="chain")
    api.user_says(OWNER, 'call clarify {"question": "Which?"}')
    api.wait_text(OWNER, "Which?")
    photo = image()
    api.user_sends_photo(OWNER, photo)
    api.wait_quiet(1)
    assert not api.of("getFile") and len(eyes.up.requests) == 1
    api.user_says(OWNER, "the red one")
    assert api.wait_for(lambda: eyes.up.requests and eyes.sent() == [photo])


# -- kills ----------------------------------------------------------------------------------------

@pytest.mark.release
@pytest.mark.parametrize("method", ["getFile", "download"])
def test_a_kill_before_it_has_come(eyes, api, method):
    daemon = eyes.start()
    photo = image()
    hangs = api.fault(method, "hang", times=1)
    api.user_sends_photo(OWNER, photo, "say x")
    assert api.wait_for(lambda: hangs.struck)
    daemon.kill()
    api.heal()
    daemon.start()
    assert settled(api, 1) == ["x\n[a photo]"]
    assert eyes.sent() == [photo] and len(eyes.up.requests) == 1


def test_a_kill_while_the_rest_of_an_album_is_waited_for(eyes, api):
    daemon = eyes.start()
    photos = [image() for _ in range(3)]
    hangs = api.fault("download", "hang", nth=2)
    api.user_sends_album(OWNER, photos, "say x")
    assert api.wait_for(lambda: hangs.struck)
    daemon.kill()
    api.heal()
    daemon.start()
    settled(api, 1)
    assert eyes.sent() == photos and len(eyes.up.requests) == 1


def test_the_answer_is_killed_and_sees_it_again(eyes, api):
    daemon = eyes.start(model="gate")
    photo = image()
    api.user_sends_photo(OWNER, photo, "this")
    assert comes_true(lambda: len(eyes.up.requests) == 1)
    daemon.kill()
    eyes.up.release.set()
    daemon.start()
    assert api.wait_for(lambda: any("and finished" in t for t in api.texts(OWNER)))
    assert eyes.sent(0) == eyes.sent(1) == [photo] and len(api.of("download")) == 1


def test_another_caption_while_it_waits(eyes, api):
    eyes.start()
    hangs = api.fault("download", "hang", times=1)
    update = api.user_sends_photo(OWNER, image(), "say one")
    assert api.wait_for(lambda: hangs.struck)
    api.user_edits(update, "say two")
    assert api.wait_for(lambda: len(api.of("getFile")) == 2)
    api.heal()
    assert settled(api, 1) == ["two\n[a photo]"]
