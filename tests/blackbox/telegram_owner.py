"""What the owner of the bot sees in the chat, once it stands still."""

OWNER = 42
PATIENCE = 60  # seconds: a back-off may have grown


def settled(api, count, chat=OWNER, seconds=PATIENCE):
    """The texts once there are so many, and no further one follows."""
    api.wait_messages(chat, count, seconds)
    api.wait_quiet(1)
    found = api.texts(chat)
    assert len(found) == count, f"{found}; {api.story()}"
    return found


def shown(hermes, api, text):
    """The message that grows, once Telegram's answer to it is written down: a kill before that, or
    a network that is lost with the answer, may double it, which the kill matrix looks at."""
    message = api.wait_text(OWNER, text)
    path, = [p for p in hermes.databases() if p.name == "state.db"]
    query = "SELECT count(*) FROM outbox WHERE state = 'open' AND message_id IS NOT NULL"
    assert api.wait_for(lambda: int(hermes.sql(
        f"print(db.execute({query!r}).fetchone()[0])", path)) == 1)
    return message


class Talk:
    """A person who waits for each answer."""

    def __init__(self, api):
        self.api, self.count = api, 0

    def ask(self, text, more=1, seconds=15):
        """The text of the answer."""
        self.api.user_says(OWNER, text)
        return self.answer(more, seconds)

    def press(self, message, label):
        self.api.user_presses(message, label)
        return self.answer(1, 15)

    def answer(self, more, seconds):
        self.count += more
        self.api.wait_messages(OWNER, self.count, seconds)
        self.api.wait_quiet(0.4)
        found = self.api.texts(OWNER)
        assert len(found) == self.count, f"{found}; {self.api.story()}"
        return found[-1]
