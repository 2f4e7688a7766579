"""delegate_task: tasks that a turn hands on to turns of their own."""

import json
import time

import pytest

import delegate_models  # noqa: F401  registers its scenarios
from taints import STRANGE, query
from telegram_owner import OWNER

CHILDREN = "SELECT state, error FROM turns WHERE parent IS NOT NULL ORDER BY number"


def hand(**arguments):
    return "hand " + json.dumps(arguments)


def several(*goals):
    return hand(tasks=[{"goal": goal} for goal in goals])


@pytest.fixture
def ask(hermes, up):
    hermes.use(up, "hands-on")
    hermes.mkdir(hermes.workspace)

    def run(text):
        return hermes.chat(text, limit=90).ok().text
    return run


def requests_of(up, goal):
    """What was asked for the child of this goal."""
    return [r for r in up.requests if any(m["role"] == "user" and m["content"].startswith(goal)
                                          for m in r.messages)]


def child_states(hermes):
    return [state for state, _ in query(CHILDREN, hermes)]


@pytest.mark.release
def test_a_task_is_done_and_its_last_words_come_back(hermes, up, ask):
    text = ask(hand(goal="say 42 it is", context="the answer is known"))
    assert text.strip() == "heard: 42 it is\n\nWhat you should know:\nthe answer is known"
    mine = requests_of(up, "say 42")
    assert len(mine) == 1 and "hand " not in json.dumps(mine[0].messages), "it sees no more"
    system = mine[0].messages[0]["content"]
    assert "one task for another assistant" in system and "remember" not in system
    parent, child = query("SELECT id, parent FROM turns ORDER BY number", hermes)
    assert parent[1] is None and child[1] == parent[0]
    assert query("SELECT channel, thread FROM sessions ORDER BY number", hermes)[1] == \
        ("delegate", child[0])


def test_it_is_found_like_other_tools(hermes, up, ask):
    up.requests.clear()
    ask('do call find_tools {"query":"delegate a task"}')
    told = [m["content"] for m in up.requests[-1].messages if m["role"] == "tool"]
    assert '"tasks"' in told[0]
    assert "delegate_task" not in [t["function"]["name"] for t in up.requests[-1].json["tools"]]


def test_several_work_side_by_side(hermes, up, ask, service):
    up.release.clear()
    process = hermes.start("chat", "-q", several("hold first", "hold second", "say third"),
                           limit=90)
    assert up.wait_for(lambda: len(requests_of(up, "hold ")) == 2)
    up.release.set()
    text = process.finish().ok().text
    assert "Task 1:\nabout to say first\n\nTask 2:\nabout to say second\n\nTask 3:\nthird" in text


def test_no_more_than_are_allowed(hermes, up, ask):
    hermes.put("config.yaml", "delegation:\n  max_concurrent_children: 2\n")
    assert "3 tasks are too many, 2 more can be done at once" in ask(several(*["say x"] * 3))
    assert child_states(hermes) == []
    text = ask("hand all " + json.dumps([["delegate_task", {"tasks": [{"goal": "say a"}] * 2}],
                                         ["delegate_task", {"goal": "say late"}]]))
    assert "Task 2:\na" in text and "1 tasks are too many, 0 more" in text


@pytest.mark.parametrize("arguments, why", [
    ({}, '"goal"'), ({"goal": " "}, '"goal"'), ({"goal": ""}, '"goal"'),
    ({"goal": 7}, '"goal"'), ({"tasks": []}, '"tasks"'),
    ({"tasks": "x"}, '"tasks"'), ({"tasks": [{"context": "c"}]}, '"goal"'),
    ({"tasks": [7]}, '"goal"'), ({"goal": "x" * 70000}, '"goal"'),
    ({"goal": "x", "context": []}, '"context"')])
def test_what_is_no_task_is_refused(hermes, up, ask, arguments, why):
    assert why in ask(hand(**arguments))
    assert child_states(hermes) == []


