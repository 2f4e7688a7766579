"""A home as hermes-agent 0.19 leaves it: its layout, its modes, and its database."""

import json
import pathlib

from harness import give

GIVEN = pathlib.Path(__file__).parent / "hermes_agent"

DIRECTORIES = """
700 audio_cache,cron,cron/output,cron/output/6b208e66a2a7,hooks,image_cache,logs,logs/curator
700 memories,pairing,sessions,skills
755 bin,kanban,platforms,platforms/pairing,profiles,profiles/work,profiles/work/cron
755 profiles/work/home,profiles/work/logs,profiles/work/memories,profiles/work/plans
755 profiles/work/sessions,profiles/work/skills,profiles/work/skins,profiles/work/workspace
755 sandboxes,sandboxes/singularity,scripts,skills/ops,skills/ops/restart-blue-heron,state
"""

FILES = {
    ".clean_shutdown": (0o644, ""),
    ".skills_prompt_snapshot.json": (0o600, '{"skills": []}'),
    ".tirith-install-failed": (0o644, "not found"),
    ".update_check": (0o644, '{"ts": 1795334400.0}'),
    "SOUL.md": (0o644, "You are Iris, and you like herons.\n"),
    "auth.lock": (0o644, ""),
    "channel_directory.json": (0o600, '{"platforms": {"telegram": []}}'),
    "context_length_cache.yaml": (0o644, "context_lengths: {}\n"),
    "gateway-starts.log": (0o644, "1795334400.1\n"),
    "gateway.lock": (0o644, '{"pid": 7}'),
    "gateway_state.json": (0o600, '{"gateway_state": "stopped"}'),
    "kanban.db.dispatch.lock": (0o644, ""),
    "cron/.jobs.lock": (0o644, ""),
    "cron/.tick.lock": (0o644, ""),
    "cron/jobs.json": (0o600, '{"jobs": [], "updated_at": "2026-11-22T09:33:20.250900+01:00"}'),
    "cron/ticker_heartbeat": (0o600, "1795334400.123456\n"),
    "cron/output/6b208e66a2a7/2026-11-22_09-33-20.md": (0o600, "# Cron Job: check-disk\n"),
    "kanban/.dispatcher.lock": (0o644, ""),
    "logs/agent.log": (0o644, "2026-11-22 09:31:35 INFO started\n"),
    "logs/errors.log": (0o644, ""),
    "memories/MEMORY.md": (0o600, "The staging server is called blue-heron and runs Debian 12.\n"
                                  "§\nBackups go to /srv/backup at 03:00 (Süd-Rack)."),
    "memories/MEMORY.md.lock": (0o644, ""),
    "memories/USER.md": (0o600, "Prefers short answers in metric units."),
    "memories/USER.md.lock": (0o644, ""),
    "platforms/pairing/_rate_limits.json": (0o600, '{"telegram:42": 1795334400.5}'),
    "platforms/pairing/telegram-approved.json": (
        0o600, '{"42": {"user_name": "U", "approved_at": 1795334400.5}}'),
    "platforms/pairing/telegram-pending.json": (0o600, "{}"),
    "profiles/work/.env": (0o600, "TELEGRAM_BOT_TOKEN=\n"),
    "profiles/work/SOUL.md": (0o644, "You are Otto.\n"),
    "scripts/x.sh": (0o644, "#!/bin/sh\necho fine\n"),
    "sessions/sessions.json": (0o600, "{}"),
    "skills/.bundled_manifest": (0o600, "plan:0123456789abcdef0123456789abcdef\n"),
    "skills/ops/restart-blue-heron/SKILL.md": (
        0o600, "---\nname: restart-blue-heron\ndescription: Restart the staging web server.\n"
               "version: 1.0.0\n---\n\n# Restart\n\n1. Drain it.\n"),
    "state/gateway.heartbeat": (0o600, '{"pid": 7}'),
}

CALLS = [{"id": "call_1", "type": "function",
          "function": {"name": "terminal", "arguments": '{"command": "df -h /"}'}}]

