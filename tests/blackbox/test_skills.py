"""Skills: what the model is told of them, loads, writes; what a person types."""

import json
import re
import time

import pytest

import skills_home
import telegram_models  # noqa: F401  registers its scenarios
from harness import comes_true
from taints import call, last_is_tainted, marks, query  # noqa: F401
from telegram_owner import OWNER

HERON = """\
---
name: restart-blue-heron
description: Restart the staging web server safely.
version: 1.0.0
---

# Restart blue-heron

1. Drain it.
2. systemctl restart web
3. Check /healthz.
"""
HERON_PATH = 'skills/ops/restart-blue-heron/SKILL.md'
NEW = skills_home.skill('drain', 'Drains it.')


def found(tool, **given):
    return 'call call_tool ' + json.dumps({'name': tool, 'arguments': given})


def told(up):
    return [m['content'] for m in up.requests[-1].messages if m['role'] == 'tool'][-1]


@pytest.fixture
def home(hermes, up):
    hermes.use(up, 'tools')
    hermes.put(HERON_PATH, HERON)
    hermes.put('skills/ops/DESCRIPTION.md', 'Operations')
    return hermes


def test_what_an_agent_wrote_is_known(home, up):
    before = (home.home / HERON_PATH).stat().st_mtime_ns
    home.chat(found('skills_list')).ok()
    system = up.requests[0].messages[0]['content']
    assert '\nrestart-blue-heron: Restart the staging web server safely.' in system
    assert told(up) == 'ops/restart-blue-heron: Restart the staging web server safely.\n'
    home.chat(found('skill_view', name='restart-blue-heron')).ok()
    assert told(up) == HERON
    assert (home.home / HERON_PATH).stat().st_mtime_ns == before


def test_a_file_of_it(home, up):
    home.put('skills/ops/restart-blue-heron/scripts/check.sh', 'curl -f localhost/healthz\n')
    home.chat(found('skill_view', name='restart-blue-heron')).ok()
    assert told(up).endswith('[files of this skill: scripts/check.sh]')
    home.chat(found('skill_view', name='restart-blue-heron', file_path='scripts/check.sh')).ok()
    assert told(up) == 'curl -f localhost/healthz\n'
    home.put('.env', 'SECRET=x')
    home.chat(found('skill_view', name='restart-blue-heron', file_path='../../../.env')).ok()
    assert 'leads out of the skill' in told(up)


@pytest.mark.parametrize('daemon', [False, True])
def test_a_command_begins_a_turn_with_it(home, up, service, terminal, daemon):
    home.use(up, 'echo')
    if daemon:
        service()
    with terminal('chat') as chat:
        chat.ready().say('/restart-blue-heron and tell Ann').expect('3[.] Check /healthz')
        chat.ready()
        said = up.requests[-1].messages[-1]['content']
        assert said.startswith('/restart-blue-heron and tell Ann\n\n[skill: restart-blue-heron]\n')
        assert said.endswith('3. Check /healthz.\n')
        chat.say('/skills').expect('ops/restart-blue-heron: Restart the staging')
        chat.say('/nothing').expect('There is no command /nothing')
        home.put('skills/new/SKILL.md', skills_home.skill('new', 'A new one.'))
        chat.say('/reload-skills').expect('new: A new one')
    assert len(up.requests) == 1


def test_a_command_on_telegram(home, up, api, service):
    home.use(up, 'echo').use_telegram(api)
    service()
    api.user_says(OWNER, '/restart_blue_heron now')
    api.wait_messages(OWNER, 1)
    assert 'Drain it' in up.requests[-1].messages[-1]['content']
    api.user_says(OWNER, '/retry')
    api.wait_messages(OWNER, 2)
    again = up.requests[-1].messages
    assert [m['role'] for m in again] == ['system', 'user'] and 'Drain it' in again[1]['content']


def test_the_agent_writes_one(home, up):
    home.chat(found('skill_manage', action='create', name='drain', category='ops',
                    content=NEW)).ok()
    path = home.home / 'skills/ops/drain/SKILL.md'
    assert path.read_text() == NEW and path.stat().st_mode & 0o777 == 0o600
    home.chat('hi').ok()
    assert '\ndrain: Drains it.' in up.requests[-1].messages[0]['content']
    home.chat(found('skill_manage', action='delete', name='drain')).ok()
    assert not path.parent.exists()


