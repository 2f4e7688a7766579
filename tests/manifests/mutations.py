"""One mistake each, in the shipped files, and the check that has to see it.

(file, what stands there, what somebody types instead, the check). `None` in the third place takes
the file away, in the second it makes one. The check `kustomization` is that nothing can be rendered
at all.
"""

K8S, REGISTRY = 'k8s/deployment.yaml', 'registry/deployment.yaml'
BUILD, MCP = 'kaniko/hermes-build/job.yaml', 'kaniko/kubernetes-mcp-build/job.yaml'
COLLECT, POLICY = 'registry/collect.yaml', 'k8s/network-policy.yaml'
SERVICE, ACCESS = 'registry/service.yaml', 'registry/network-policy.yaml'
OUTSIDE, VIEW = 'registry/node-port/', 'k8s/kubernetes-mcp/'

# A bot's token in all but truth, put together so that this file holds none.
TOKEN = '7000000003' + ':' + 'AA' + 33 * 'x'
MATCH = 'matchLabels:\n      app.kubernetes.io/name: '
POD = 'template:\n    metadata:\n      labels:\n        app.kubernetes.io/name: '

MUTATIONS = [
    # ---- spelling and form: what only a schema or its types know ----
    (K8S, 'readOnlyRootFilesystem', 'readOnlyRootFileSystem', 'types'),
    (K8S, 'terminationGracePeriodSeconds', 'terminationGracePeriod', 'types'),
    (POLICY, 'policyTypes', 'policyType', 'types'),
    (COLLECT, 'concurrencyPolicy: Forbid', 'concurrencyPolicy: Never', 'types'),
    (K8S, 'containerPort: 9119', 'containerPort: "9119x"', 'schema'),
    (K8S, 'memory: 128Mi', 'memory: 128MiB', 'schema'),
    (K8S, 'defaultMode: 0440', 'defaultMode: "0440"', 'schema'),
    (BUILD, 'backoffLimit: 3', 'backoffLimit: three', 'schema'),
    ('k8s/storage.yaml', 'kind: PersistentVolumeClaim', 'kind: PersistentVolumesClaim', 'schema'),
    (BUILD, 'apiVersion: batch/v1', 'apiVersion: v1', 'schema'),
    ('k8s/kustomization.yaml', 'configMapGenerator:', 'configMapGenerators:', 'kustomization'),

    # ---- what is listed and lies where ----
    ('k8s/service.yaml', '', None, 'kustomization'),
    ('k8s/kustomization.yaml', '  - service.yaml\n', '', 'listed'),
    ('registry/extra.yaml', None, 'kind: Nothing\n', 'listed'),
    ('kaniko/hermes-build/kustomization.yaml', 'namespace: registry', 'namespace: registri',
     'namespaces'),
    ('kaniko/hermes-build/kustomization.yaml', 'namespace: registry', 'namespace: hermes',
     'build_jobs'),
    (MCP, 'name: kubernetes-mcp-build\n  labels', 'name: hermes-build\n  labels', 'unique'),
    (COLLECT, '            app.kubernetes.io/name: registry-collect\n        spec',
     '            app: collect\n        spec', 'labels'),
    ('k8s/kustomization.yaml', 'app.kubernetes.io/part-of: hermes', 'part-of: hermes', 'labels'),

    # ---- selectors, services, ports ----
    (K8S, MATCH + 'hermes', MATCH + 'herms', 'selectors'),
    (REGISTRY, POD + 'registry', POD + 'registry2', 'selectors'),
    ('k8s/service.yaml', 'selector:\n    app.kubernetes.io/name: hermes',
     'selector:\n    app.kubernetes.io/name: agent', 'services'),
    ('k8s/service.yaml', 'targetPort: admin', 'targetPort: http', 'services'),
    (COLLECT, '            app.kubernetes.io/name: registry-collect\n        spec',
     '            app.kubernetes.io/name: registry\n        spec', 'services'),
    (SERVICE, 'clusterIP: 10.43.0.50', 'clusterIP: 10.42.0.50', 'addresses'),
    (OUTSIDE + 'service.yaml', 'nodePort: 30500', 'nodePort: 5000', 'addresses'),
    (OUTSIDE + 'service.yaml', 'type: NodePort', 'type: ClusterIP', 'addresses'),
    (SERVICE, 'type: ClusterIP', 'type: LoadBalancer', 'registry_access'),
    (OUTSIDE + 'kustomization.yaml', 'components:\n  - ../auth\n', '', 'registry_access'),
    (OUTSIDE + 'network-policy.yaml', '- 10.42.0.0/16', '- 10.43.0.0/16', 'registry_access'),
    (OUTSIDE + 'network-policy.yaml', 'cidr: 192.168.0.0/16', 'cidr: 192.0.0.0/8',
     'registry_access'),
    (ACCESS, '                  - hermes-build\n', '', 'registry_access'),
    (ACCESS, 'cidr: 10.42.1.0/32', 'cidr: 10.42.1.0/24', 'registry_access'),
    (ACCESS, '        - port: 5000', '        - port: 5001', 'policies'),
    ('registry/kustomization.yaml', '  - network-policy.yaml\n', '', 'registry_access'),
    (K8S, 'containerPort: 9119', 'containerPort: 9118', 'ports'),
    (K8S, 'path: /healthz\n              port: admin', 'path: /healthz\n              port: http',
     'probes'),
    (K8S, 'path: /readyz', 'path: /healthz', 'probes'),
    (K8S, 'livenessProbe:', 'lifeProbe:', 'probes'),
    (K8S, 'failureThreshold: 60', 'failureThreshold: 6', 'probes'),
    (REGISTRY, 'path: /\n              port: http\n            periodSeconds: 30',
     'path: /v2/\n              port: http\n            periodSeconds: 30', 'probes'),

    # ---- configuration, secrets, volumes ----
    (K8S, 'key: hermes_model', 'key: HERMES_MODEL', 'configmaps'),
    (K8S, 'configMap:\n            name: hermes-config', 'configMap:\n            name: hermes',
     'configmaps'),
    (BUILD, 'key: BASE_IMAGE', 'key: BASE', 'configmaps'),
    (BUILD, '- key: part\n', '- key: parts\n', 'configmaps'),
    (K8S, 'secretName: hermes-secrets', 'secretName: hermes-secret', 'secrets'),
    (K8S, 'defaultMode: 0440', 'defaultMode: 0444', 'secrets'),
    (BUILD, '            optional: true\n', '', 'secrets'),
    (K8S, 'defaultMode: 0440', 'defaultMode: 0440\n            optional: true', 'secrets'),
    (K8S, 'valueFrom:\n                configMapKeyRef:\n                  name: hermes-env',
     'valueFrom:\n                secretKeyRef:\n                  name: hermes-secrets',
     'secrets'),
    ('registry/auth/deployment.yaml', 'secretName: registry-auth', 'secretName: auth', 'secrets'),
    ('k8s/storage.yaml', 'apiVersion: v1', 'apiVersion: v1\nkind: Secret\nmetadata:\n  name: s\n'
     'stringData: {}\n---\napiVersion: v1', 'secrets'),
    (K8S, 'claimName: hermes-data', 'claimName: hermes', 'volumes'),
    (K8S, '- name: tmp\n              mountPath: /tmp',
     '- name: temp\n              mountPath: /tmp', 'volumes'),
    (K8S, 'mountPath: /tmp', 'mountPath: /opt/data', 'volumes'),
    (K8S, 'mountPath: /etc/hermes\n              readOnly: true', 'mountPath: /etc/hermes',
     'volumes'),
    (K8S, 'mountPath: /etc/hermes\n', 'mountPath: /etc/herms\n', 'variables'),
    (K8S, 'value: /run/secrets/hermes', 'value: /run/secrets', 'variables'),
    (K8S, 'HERMES_ADMIN_HOST', 'HERMES_ADMIN_ADDRESS', 'variables'),
    (K8S, 'value: 0.0.0.0', 'value: 127.0.0.1', 'variables'),

    # ---- rights ----
    ('k8s/namespace.yaml', 'enforce: restricted', 'enforce: baseline', 'pod_security'),
    ('registry/namespace.yaml', 'warn: baseline', 'audit: baseline', 'pod_security'),
    (K8S, 'allowPrivilegeEscalation: false', 'allowPrivilegeEscalation: true', 'restricted'),
    (K8S, '        seccompProfile:\n          type: RuntimeDefault\n', '', 'restricted'),
    (K8S, 'runAsNonRoot: true', 'runAsNonRoot: false', 'restricted'),
    (K8S, 'drop:\n                - ALL', 'drop:\n                - NET_RAW', 'restricted'),
    (K8S, 'type: RuntimeDefault', 'type: Unconfined', 'restricted'),
    (REGISTRY, 'automountServiceAccountToken: false', 'hostNetwork: true', 'baseline'),
    (COLLECT, 'persistentVolumeClaim:\n                claimName: registry-data',
     'hostPath:\n                path: /', 'baseline'),
    (BUILD, '                - SETUID\n', '                - SETUID\n                - SYS_ADMIN\n',
     'hardened'),
    (REGISTRY, 'readOnlyRootFilesystem: true', 'readOnlyRootFilesystem: false', 'hardened'),
    (K8S, 'runAsUser: 10000', 'runAsUser: 1000', 'users'),
    ('kaniko/Dockerfile', 'USER 10000:10000', 'USER 10001:10001', 'users'),
    (REGISTRY, 'fsGroup: 1000', 'fsGroup: 1001', 'users'),
    (COLLECT, 'runAsUser: 1000', 'runAsUser: 0', 'users'),
    (K8S, 'automountServiceAccountToken: false', 'automountServiceAccountToken: true', 'no_token'),
    (REGISTRY, '      enableServiceLinks: false\n', '', 'no_token'),
    (POLICY, '  podSelector: {}', '  podSelector:\n    matchLabels:\n      a: b', 'policies'),
    (POLICY, '        - port: 9119', '        - port: 9191', 'policies'),
    (POLICY, '          protocol: UDP', '          protocol: TCP', 'policies'),
    (POLICY, '              - 192.168.0.0/16\n', '', 'policies'),
    (POLICY, 'cidr: ::/0', 'cidr: 64:ff9b::/96', 'policies'),
    (POLICY, '    - from:\n        - podSelector:\n            matchLabels:\n'
     '              hermes/client: "true"\n      ports', '    - ports', 'policies'),

    (POLICY, 'name: hermes-clients', 'name: client', 'policies'),
    (POLICY, '  podSelector:\n    matchLabels:\n      hermes/client: "true"', '  podSelector: {}',
     'policies'),
    (POLICY, '              app.kubernetes.io/name: hermes\n      ports:\n        - port: 9119',
     '              app.kubernetes.io/name: hermes\n      ports:\n        - port: 4000',
     'policies'),
    ('k8s/router/network-policy.yaml', '  name: hermes-router-clients', '  name: clients',
     'router'),
    ('k8s/router/network-policy.yaml', '    - to:\n        - podSelector:\n            matchLabels:'
     '\n              app.kubernetes.io/name: hermes\n      ports', '    - ports', 'router'),
    ('k8s/router/network-policy.yaml', '            matchLabels:\n'
     '              hermes/router-client: "true"\n', '', 'router'),
    ('k8s/router/kustomization.yaml', '  - network-policy.yaml\n', '', 'router'),
    ('k8s/router/deployment.yaml', 'value: 0.0.0.0', 'value: 127.0.0.1', 'router'),
    ('k8s/router/service.yaml', 'port: 4000', 'port: 80', 'router'),
    ('k8s/router/deployment.yaml', 'containerPort: 4000', 'containerPort: 4001', 'ports'),
    ('k8s/router/network-policy.yaml', 'port: 4000', 'port: 9119', 'router'),
    ('k8s/api/network-policy.yaml', '  name: hermes-api-clients', '  name: clients', 'api'),
    ('k8s/api/network-policy.yaml', '            matchLabels:\n'
     '              hermes/api-client: "true"\n', '', 'api'),
    ('k8s/api/kustomization.yaml', '  - network-policy.yaml\n', '', 'api'),
    ('k8s/api/deployment.yaml', 'value: 0.0.0.0', 'value: 127.0.0.1', 'api'),
    ('k8s/api/service.yaml', 'port: 8642', 'port: 80', 'api'),
    ('k8s/api/deployment.yaml', 'containerPort: 8642', 'containerPort: 8643', 'ports'),

    # ---- the view of the cluster ----
    (VIEW + 'access.yaml', '      - pods/log\n', '      - pods/log\n      - secrets\n', 'access'),
    (VIEW + 'access.yaml', '      - nodes\n', '      - nodes\n      - nodes/proxy\n', 'access'),
    (VIEW + 'access.yaml', '      - pods/log\n', '      - pods/log\n      - pods/exec\n', 'access'),
    (VIEW + 'access.yaml', '      - pods/log\n', '', 'access'),
    (VIEW + 'access.yaml', 'resources: [addons]', "resources: ['*']", 'access'),
    (VIEW + 'access.yaml', 'verbs: [get, list]', 'verbs: [get, list, delete]', 'access'),
    (VIEW + 'access.yaml', 'name: kubernetes-mcp\n    namespace', 'name: default\n    namespace',
     'access'),
    (VIEW + 'access.yaml', 'kind: ClusterRole\n  name: hermes-kubernetes-mcp',
     'kind: ClusterRole\n  name: cluster-admin', 'access'),
    (VIEW + 'access.yaml', 'automountServiceAccountToken: false',
     'automountServiceAccountToken: true', 'token'),
    (VIEW + 'deployment.yaml', 'name: hermes\n          env:',
     'name: hermes\n          volumeMounts:\n            - name: kubernetes-token\n'
     '              mountPath: /token\n              readOnly: true\n          env:', 'token'),
    (VIEW + 'deployment.yaml', 'serviceAccountName: kubernetes-mcp', 'serviceAccountName: default',
     'no_token'),
    (K8S, 'serviceAccountName: default', 'serviceAccountName: builder', 'no_token'),
    (VIEW + 'deployment.yaml', 'bind-address=127.0.0.1', 'bind-address=0.0.0.0', 'view'),
    (VIEW + 'deployment.yaml', '            - --read-only\n', '', 'view'),
    (VIEW + 'deployment.yaml', '--toolsets=core', '--toolsets=core,config', 'view'),
    (VIEW + 'deployment.yaml', 'value: "true"', 'value: "false"', 'view'),
    (VIEW + 'network-policy.yaml', 'port: 6443', 'port: 443', 'view'),
    (VIEW + 'kustomization.yaml', '  - network-policy.yaml\n', '', 'view'),
    ('k8s/config.yaml', 'http://127.0.0.1:8080/mcp', 'http://127.0.0.1:8080/sse', 'view'),
    ('k8s/config.yaml', 'exclude: [nodes_log, ', 'exclude: [', 'view'),
    (VIEW + 'deployment.yaml', 'readOnlyRootFilesystem: true', 'readOnlyRootFilesystem: false',
     'hardened'),
    (VIEW + 'deployment.yaml', '            limits:\n              memory: 128Mi\n', '',
     'resources'),

    # ---- cost and life ----
    (K8S, 'memory: 16Mi', 'memory: 160Mi', 'quantities'),
    (BUILD, 'memory: 512Mi', 'memory: 512MB', 'quantities'),
    (K8S, '              memory: 16Mi\n', '', 'resources'),
    (K8S, 'limits:\n              memory: 128Mi', 'limits: {}', 'resources'),
    (REGISTRY, 'memory: 32Mi', 'memory: 300Mi', 'resources'),
    (BUILD, 'memory: 512Mi', 'memory: 1Gi', 'resources'),
    (K8S, 'limits:\n', 'limits:\n              cpu: 500m\n', 'resources'),
    (K8S, 'type: Recreate', 'type: RollingUpdate', 'one_owner'),
    (REGISTRY, 'replicas: 1', 'replicas: 2', 'one_owner'),
    (K8S, 'terminationGracePeriodSeconds: 30', 'terminationGracePeriodSeconds: 10', 'one_owner'),
    ('k8s/storage.yaml', 'ReadWriteOnce', 'ReadWriteMany', 'one_owner'),

    # ---- builds ----
    (BUILD, '            - --compressed-caching=false\n', '', 'build_flags'),
    (MCP, '--snapshot-mode=redo', '--snapshot-mode=time', 'build_flags'),
    (MCP, '            - --digest-file=/dev/termination-log\n', '', 'build_flags'),
    (BUILD, '            - --insecure\n', '            - --insecure\n            - --force\n',
     'build_flags'),
    (BUILD, 'backoffLimit: 3', 'backoffLimit: 6', 'build_jobs'),
    (MCP, '  activeDeadlineSeconds: 3600\n', '', 'build_jobs'),
    (BUILD, 'terminationMessagePolicy: FallbackToLogsOnError', 'terminationMessagePolicy: File',
     'last_words'),
    (BUILD, '$(LATEST)', '$(LATETS)', 'arguments'),
    (BUILD, '- name: CACHE\n', '- name: LATEST\n', 'arguments'),
    (BUILD, '- name: BUILD_HTTP_PROXY\n', '- name: HTTP_PROXY\n', 'build_inputs'),
    (MCP, 'name: kubernetes-mcp-build\n                  key: CACHE',
     'name: hermes-build\n                  key: CACHE', 'build_inputs'),
    (MCP, 'name: kubernetes-mcp-build\n                  key: CONTEXT_DIGEST',
     'name: hermes-build\n                  key: CONTEXT_DIGEST', 'build_inputs'),
    (BUILD, 'name: hermes-build-part-4', 'name: hermes-build-part-3', 'sources'),
    (MCP, 'path: part-2', 'path: part-20', 'sources'),
    (BUILD, 'sizeLimit: 8Mi', 'sizeLimit: 3Mi', 'sources'),
    (MCP, 'mountPath: /context\n              readOnly: true', 'mountPath: /context', 'sources'),
    ('kaniko/hermes-build/kustomization.yaml', 'newTag: 2.8.3', 'newTag: 2.8.2', 'sources'),
    ('kaniko/Dockerfile', 'ARG BASE', 'ARG IMAGE', 'dockerfiles'),
    ('kaniko/hermes-build/kustomization.yaml', 'newTag: v1.24.0', 'newTag: latest', 'images'),
    ('kaniko/kubernetes-mcp-build/kustomization.yaml', 'newTag: v1.24.0', 'newTag: v1.23.2',
     'tested_builder'),
    ('registry/kustomization.yaml', 'newTag: 2.8.3', 'newTag: "2"', 'images'),
    ('k8s/kustomization.yaml', 'name: registry.registry:5000/hermes', 'name: hermes', 'images'),
    (K8S, 'imagePullPolicy: Always', 'imagePullPolicy: IfNotPresent', 'images'),
    (REGISTRY, 'imagePullPolicy: IfNotPresent', 'imagePullPolicy: Always', 'images'),

    # ---- the registry ----
    ('registry/registries.yaml', '"registry.registry:5000":', '"registry.registry":',
     'registry_address'),
    ('registry/registries.yaml', 'http://10.43.0.50:5000', '10.43.0.50:5000', 'registry_address'),
    ('registry/registries.yaml', '- "http://10.43.0.50:5000"',
     '- "http://registry.registry.svc.cluster.local:5000"', 'registry_address'),
    (SERVICE, 'clusterIP: 10.43.0.50', 'clusterIP: 10.43.0.51', 'registry_address'),
    (SERVICE, 'port: 5000', 'port: 5001', 'registry_address'),
    ('registry/config.yml', '  delete:\n    enabled: true', '  delete:\n    enabled: false',
     'registry_config'),
    ('registry/config.yml', 'storage:\n  filesystem', 'storage:\n  cache:\n'
     '    blobdescriptor: inmemory\n  filesystem', 'registry_config'),
    ('registry/config.yml', 'addr: :5000', 'addr: :80', 'registry_config'),
    (REGISTRY, 'mountPath: /var/lib/registry', 'mountPath: /var/lib/docker', 'registry_config'),
    (COLLECT, 'value: "15"', 'value: "14"', 'collection'),
    (COLLECT, 'name: KEEP_TAGS', 'name: KEEP', 'collection'),
    (COLLECT, 'runAsUser: 1000', 'runAsUser: 10000', 'collection'),
    (COLLECT, 'schedule: 17 3 * * *', 'schedule: every night', 'collection'),
    (COLLECT, '/collect/collect.sh', '/collect.sh', 'collection'),

    # ---- what the program is told ----
    ('k8s/secrets.env.example', 'OPENROUTER_API_KEY=', 'OPENROUTER_KEY=', 'secrets_example'),
    ('k8s/secrets.env.example', 'TELEGRAM_ALLOWED_USERS=\n', 'TELEGRAM_ALLOWED_USERS=42\n',
     'secrets_example'),
    ('k8s/secrets.env.example', 'HERMES_ADMIN_KEY=\n', 'export HERMES_ADMIN_KEY=\n',
     'secrets_example'),
    ('k8s/config.yaml', 'model_name: free2', 'model_name: free', 'agent_config'),
    ('k8s/config.yaml', 'os.environ/OPENROUTER_API_KEY', 'os.environ/OPENROUTER_KEY',
     'agent_config'),
    ('k8s/kustomization.yaml', 'hermes_model=free', 'hermes_model=fast', 'agent_config'),
    ('k8s/config.yaml', '  max_budget: 1.00\n', '', 'spending'),
    ('k8s/config.yaml', 'budget_duration: 1d', 'budget_duration: 30d', 'spending'),
    ('k8s/config.yaml', 'raise max_budget', 'do something', 'spending'),
    ('k8s/config.yaml', 'unauthorized_dm', 'admin:\n  host: 127.0.0.1\nunauthorized_dm',
     'agent_config'),
    (K8S, 'value: 0.0.0.0', 'value: "::1"', 'variables'),
    (K8S, '              subPath: workspace\n', '', 'hands'),
    (K8S, 'value: /run/hands/socket', 'value: /run/hands/hands.sock', 'hands'),
    (K8S, 'mountPath: /run/hands\n              readOnly: true', 'mountPath: /run/hands', 'hands'),
    (K8S, '            - name: hands-tmp\n              mountPath: /tmp\n',
     '            - name: hands-tmp\n              mountPath: /tmp\n            - name: secrets\n'
     '              mountPath: /run/secrets/hermes\n', 'hands'),
    (K8S, '            medium: Memory\n            sizeLimit: 64Mi',
     '            sizeLimit: 64Mi', 'hands'),
    ('k8s/secrets.env.example', 'TELEGRAM_BOT_TOKEN=', f'TELEGRAM_BOT_TOKEN={TOKEN}', 'no_secrets'),
    ('k8s/config.yaml', 'os.environ/OPENROUTER_API_KEY', 'hunter2hunter2', 'no_secrets'),
    (K8S, 'value: /opt/data', 'value: /opt/data\n            - name: T\n              value: '
     + TOKEN, 'no_secrets'),
    ('.gitignore', 'registry/htpasswd\n', '', 'ignored'),
]


def name_of(mutation):
    path, old, new, check = mutation
    text = new if new and new.strip() else old or 'gone'
    words = ' '.join(text.split())
    return f'{check}: {path} {words[:40]}'


class StaleMutation(Exception):
    """What it would change is no longer there."""


def apply(mutation, files):
    """The files with the mistake in them; the first place where it fits is enough."""
    path, old, new, _ = mutation
    changed = dict(files)
    if new is None:
        del changed[path]
    elif old is None:
        assert path not in files
        changed[path] = new
    else:
        if old not in files[path]:
            raise StaleMutation(f'{old!r} does not stand in {path}: mend the mutation')
        changed[path] = files[path].replace(old, new, 1)
    return changed
