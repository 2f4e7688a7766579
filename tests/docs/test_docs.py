"""What the documents say is true: commands run, quoted errors happen, names and links exist.

A command that cannot run in a test stands in NOT_RUN with its reason; whatever of it can be checked
is. Languages of blocks: `sh` (commands), `console` (commands with their output, ... for any lines),
`text` (in troubleshooting.md, and elsewhere `text hermes`: what the program prints), `yaml` (a
whole configuration without a finding; `yaml wrong` is one for the console block below it), `ini`,
`dockerfile`, `mermaid` (a figure). A block whose language is followed by `running`, `telegram` or
`terminal` belongs to test_running.py, by `routed` to test_routed.py, by `mcp` to test_mcp.py, by
`compose` to test_compose.py, by `api` to test_agent_api.py, and by `make`, `node` or `kubernetes`
to test_kubernetes.py.
"""

import itertools
import re
import shlex
import subprocess

import pytest
from harness import ROOT
from openai_upstream import Upstream
from troubles import CASES, told
import cluster_commands
import hermes_agent_home
import service_troubles  # noqa: F401  adds its cases
from user import blocks, commands, documents, normal, prose

DOCUMENTS = documents()
TOUR = [ROOT / name for name in ("src/README.md", "docs/design.md", "docs/contributing.md",
                                 "CONTRIBUTING.md", "SECURITY.md")]
TROUBLES = ROOT / "docs/troubleshooting.md"
EXAMPLE = ROOT / "docs/examples/config.yaml"
NOTICE_MAX = 12 * 1024  # bytes: it is in the binary


def ids(path):
    return str(path.relative_to(ROOT))


# -- commands -------------------------------------------------------------------------------------

