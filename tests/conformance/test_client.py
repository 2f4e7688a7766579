"""Both eras of the client: every scenario that counts and is not about authorization."""

import pathlib
import subprocess

import pytest

CLIENT = pathlib.Path(__file__).resolve().parents[2] / "build/debug/tests/conformance_client"
SCENARIOS = {
    "2025-11-25": ["initialize", "tools_call", "elicitation-sep1034-client-defaults", "sse-retry"],
    "2026-07-28": ["tools_call", "request-metadata", "http-standard-headers",
                   "http-custom-headers", "http-invalid-tool-headers",
                   "sep-2322-client-request-state", "json-schema-ref-no-deref"],
}
BESIDES = ["json-schema-2020-12-preservation"]  # newer than the revisions, so it does not count


@pytest.mark.parametrize("revision, name", [
    (revision, name) for revision, names in SCENARIOS.items() for name in names + BESIDES])
def test_the_client_passes(suite, tmp_path, revision, name):
    done = subprocess.run(
        [suite.node, suite.package / "dist/index.js", "client", "--command", CLIENT, "--scenario",
         name, "--spec-version", revision, "-o", tmp_path],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    assert done.returncode == 0 and "OVERALL: PASSED" in done.stdout, done.stdout


@pytest.mark.parametrize("revision", sorted(SCENARIOS))
def test_no_other_scenario_counts(suite, revision):
    counted = [name for name in suite.required("client", revision) if not name.startswith("auth/")]
    assert sorted(counted) == sorted(SCENARIOS[revision])