# In (session's id, role, content, columns beside). Times follow from the order.
SESSIONS = [
    ("20261120_081500_aaaaaa", {"source": "cli", "title": "Disk space"}),
    ("20261121_070000_bbbbbb", {"source": "telegram", "user_id": "42", "chat_id": "42",
                                "chat_type": "dm", "title": "Herons", "model": "fake-model"}),
    ("20261121_080000_cccccc", {"source": "telegram", "user_id": "42", "chat_id": "-100",
                                "chat_type": "forum", "thread_id": "7", "title": "A topic"}),
    ("20261122_090000_dddddd", {"source": "cron"}),
    ("20261122_100000_eeeeee", {"source": "cli", "title": "Nothing was said"}),
]
MESSAGES = [
    (0, "user", "How full is the disk?", {}),
    (0, "assistant", "I look.", {"tool_calls": json.dumps(CALLS)}),
    (0, "tool", "/dev/sda1 40% /", {"tool_call_id": "call_1", "tool_name": "terminal"}),
    (0, "assistant", "It is 40 percent full.", {"reasoning": "40"}),
    (0, "session_meta", "{}", {}),
    (0, "user", "Forget that.", {"active": 0}),
    (1, "user", "What do herons eat? ", {"active": 0, "compacted": 1}),
    (1, "assistant", "Fish and frogs.", {"active": 0, "compacted": 1}),
    (1, "user", "[A summary: herons and what they eat]", {}),
    (1, "user", "And how tall are they? Größe in m", {}),
    (1, "assistant", "About one metre.", {}),
    (2, "user", "in a topic", {"observed": 1}),
    (3, "user", "Check free space.", {}),
    (3, "assistant", None, {"tool_calls": "[{not json"}),
    (3, "assistant", "All is well.", {}),
]


def insert(table, values):
    names = ", ".join(values)
    marks = ", ".join("?" * len(values))
    return f"db.execute('INSERT INTO {table} ({names}) VALUES ({marks})', {[*values.values()]!r})"


def database(sessions=SESSIONS, messages=MESSAGES, first=1):
    """Python statements that fill it, for Hermes.sql()."""
    lines = []
    for number, (name, more) in enumerate(sessions):
        lines.append(insert("sessions", {"id": name, "started_at": 1795000000.5 + number, **more}))
    for number, (session, role, content, more) in enumerate(messages, first):
        name = session if isinstance(session, str) else SESSIONS[session][0]
        lines.append(insert("messages", {"id": number, "session_id": name, "role": role,
                                         "content": content,
                                         "timestamp": 1795100000.25 + 60 * number, **more}))
    return "\n".join(lines)


def schema():
    return f"db.executescript({(GIVEN / 'state.sql').read_text()!r})\n"


# As a gateway that was killed: the last conversations are in the log beside the file alone.
UNCLEAN = "\ndb.commit()\nimport os\nos._exit(0)"


def make(hermes, config="model: {default: offline}\n", unclean=False):
    hermes.mkdir(".")
    for line in DIRECTORIES.split():
        if line.isdigit():
            mode = int(line, 8)
            continue
        for name in line.split(","):
            hermes.mkdir(name)
            (hermes.home / name).chmod(mode)
    for name, (mode, text) in FILES.items():
        hermes.put(name, text, mode)
    hermes.put("config.yaml", config)
    hermes.put(".env", "OPENAI_API_KEY=\n")
    start = "db.execute('PRAGMA journal_mode = WAL')\n" + schema()
    if unclean:
        start += "db.commit()\ndb.execute('PRAGMA wal_autocheckpoint = 0')\n"
    hermes.sql(start + database() + (UNCLEAN if unclean else ""), hermes.home / "state.db")
    hermes.sql("db.execute('CREATE TABLE executions (id TEXT PRIMARY KEY)')",
               hermes.home / "cron/executions.db")
    hermes.sql("db.execute('CREATE TABLE tasks (id TEXT PRIMARY KEY)')", hermes.home / "kanban.db")
    give(hermes.home / "state.db")
    return hermes.home
