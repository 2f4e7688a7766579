"""What can be said about a command for a cluster or a container engine without having one.

Each takes the command's words and fails when it names something that is not there.
"""

import re
import subprocess

import yaml
from harness import ROOT

FOLDERS = ("k8s", "registry", "kaniko")
LONG = {"deploy": "Deployment", "deployment": "Deployment", "cronjob": "CronJob", "job": "Job",
        "svc": "Service", "service": "Service", "pvc": "PersistentVolumeClaim",
        "namespace": "Namespace", "secret": "Secret"}
# Made by the scripts, or given a name by the command itself.
MADE = {("Secret", "hermes-secrets"), ("Job", "collect-now")}


def manifests():
    """(kind, name) of every object in the tree."""
    found = set(MADE)
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*.yaml"):
            for one in yaml.safe_load_all(path.read_text()):
                if isinstance(one, dict) and "kind" in one and "metadata" in one:
                    found.add((one["kind"], one["metadata"]["name"]))
    return found


def kubectl(words):
    known = manifests()
    for i, word in enumerate(words):
        if word in ("-n", "--namespace"):
            assert ("Namespace", words[i + 1]) in known, f"no namespace {words[i + 1]}"
        named = re.fullmatch(r"(?:--from=)?([a-z]+)/([a-z][a-z-]*)", word)
        if named and named[1] in LONG:
            assert (LONG[named[1]], named[2]) in known, f"no {word}"
        if word in ("namespace", "secret") and words[i - 1] == "delete":
            assert (LONG[word], words[i + 1]) in known, f"no {word} {words[i + 1]}"
        if word in ("-k", "-f") and words[i + 1] != "-":
            assert (ROOT / words[i + 1]).exists(), f"no {words[i + 1]}"


def compose(words):
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    profiles = {name for service in services.values() for name in service.get("profiles", [])}
    for i, word in enumerate(words):
        if word == "--profile":
            assert words[i + 1] in profiles, f"no profile {words[i + 1]}"
    names = [word for word in words[3:] if not word.startswith("-")]
    if words[2] in ("exec", "logs", "restart", "stop", "start") and names:
        assert names[0] in services, f"no service {names[0]}"


def ignored(words):
    """What is written here holds a secret."""
    name = words[-1].lstrip(">")
    done = subprocess.run(["git", "check-ignore", "-q", name], cwd=ROOT)
    assert done.returncode == 0, f"{name} could be committed"


def example_and_ignored(words):
    assert (ROOT / words[1]).is_file(), f"there is no {words[1]}"
    ignored(words)
