"""Where the errors of others that the documents quote were seen: (pattern of a line, place).

A place is `FILE: WORDS` for a test that brings the error about and looks for these words, or the
address of a report by somebody who had it, for what no test here can have: K3s itself, a Pi.
"""

SEEN = [
    (r'level=fatal msg="failed to find memory cgroup \(v2\)"',
     "https://github.com/k3d-io/k3d/issues/853"),
    (r"Waiting to retrieve agent configuration; .* Node password rejected, duplicate hostname",
     "https://github.com/k3s-io/k3s/issues/6054"),
    (r"x509: certificate is valid for kubernetes, .*, not ",
     "https://github.com/k3d-io/k3d/issues/1613"),
    (r"dial tcp: lookup registry\.registry\b.*: no such host$",
     "tests/cluster/test_node.py: 'no such host' in done.stderr"),
    (r"http: server gave HTTP response to HTTPS client$",
     "https://github.com/k3s-io/k3s/issues/12551"),
    (r"x509: certificate signed by unknown authority$",
     "https://github.com/k3s-io/k3s/issues/12535"),
    (r'MountVolume\.SetUp failed for volume "\S+" : secret "\S+" not found$',
     "https://github.com/netbox-community/netbox-chart/issues/231"),
    (r"provided IP is already allocated$",
     "https://github.com/kubernetes/kubernetes/issues/136475"),
    (r"provided IP is not in the valid range$",
     "https://github.com/kubernetes/kubernetes/issues/37829"),
    (r"nodes are available: 1 Insufficient cpu\.",
     "tests/cluster/test_node.py: 'Insufficient cpu' in condition['message']"),
    (r"nodes are available: 1 node\(s\) had volume node affinity conflict",
     "https://github.com/kubernetes/kubernetes/issues/108096"),
    (r'is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false',
     "https://github.com/redhat-developer/odo/issues/6847"),
    (r'is forbidden: violates PodSecurity "restricted:latest"',
     "tests/cluster/test_node.py: violates PodSecurity \"restricted:latest\""),
]