def test_one_that_goes_round_in_circles_is_stopped(hermes, up, ask):
    text = ask(several("loop", "say well"))
    assert "Task 1 (failed):\nstopped: the model made the same call 3 times" in text
    assert "Task 2:\nwell" in text
    assert child_states(hermes) == ["failed", "done"]


def test_its_steps_are_counted(hermes, up, ask):
    hermes.put("config.yaml", "delegation:\n  max_iterations: 4\n")
    assert "error: stopped after 4 steps without an answer" in ask(hand(goal="walk"))
    assert len(requests_of(up, "walk")) == 4


def test_its_time_is_counted(hermes, up, ask):
    hermes.put("config.yaml", "delegation:\n  child_timeout_seconds: 1\n")
    assert "seconds without an answer" in ask(hand(goal="slow 0.3"))
    assert len(requests_of(up, "slow")) < 50


def test_its_money_is_counted(hermes, up, ask):
    hermes.put("config.yaml", "delegation:\n  max_cost_cents: 5\n")
    assert "error: stopped: this has cost delegation.max_cost_cents, 5" in \
        ask(hand(goal="walk 0.02"))
    assert len(requests_of(up, "walk")) == 3


def test_a_long_answer_is_cut(hermes, up, ask):
    hermes.put("config.yaml", "delegation:\n  max_summary_chars: 100\n")
    text = ask(hand(goal="say " + "ü" * 400))
    assert "ü" * 100 + "\n(cut here: it is longer)" in text and "ü" * 101 not in text


def test_a_child_hands_nothing_on_and_keeps_nothing(hermes, up, ask):
    for name, given in [("delegate_task", {"goal": "say no"}), ("memory", {"action": "add"}),
                        ("remember", {"content": "x"}), ("clarify", {"questions": []}),
                        ("skill_manage", {"action": "create"})]:
        inner = json.dumps({"name": name, "arguments": given})
        assert f'there is no tool "{name}"' in ask(hand(goal=f"do call call_tool {inner}"))
    assert not requests_of(up, "say no")


def test_what_needs_approval_is_refused(hermes, up, ask):
    risky = 'do call terminal {"command":"rm -rf x"}'
    assert "nobody can be asked here" in ask(hand(goal=risky))
    hermes.put("config.yaml", "approvals:\n  cron_mode: approve\n")
    assert "nobody can be asked here" in ask(hand(goal=risky)), "that is for schedules"


def test_the_mark_of_strange_text_comes_back_and_goes_along(hermes, up, ask):
    ask("say hello")
    query("INSERT INTO memory(content, tainted, created_ms) VALUES(?, 1, 1)", hermes, STRANGE)
    recall = 'do call call_tool {"name":"recall","arguments":{"query":"page"}}'
    assert STRANGE in ask(hand(goal=recall))
    tool = "SELECT tainted FROM messages WHERE role = 'tool' ORDER BY id"
    assert query(tool, hermes) == [(1,), (1,)]
    ask(hand(goal="say clean"))
    assert query(tool, hermes)[2:] == [(0,)]


def test_a_tainted_parent_has_tainted_children(hermes, up, api, ask, service):
    ask("say hello")
    query("INSERT INTO memory(content, tainted, created_ms) VALUES(?, 1, 1)", hermes, STRANGE)
    hermes.use_telegram(api)
    service()
    api.user_says(OWNER, "hand all " + json.dumps([["recall", {"query": "page"}]]))
    api.wait_text(OWNER, "a page says")
    api.user_says(OWNER, hand(goal="say x"))
    api.wait_text(OWNER, "heard: x")
    assert query("SELECT m.tainted FROM messages m JOIN turns t ON t.number = m.turn"
                 " WHERE t.parent IS NOT NULL", hermes) == [(1,), (1,)]


# -- the end of a parent, and of the program ------------------------------------------------------

@pytest.fixture
def talk(hermes, up, api, service):
    hermes.use(up, "hands-on").use_telegram(api)
    hermes.mkdir(hermes.workspace)
    up.release.clear()
    return service()


