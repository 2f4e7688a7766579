"""Both eras of the client: every scenario that counts."""

import pathlib
import subprocess

import pytest

CLIENT = pathlib.Path(__file__).resolve().parents[2] / "build/debug/tests/conformance_client"
AUTH = ["auth/" + name for name in (
    "metadata-default", "metadata-var1", "metadata-var2", "metadata-var3", "basic-cimd",
    "scope-from-www-authenticate", "scope-from-scopes-supported", "scope-omitted-when-undefined",
    "scope-step-up", "scope-retry-limit", "token-endpoint-auth-basic", "token-endpoint-auth-post",
    "token-endpoint-auth-none", "pre-registration")]
AUTH_2026 = ["auth/" + name for name in (
    "resource-mismatch", "offline-access-scope", "offline-access-not-supported",
    "authorization-server-migration", "iss-supported", "iss-not-advertised",
    "iss-supported-missing", "iss-wrong-issuer", "iss-unexpected", "iss-normalized",
    "metadata-issuer-mismatch")]
SCENARIOS = {
    "2025-11-25": ["initialize", "tools_call", "elicitation-sep1034-client-defaults", "sse-retry",
                   *AUTH],
    "2026-07-28": ["tools_call", "request-metadata", "http-standard-headers",
                   "http-custom-headers", "http-invalid-tool-headers",
                   "sep-2322-client-request-state", "json-schema-ref-no-deref", *AUTH, *AUTH_2026],
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
    assert sorted(suite.required("client", revision)) == sorted(SCENARIOS[revision])