def make_dry(words):
    """The target exists, and so do the scripts that it calls."""
    done = subprocess.run(["make", "-n", *words[1:]], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for name in re.findall(r"(?m)^((?:scripts|cross|tests|benchmarks)/[\w/.-]+)", done.stdout):
        assert (ROOT / name).is_file(), f"{' '.join(words)} calls {name}, which is not there"


def nothing(_words):
    pass


def file_exists(words):
    assert (ROOT / words[0]).is_file(), f"there is no {words[0]}"


def sysroot_option(words):
    usage = subprocess.run([ROOT / words[0], "--help"], capture_output=True, text=True).stdout
    assert all(word in usage for word in words if word.startswith("--")), usage
    assert not words[-1].endswith(("-musl", "-gnu")) or words[-1] in usage, usage


def known_suites(words):
    listed = subprocess.run([ROOT / words[0], "--list"], capture_output=True, text=True).stdout
    for name in itertools.takewhile(lambda word: not word.startswith("-"), words[1:]):
        assert re.search(rf"(?m)^{name}\b", listed), f"no suite {name}"


def pytest_paths(words):
    for word in words:
        if word.startswith("tests/"):
            assert (ROOT / word).exists(), f"there is no {word}"


def meson_unit(words):
    name = words[0].rpartition("/test_")[2]
    assert (ROOT / f"tests/unit/test_{name}.c").is_file()


# What a command begins with, why it is not run, and what is checked instead.
NOT_RUN = [
    (r"make\b", "builds or tests for minutes", make_dry),
    (r"git (clone|pull)\b", "needs a network", nothing),
    (r"kubectl ", "needs a cluster: tests/cluster", cluster_commands.kubectl),
    (r"docker compose ", "needs a container engine: tests/image", cluster_commands.compose),
    (r"cp k8s/", "makes a file in the tree", cluster_commands.example_and_ignored),
    (r"(chmod \d+|\"\$\{EDITOR:-nano\}\") k8s/", "follows it", cluster_commands.ignored),
    (r"cat >compose/", "waits for what the reader pastes", cluster_commands.ignored),
    (r"(read -rs|printf '%s' \"\$password|printf '\{\"auths)", "asks for a password", nothing),
    (r"chmod 600 ~/\.kube", "follows what needs another machine", nothing),
    (r"curl -sfL https://get\.k3s\.io", "installs K3s", nothing),
    (r"curl .*\.ts\.net", "needs a network", nothing),
    (r"cd \w+$", "follows a clone", nothing),
    (r"sudo(edit)?\b", "changes the machine", nothing),
    (r"(scp|ssh)\b", "needs another machine", nothing),
    (r"rm -rf ~", "removes the reader's files", nothing),
    (r"(cp|tar) .*\.hermes", "copies the reader's home", nothing),
    (r"sqlite3 ", "needs a program that the product does not", nothing),
    (r"systemctl |journalctl ", "needs a systemd that runs", nothing),
    (r"docker ", "needs a container engine", nothing),
    (r"skopeo ", "needs a registry", nothing),
    (r"export HERMES_SOURCES=", "belongs to a build", nothing),
    (r"benchmarks/peers\b", "installs 2 GB", file_exists),
    (r"cross/sysroot --list", "looks at recipes only, checked beside the others", sysroot_option),
    (r"cross/sysroot ", "downloads and builds", sysroot_option),
    (r"sha256sum -c ", "needs a release: tests/release", nothing),
    (r"tests/(lint/)?run --list", "checked beside the others", file_exists),
    (r"tests/run ", "would run the tests from a test", known_suites),
    (r"build/debug/tests/", "there only after make test", meson_unit),
    (r"meson ", "there only after make test", nothing),
    (r"(HERMES_\w+=\S+ )*/usr/bin/python3 -m pytest ", "would run the tests from a test",
     pytest_paths),
    (r"/usr/bin/python3 tests/fakes/(openai_upstream|telegram_api).py", "serves until stopped",
     pytest_paths),
    (r"hermes chat$", "wants a terminal: tests/blackbox/test_terminal.py", nothing),
    (r"hermes run\b", "serves until stopped: tests/blackbox/test_daemon.py", nothing),
    (r"hermes hands\b", "serves until stopped: tests/blackbox/test_hands.py", nothing),
    (r"(LITELLM_MASTER_KEY=\S+ )?hermes router\b", "serves until stopped: test_router.py", nothing),
]

# Where the documents' addresses lead in a test.
REAL_SERVERS = re.compile(r"https?://(127\.0\.0\.1:(11434|8080|4000)/v1|api\.deepseek\.com/v1)\b")

COMMAND_BLOCKS = [block for path in DOCUMENTS for block in blocks(path)
                  if block.language in ("sh", "console", "bash")
                  and not {"running", "routed", "mcp", "api"} & set(block.words)]


def not_run(command):
    return next((row for row in NOT_RUN if re.match(row[0], command)), None)


def to_run(block):
    return [command for command in commands(block) if not not_run(command)]


@pytest.mark.parametrize("block", [b for b in COMMAND_BLOCKS if len(to_run(b)) < len(commands(b))],
                         ids=str)
def test_what_is_not_run_exists(block):
    for command in commands(block):
        row = not_run(command)
        if row:
            row[2](shlex.split(command))


def surroundings(block, upstream):
    """Lines before the block's own: where the providers are, and the file that it speaks of."""
    lines = [f"export OPENROUTER_BASE_URL={upstream.base_url}", "set -e"]
    if "OPENAI_API_KEY" in block.text and "OPENAI_BASE_URL" not in block.text:
        lines.append(f"export OPENAI_BASE_URL={upstream.base_url}")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("block", [b for b in COMMAND_BLOCKS if to_run(b)], ids=str)
def test_commands_work(reader, any_model, block):
    if block.before and block.before.words == ["wrong"]:
        reader.put("config.yaml", block.before.text)
    if "hermes import" in block.text:
        hermes_agent_home.make(reader)
    with Upstream(api_key=None) as upstream:
        text = REAL_SERVERS.sub(upstream.base_url, "\n".join(to_run(block)))
        status, shown = reader.script(surroundings(block, upstream) + text)
        assert status == 0, f"{block}: status {status}\n{text}\n{shown}"
        if block.language == "console":
            compare(block, shown)
        asked = any("HERMES_MODEL=" in c for c in commands(block)) and "chat" in text
        assert bool(upstream.requests) == asked, f"{block}: the model was asked, or not, by mistake"
        assert not upstream.rejected, upstream.rejected


def compare(block, shown):
    """Each line of the output stands there, in this order; `...` stands for anything."""
    wanted = [line for line in block.text.splitlines() if not line.startswith("$ ")]
    lines, at = shown.splitlines(), 0
    for line in wanted:
        if line == "...":
            continue
        pattern = re.compile(".*".join(map(re.escape, line.split("..."))))
        at = next((i + 1 for i in range(at, len(lines)) if pattern.fullmatch(lines[i])), None)
        assert at, f"{block}: not printed: {line}\n{shown}"


def test_every_block_has_a_known_language():
    known = {"sh", "console", "text", "yaml", "ini", "dockerfile", "mermaid"}
    odd = [f"{b}: {b.language or 'no language'}" for p in DOCUMENTS for b in blocks(p)
           if b.language not in known]
    assert not odd, odd


# -- quoted errors --------------------------------------------------------------------------------

QUOTED = [(block, line) for path in DOCUMENTS for block in blocks(path)
          if block.language == "text" and (path == TROUBLES or block.words == ["hermes"])
          for line in block.text.splitlines() if line.strip()]


@pytest.mark.xdist_group("quoted")
@pytest.mark.parametrize("name", CASES)
def test_the_trouble_happens_and_is_explained(reader, name):
    """Brings it about; what the program prints is in the document. Collects for the next test."""
    shown = {normal(line) for line in CASES[name](reader).splitlines()}
    PRINTED.update(shown)
    assert shown & {normal(line) for _, line in QUOTED}, \
        "none of this is in the documents:\n" + "\n".join(sorted(shown))


PRINTED = set()


@pytest.mark.xdist_group("quoted")
def test_nothing_is_quoted_that_is_not_printed():
    """Runs after all of the above, in their process; by itself it has nothing to look at."""
    if not PRINTED:
        pytest.fail("run the whole file: this compares with what the tests above have printed")
    invented = [f"{block}: {line}" for block, line in QUOTED if normal(line) not in PRINTED]
    assert not invented, "the program does not print:\n" + "\n".join(invented)


# -- configuration --------------------------------------------------------------------------------

SECRETS = {name: f"sk-{name.lower()}-0123456789" for name in (
    "MY_API_KEY", "MY_PROXY_KEY", "OPENROUTER_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY",
    "DEEPSEEK_API_KEY", "GROQ_API_KEY", "LM_STUDIO_API_KEY", "HOSTED_VLLM_API_KEY",
    "LITELLM_PROXY_API_KEY", "LITELLM_MASTER_KEY", "HERMES_ADMIN_KEY", "TAVILY_API_KEY",
    "API_SERVER_KEY", "WIKI_TOKEN", "VOICE_TOOLS_OPENAI_KEY")}
SECRETS["TELEGRAM_BOT_TOKEN"] = "123456789:AAexampleexampleexampleexample"


def no_finding(reader, text, env=SECRETS):
    path = reader.put("config.yaml", text, base=reader.directory)
    result = reader.run("config", "check", "--config", path, env=env)
    assert result.code == 0 and "0 errors, 0 other findings" in result.text, told(reader, result)


@pytest.mark.parametrize("block", [b for p in DOCUMENTS for b in blocks(p) if b.language == "yaml"
                                   and not b.words], ids=str)
def test_configurations_are_right(reader, block):
    no_finding(reader, block.text)


def keys_of(reader):
    text = reader.run("config", "keys").ok().text
    keys = re.findall(r"(?m)^([a-z]\S+)", text)
    files = re.findall(r"(?m)^    or (\S+): the path", text)
    return keys, files, text


def enabled(without):
    """The example with every commented setting switched on, but those that match `without`."""
    lines = []
    for line in EXAMPLE.read_text().splitlines():
        setting = re.fullmatch(r"( *)#(\S.*)", line)
        if setting and not re.match(without, setting[2]):
            line = setting[1] + setting[2]
        lines.append(line)
    return "\n".join(lines) + "\n"


def test_the_example_is_right_as_it_is(reader):
    no_finding(reader, EXAMPLE.read_text(), env={})


def test_the_example_is_right_with_every_key(reader):
    no_finding(reader, enabled(r"(api_key|token|key|master_key)_file:"))


def test_the_example_is_right_with_every_key_file(reader):
    secret = reader.put("secret", "sk-0123456789abcdef\n", base=reader.directory)
    text = re.sub(r"/run/secrets/[\w-]+", str(secret), enabled(r"(api_key|token|key|master_key):"))
    no_finding(reader, text)


def dotted(text):
    """The dotted keys of the example's layout, its maps' entries included."""
    found, path = {}, []
    for line in text.splitlines():
        key = re.match(r"( *)([\w-]+):(?: +([^#]*))?", line)
        if key:
            path[len(key[1]) // 2:] = [key[2]]
            found[".".join(path)] = (key[3] or "").strip()
    return found


def test_the_example_has_every_key(reader):
    keys, files, _ = keys_of(reader)
    missing = set(keys + files) - set(dotted(enabled(r"(?!)")))
    assert not missing, f"not in {ids(EXAMPLE)}: {missing}"


def test_the_example_holds_the_names_that_people_ask(reader):
    """free, then free2, then cheap; strong by its name; and slots for them."""
    path = reader.put("config.yaml", enabled(r"(api_key|token|key|master_key)_file:"),
                      base=reader.directory)
    text = reader.run("config", "show", "--config", path, env=SECRETS).ok().text
    names = re.findall(r"(?m)^ +\d+\.model_name +(\S+)", text)
    assert names[:4] == ["free", "free2", "cheap", "strong"]
    assert '[{"free":["free2","cheap"]},{"free2":["cheap"]}]' in text
    assert re.search(r"(?m)^router\.slots +main: free, digest: cheap ", text)


def milliseconds(text):
    number = re.fullmatch(r"(\d+)(ms|s|m|h|d)", text)
    return int(number[1]) * {"ms": 1, "s": 1000, "m": 60000, "h": 3600000,
                             "d": 86400000}[number[2]] if number else text


def test_the_example_shows_the_defaults(reader):
    text, example = keys_of(reader)[2], dotted(EXAMPLE.read_text())
    defaults = dict(re.findall(r"(?m)^([a-z]\S+) +\S.*?, default (\S+)", text))
    for key, default in defaults.items():
        assert milliseconds(example[key]) == milliseconds(default), key


def test_the_example_names_the_variables(reader):
    """Every variable is there, and marked `(env first)` where it beats the file."""
    example = EXAMPLE.read_text()
    for names, wins in re.findall(r"environment: (\S+)( \(beats the file\))?", keys_of(reader)[2]):
        for name in names.split(","):
            line = next((x for x in example.splitlines() if re.search(rf"\b{name}\b", x)), None)
            assert line, f"{name} is not in the example"
            assert not wins or "(env first)" in line, f"not marked (env first): {line}"


def test_the_time_limits_in_configuration_md(reader):
    text = keys_of(reader)[2]
    rows = re.findall(r"\| `([\w.]+)` \| `(\w+)` \| (\w+) \|",
                      (ROOT / "docs/configuration.md").read_text())
    assert len(rows) == 5
    for key, variable, default in rows:
        entry = re.search(rf"(?m)^{re.escape(key)} .*default (\S+)\n(?:    .*\n)*?"
                          rf"    environment: .*\b{variable}\b", text)
        assert entry and milliseconds(entry[1]) == milliseconds(default), key


SERVERS = """
tools:
  web: {search: {provider: searxng, base_url: "http://127.0.0.1:9"}}
  http: {endpoints: [{name: wiki, url: "http://127.0.0.1:9"}]}
"""


def test_the_tools_in_configuration_md(reader):
    """Those of every request with their bytes, and those that the model finds."""
    reader.put("config.yaml", SERVERS)
    text = (ROOT / "docs/configuration.md").read_text()
    tools = text[text.index("\n## The tools\n"):text.index("\n### Commands\n")]
    listed = re.findall(r"(?m)^\| `(\w+)` \| (\d+) \|", tools)
    shown = re.findall(r"(?m)^tool (\w+) +(\d+)", reader.run("context").ok().text)
    assert len(listed) > 5 and sorted(listed) == sorted(shown)
    rows = re.findall(r"(?m)^\| (`\w+`(?:, `\w+`)*) \| [^|]+ \|$", tools)
    with Upstream() as upstream:
        reader.use(upstream, "tools").chat("call find_tools {}").ok()
        found, = [m for m in upstream.requests[-1].messages if m["role"] == "tool"]
    assert sorted(re.findall(r"`(\w+)`", " ".join(rows))) == \
        sorted(re.findall(r"(?m)^(\w+): ", found["content"]))


# -- names and links ------------------------------------------------------------------------------

SOURCES = {path: path.read_text() for path in sorted((ROOT / "src").rglob("*.[ch]"))}
CODE = "\n".join(SOURCES.values())
FUNCTION = re.compile(r"(?m)^(?!return\b|else\b)[\w *()]*?\b(\w+)\([^;{}]*\)\s*\{")


def defined():
    macros = re.findall(r"(?m)^#define (\w+)\(", CODE)
    code = re.sub(r"(?m)^#(?:.*\\\n)*.*$", "", CODE)  # a macro's second line looks like a function
    return set(FUNCTION.findall(code)) | set(macros)


def test_the_check_for_functions_can_fail():
    names = defined()
    assert {"error_set", "agent_turn_start", "main", "list_empty", "mem_new"} <= names
    assert not {"agent_turn_begin", "if", "while"} & names


def quoted_words(path):
    return re.findall(r"`([^`\n]+)`", prose(path))


@pytest.mark.parametrize("path", TOUR, ids=ids)
def test_functions_and_structs_exist(path):
    names, missing = defined(), []
    for word in quoted_words(path):
        function = re.fullmatch(r"(\w+)\(\)", word)
        struct = re.fullmatch(r"struct (\w+)", word)
        if function and function[1] not in names | {"subdir", "thing_verb"}:
            missing.append(word)
        if struct and struct[1] != "thing" and not re.search(rf"\bstruct {struct[1]} \{{", CODE):
            missing.append(word)
        if re.fullmatch(r"\w+_id", word) and not re.search(rf"typedef \w+ {word};", CODE):
            missing.append(word)
        if re.fullmatch(r"TOOL_\w+", word) and not re.search(rf"\b{word} = ", CODE):
            missing.append(word)
    assert not missing, missing


ENDINGS = (".c", ".h", ".py", ".sh", ".md", ".table", ".build", ".yaml")
BUILT = ("build/", "here/")


@pytest.mark.parametrize("path", TOUR, ids=ids)
def test_files_exist(path):
    """A word with a slash, or with an ending of ours, is a file of the tree or of src/."""
    missing = []
    for word in quoted_words(path):
        name = word.split()[0]
        if name.startswith(("/", "~", "-", "http", "init/", "create/")) or name.startswith(BUILT):
            continue
        if not re.fullmatch(r"[\w.-]+(/[\w.-]+)*/?", name) or not (
                "/" in name or name.endswith(ENDINGS)):
            continue
        places = [ROOT / name, ROOT / "src" / name]
        if not any(place.exists() for place in places) and name not in LATER:
            missing.append(word)
    assert not missing, missing


# One in every folder; what lies in a home.
LATER = {"meson.build", "config.yaml", "SOUL.md", "memories/", "skills/", "cron/"}


def test_the_tour_names_every_folder():
    tour = (ROOT / "src/README.md").read_text()
    picture = re.search(r"```text\n(.*?)```", tour, re.S)[1]
    shown = {line.split()[0]: line for line in picture.splitlines()}
    folders = {path.name for path in (ROOT / "src").iterdir() if path.is_dir()}
    assert set(shown) == folders
    for folder, line in shown.items():
        uses = uses_of(folder)
        assert "everything above" in line or line.split()[len(line.split()) - len(uses):] == uses, \
            f"{folder} uses {uses}"


def uses_of(folder):
    """The folders that a folder's meson.build lists."""
    text = (ROOT / "src" / folder / "meson.build").read_text()
    listed = re.search(rf"(?m)^{folder}_deps = \[(.*?)\]", text, re.S)
    names = re.findall(r"(\w+)_dep\b", listed[1]) if listed else []
    return [name for name in names if (ROOT / "src" / name).is_dir()]


def anchors(path):
    headings = re.findall(r"(?m)^#+ (.*)$", prose(path))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=ids)
def test_links_lead_somewhere(path):
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(path)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        place = (path.parent / name) if name else path
        if not place.exists() or (anchor and anchor not in anchors(place)):
            broken.append(target)
    assert not broken, broken


# -- notices --------------------------------------------------------------------------------------

def test_the_notices_are_in_the_binary(reader):
    notice = (ROOT / "NOTICE").read_bytes()
    assert len(notice) <= NOTICE_MAX
    assert reader.run("version", "--licenses").ok().out == notice


def test_the_notices_name_what_is_linked():
    notice = (ROOT / "NOTICE").read_text()
    names = {"mbedtls": "Mbed TLS", "sqlite3": "SQLite", "libyaml": "libyaml", "musl": "musl",
             "cjson": "cJSON", "curl": "libcurl", "libseccomp": "libseccomp"}
    for recipe in sorted((ROOT / "cross/recipes").glob("*.sh")):
        package = re.search(r"(?m)^package=(\S+)", recipe.read_text())[1]
        linked = re.search(rf"{recipe.stem}|{package}", (ROOT / "meson.build").read_text()) or \
            recipe.stem == "musl"
        if linked and package != "linux-libc-dev":
            assert names.get(package, package) in notice, f"{package} is not in NOTICE"


def test_the_files_that_the_notices_name_exist():
    notice = (ROOT / "NOTICE").read_text()
    for name in re.findall(r"\b(?:LICENSES|cross|scripts)/[\w./-]+\w", notice):
        assert (ROOT / name).exists(), name