def test_it_is_stopped_with_its_parent(hermes, up, api, talk):
    api.user_says(OWNER, several("hold a", "hold b"))
    assert up.wait_for(lambda: len(requests_of(up, "hold ")) == 2)
    api.user_says(OWNER, "/stop")
    api.wait_text(OWNER, "Stopped.")
    assert up.wait_for(lambda: child_states(hermes) == ["cancelled"] * 2)
    assert query("SELECT count(*) FROM turns WHERE ended_ms IS NULL", hermes) == [(0,)]
    api.user_says(OWNER, "say still here")
    api.wait_text(OWNER, "still here")


def restarted(up, daemon, pause=0):
    time.sleep(pause)
    daemon.kill()
    up.requests.clear()
    daemon.start()


@pytest.mark.release
def test_a_kill_while_children_work(hermes, up, api, talk):
    api.user_says(OWNER, several("hold a", "say b"))
    assert up.wait_for(lambda: sorted(child_states(hermes)) == ["done", "queued"])
    restarted(up, talk)
    assert up.wait_for(lambda: requests_of(up, "hold a"))
    up.release.set()
    api.wait_text(OWNER, "Task 1:\nabout to say a\n\nTask 2:\nb")
    api.wait_quiet(1)
    assert len(requests_of(up, "say b")) == 0, "what has ended is not done again"
    assert child_states(hermes) == ["done", "done"]
    assert query("SELECT count(*) FROM outbox WHERE turn IS NOT NULL", hermes) == [(1,)]


@pytest.mark.release
def test_a_kill_in_each_moment(hermes, up, api, talk):
    """However far it has come, one answer, and each child once."""
    api.chats.pace = None  # a process that was killed does not know what it sent
    up.release.set()
    for number in range(6):
        api.user_says(OWNER, several(f"hold a{number}", f"say b{number}"))
        restarted(up, talk, number * 0.02)
        api.wait_text(OWNER, f"Task 1:\nabout to say a{number}\n\nTask 2:\nb{number}")
    api.wait_quiet(1)
    assert child_states(hermes) == ["done"] * 12
    # Each has one answer, which a kill while it is delivered may show twice.
    assert query("SELECT count(*) FROM outbox WHERE turn IS NOT NULL", hermes) == [(6,)]
    assert query("SELECT count(*) FROM turns WHERE ended_ms IS NULL", hermes) == [(0,)]


def test_a_stop_lets_children_wait_as_well(hermes, up, api, talk):
    hermes.put("config.yaml", "agent:\n  restart_drain_timeout: 1s\n")
    talk.stop()
    talk.start()
    api.user_says(OWNER, hand(goal="hold on"))
    assert up.wait_for(lambda: requests_of(up, "hold on"))
    talk.stop()
    assert child_states(hermes) == ["queued"]
    up.release.set()
    talk.start()
    api.wait_text(OWNER, "heard: about to say on")


def test_one_that_stops_the_program_too_often_is_given_up(hermes, up, api, talk):
    api.user_says(OWNER, hand(goal="hold on"))
    for _ in range(4):
        assert up.wait_for(lambda: requests_of(up, "hold on"))
        restarted(up, talk)
    api.wait_text(OWNER, "the program stopped")
    assert query("SELECT count(*) FROM turns WHERE ended_ms IS NULL", hermes) == [(0,)]


def test_a_parent_that_is_gone_leaves_none_behind(hermes, up, ask, service):
    """Who waited at a terminal is gone after a kill; so are the children."""
    up.release.clear()
    process = hermes.start("chat", "-q", hand(goal="hold on"), limit=90)
    assert up.wait_for(lambda: requests_of(up, "hold on"))
    process.kill()
    service()
    assert up.wait_for(lambda: child_states(hermes) == ["cancelled"])
    assert query("SELECT count(*) FROM turns WHERE ended_ms IS NULL", hermes) == [(0,)]