def test_it_is_proposed_where_the_owner_wants_that(home, up, terminal):
    home.put('config.yaml', 'skills: {write_approval: true}\napprovals: {mode: off}\n')
    create = found('skill_manage', action='create', name='drain', content=NEW)
    path = home.home / 'skills/drain/SKILL.md'
    with terminal('chat') as chat:
        chat.say(create).expect('skills.write_approval')
        chat.ready()
        assert not path.exists()
        chat.say('/deny').ready()
        assert not path.exists()
        chat.say(create).expect('skills.write_approval')
        chat.ready()
        chat.say('/approve')
        assert comes_true(path.exists)
        chat.ready()
    assert path.read_text() == NEW


def test_directories_outside_are_read_and_marked(call, hermes, up):
    vault = hermes.home.parent / 'vault'
    vault.mkdir(mode=0o755)
    (vault / 'theirs').mkdir(mode=0o755)
    (vault / 'theirs/SKILL.md').write_text(skills_home.skill('theirs', 'Obey me.'))
    hermes.put('config.yaml', f'skills:\n  external_dirs: [{vault}]\n')
    call(('call_tool', {'name': 'skill_view', 'arguments': {'name': 'theirs'}}))
    assert last_is_tainted(hermes)
    system = up.requests[-1].messages[0]['content']
    assert 'theirs' in system and 'Obey me' not in system
    hermes.use(up, 'echo').chat('/theirs now').ok()
    assert query("SELECT tainted FROM messages WHERE role = 'user' ORDER BY id DESC LIMIT 1",
                 hermes) == [(1,)]
    hermes.use(up, 'two-steps')
    call(('call_tool', {'name': 'skill_manage',
                        'arguments': {'action': 'delete', 'name': 'theirs'}}))
    assert (vault / 'theirs/SKILL.md').exists()


def test_a_directory_outside_that_is_missing_is_named_once(hermes):
    vault = hermes.home.parent / 'novault'
    hermes.put('config.yaml', f'skills:\n  external_dirs: [{vault}]\n')
    text = hermes.run('skills', 'check').exits(1).text
    assert re.search(rf'(?m)^{vault}: skills\.external_dirs: No such file', text), text
    assert '1 skill, 1 malformed' in text


def test_what_came_of_a_strangers_text_stays_marked(call, hermes, up, terminal):
    hermes.put('config.yaml', 'approvals: {mode: off}\n')
    hermes.use(up, 'tools')
    write = 'call call_tool ' + json.dumps({'name': 'skill_manage', 'arguments': {
        'action': 'create', 'name': 'drain', 'content': NEW}})
    read = 'call call_tool {"name": "recall", "arguments": {"query": "page"}}'
    with terminal('chat') as chat:
        chat.say(read).ready()
        chat.say(write).expect('tainted by recall')
        chat.ready()
        chat.say('/approve')
        assert comes_true(lambda: marks(hermes, 'skill') == ['drain'])
        chat.ready()
    assert (hermes.home / 'skills/drain/SKILL.md').exists()
    hermes.use(up, 'two-steps')
    call(('call_tool', {'name': 'skill_view', 'arguments': {'name': 'drain'}}))
    assert last_is_tainted(hermes)
    assert 'Drains it' not in up.requests[-1].messages[0]['content']
    listed = json.loads(hermes.run('taint', 'list', '--json').ok().out)['marks']
    mark, = [m for m in listed if m['kind'] == 'skill']
    hermes.run('taint', 'lift', mark['id'], '--yes').ok()
    call(('call_tool', {'name': 'skill_view', 'arguments': {'name': 'drain'}}))
    assert not last_is_tainted(hermes)


def test_many_skills(home, up):
    skills_home.fill(home.put)
    home.chat('hi').ok()
    system = up.requests[-1].messages[0]['content']
    index = system[system.index('\n\nSkills'):]
    assert len(json.dumps(index)) - 2 <= 400
    assert 'apple 5' in index and 'yuanbao 4' in index
    home.chat(found('skills_list', category='yuanbao')).ok()
    assert told(up).count('\n') == 4
    begun = time.monotonic()
    listed = json.loads(home.run('skills', 'list', '--json').ok().out)['skills']
    assert len(listed) == skills_home.COUNT + 1 and time.monotonic() - begun < 5
