"""What kubernetes.md and vps.md say of make, manifests and other programs' errors.

Blocks of other languages than in test_docs.py:

    ```text make         what the scripts behind `make ai` print (a line of ... leaves some out)
    ```text node         what Kubernetes, containerd or K3s say: cluster_texts.py knows from where
    ```yaml kubernetes   a piece of a manifest, which stands in k8s/ as an example
"""

import re
import subprocess

import pytest
import yaml
from cluster_commands import manifests
from cluster_texts import SEEN
from harness import ROOT
from user import blocks, documents

GUIDE = ROOT / "docs/kubernetes.md"
VPS = ROOT / "docs/vps.md"
MARKED = [block for path in documents() for block in blocks(path)]


def lines(word):
    return [(block, line) for block in MARKED if block.language == "text" and word in block.words
            for line in block.text.splitlines() if line.strip() not in ("", "...")]


def rows(path, first):
    """Of the table whose header's first cell is this: the cells of each row."""
    text = path.read_text()
    table = re.search(rf"(?m)^\| {first} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", text)[1]
    return [[cell.strip() for cell in line.strip().strip("|").split("|")]
            for line in table.splitlines()]


def names(cell):
    return re.findall(r"`([^`]+)`", cell)


# -- make -----------------------------------------------------------------------------------------

def settings():
    """NAME -> default, of the scripts behind make."""
    text = (ROOT / "scripts/ai/lib.sh").read_text()
    return dict(re.findall(r'(?m)^: "\$\{(\w+):=(.*?)\}"', text))


def test_the_variables_of_make():
    known, told = settings(), {}
    for variables, defaults, _ in rows(GUIDE, "variable"):
        values = names(defaults)
        for i, name in enumerate(names(variables)):
            assert name in known or name == "KUBECONFIG", f"make knows no {name}"
            told[name] = values[i] if i < len(values) else None
    for name, value in told.items():
        assert not known.get(name) or known[name] == value, f"{name} is {known[name]}"
    hidden = {"POLL", "PATIENCE", "CALL_LIMIT", "OUTAGE_LIMIT"}  # for tests
    assert set(known) - hidden <= set(told), set(known) - hidden - set(told)


def test_the_targets_of_make():
    """In the order in which `make ai` does them."""
    told = [names(row[0])[0] for row in rows(GUIDE, "target")]
    makefile = (ROOT / "Makefile").read_text()
    for target in told:
        assert re.search(rf"(?m)^{target}:", makefile), f"make knows no {target}"
    done = subprocess.run(["make", "-n", "ai"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    order = [done.stdout.find(f"ai-{name}") for name in
             ("registry", "hermes-build", "kubernetes-mcp-build", "hermes-deploy")]
    called = re.findall(r"scripts/ai/[\w-]+(?: [\w-]+)?", done.stdout)
    assert order == sorted(order) or len(called) == len(told), done.stdout


SHOWN = [*documents(), ROOT / "Makefile",
         *(path for folder in ("k8s", "registry", "kaniko", "scripts/ai")
           for path in sorted((ROOT / folder).rglob("*")) if path.is_file())]


def set_for_targets():
    """(target, variable) -> the file that shows `make TARGET VARIABLE=...`."""
    found = {}
    for path in SHOWN:
        text = " ".join(re.sub(r"(?m)^ *#", " ", path.read_text("utf-8")).split())
        for target, variables in re.findall(r"\bmake (ai[a-z-]*)((?: [A-Z_]+=\S*)+)", text):
            for name in re.findall(r" ([A-Z_]+)=", variables):
                found.setdefault((target, name), path.relative_to(ROOT))
    return found


def read_by(target):
    """The variables that the scripts of a target use; giving one its default is not using it."""
    dry = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True)
    assert dry.returncode == 0, dry.stderr
    left, seen, text = set(re.findall(r"scripts/ai/[\w.-]+", dry.stdout)), set(), ""
    while left - seen:
        name = (left - seen).pop()
        seen.add(name)
        one = re.sub(r'(?m)^ *(#|: "\$\{\w+:=).*$', "", (ROOT / name).read_text())
        left |= {f"scripts/ai/{other}" for other in
                 re.findall(r'(?m)^ *\. "[^"\n]*/([\w-]+\.sh)"$', one) if other != "lib.sh"}
        text += one
        left.add("scripts/ai/lib.sh")
    return set(re.findall(r"\$\{?([A-Z_]+)\b", text))


def test_what_is_set_for_a_target_is_read_by_its_scripts():
    shown = set_for_targets()
    assert ("ai-logs", "LAST") in shown and ("ai", "KUBE_CONTEXT") in shown, shown
    for (target, name), path in shown.items():
        assert name in read_by(target) | {"KUBECONFIG"}, f"{path}: {target} does not read {name}"


def test_the_check_of_what_is_set_can_fail():
    assert "LAST" in read_by("ai-logs") and "LINES" not in read_by("ai-logs")
    assert "KANIKO_IMAGE" in read_by("ai-hermes-build") - read_by("ai-logs")


def fragments():
    """What the scripts say by themselves, cut where something is put in; the longest first."""
    found = set()
    for path in [*sorted((ROOT / "scripts/ai").iterdir()), *(ROOT / "registry").glob("install-*")]:
        text = re.sub(r"(?m)^ *#.*$", "", path.read_text())
        text = re.sub(r"\\\n\s*", "", text).replace('\\"', "").replace("\\n", "\n")
        cut = re.split(r"\$\{[^{}]*\}|\$\w+|%[sd]|[\"'`\n(){}|;]", text)
        found |= {piece.strip("$ ") for piece in cut if len(piece.strip("$ ")) >= SHORT}
    return sorted(found, key=len, reverse=True)


def left_over(text):
    """What of a text is in no script; None when no script says enough of it to be known by that."""
    known = False
    for piece in fragments():
        known |= len(piece) >= LEAST and piece in text
        text = text.replace(piece, " | ")
    return text if known else None


def said_by_a_script(text):
    """All but what was put in: names, numbers, images. Two words in a row are no such thing."""
    rest = left_over(re.sub(r"[\"'`]", "", text))
    return rest is not None and not re.search(r"(?<!\S)[a-z]{2,}[,:]? [a-z]{2,}(?!\S)", rest)


SHORT = 5
LEAST = 12  # characters that a script must say itself, so that a text is known by them
DECORATION = re.compile(r"^\s*(failed:|!!|ok|->|\|)?\s*")


def pieces(line):
    """What a script prints as one text: of "-> what to do  [why]" either half."""
    halves = re.fullmatch(r"-> (.*?)  \[(.*)\]", line)
    return halves.groups() if halves else [DECORATION.sub("", line)]


@pytest.mark.parametrize("block, line", lines("make"), ids=str)
def test_what_make_prints(block, line):
    for piece in pieces(line):
        assert said_by_a_script(piece), f"{block}: no script prints: {piece}"


def test_the_check_of_what_make_prints_can_fail():
    for text in ("the pod is refused: by bad weather", "no cluster answers today, sorry",
                 "it is a failure"):
        assert not said_by_a_script(text), text


# -- other programs -------------------------------------------------------------------------------

@pytest.mark.parametrize("block, line", lines("node"), ids=str)
def test_others_errors_have_been_seen(block, line):
    """In a test of ours that brings them about, or in a report of somebody who had them."""
    places = [place for pattern, place in SEEN if re.search(pattern, line)]
    assert places, f"{block}: cluster_texts.py does not know where this was seen: {line}"
    for place in places:
        if place.startswith("https://"):
            continue
        name, _, needle = place.partition(": ")
        assert needle in (ROOT / name).read_text(), f"{name} does not look for {needle!r}"


def test_every_text_is_of_use():
    for pattern, _ in SEEN:
        assert any(re.search(pattern, line) for _, line in lines("node")), f"unused: {pattern}"


# -- manifests ------------------------------------------------------------------------------------

def commented(path):
    """Pieces of YAML that stand in a file as comments."""
    for comment in re.findall(r"(?m)((?:^ *# .*\n)+)", path.read_text()):
        text = re.sub(r"(?m)^ *# ?", "", comment)
        start = re.search(r"(?m)^- ", text)
        if start:
            yield yaml.safe_load(text[start.start():])


@pytest.mark.parametrize("block", [b for b in MARKED if b.words == ["kubernetes"]], ids=str)
def test_pieces_of_manifests(block):
    examples = [one for path in (ROOT / "k8s").glob("*.yaml") for one in commented(path)]
    assert yaml.safe_load(block.text) in examples, f"{block} is not in k8s/"


def test_the_variables_of_compose():
    text = (ROOT / "compose.yaml").read_text()
    known = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", text))
    told = {}
    for variables, defaults, _ in rows(VPS, "variable"):
        told.update(zip(names(variables), names(defaults)))
    assert told == known


def test_the_ports_and_addresses():
    """What the text says by number."""
    text = " ".join(GUIDE.read_text().split())
    service = yaml.safe_load((ROOT / "registry/service.yaml").read_text())["spec"]
    assert service["type"] == "ClusterIP" and service["clusterIP"] in text
    opened = yaml.safe_load((ROOT / "registry/node-port/service.yaml").read_text())["spec"]
    assert f"port {opened['ports'][0]['nodePort']} of every node" in text
    collect = (ROOT / "registry/collect.yaml").read_text()
    keep = re.search(r'KEEP_TAGS.*\n\s+value: "(\d+)"', collect)
    assert f"the last {keep[1]} tags" in text
    assert ("Deployment", "hermes") in manifests()
