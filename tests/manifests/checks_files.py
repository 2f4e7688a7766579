"""The files themselves: what is listed, what must not be there, and what the program is told."""

import re

import yaml
from checking import check, expect
from tree import COMPONENTS, FOLDERS, PRIVATE, REPO, example_names, program_variables

NOT_LISTED = {'registry/registries.yaml', 'registry/install-node'}    # for nodes
MODELS = ['free', 'free2', 'cheap', 'strong']
DAILY_DOLLARS = 1.0

LOOKS_SECRET = re.compile(r'''
    \b\d{8,10}:[A-Za-z0-9_-]{35}\b            # a bot's token
  | \bsk-[A-Za-z0-9-]{16,}                    # OpenAI's, OpenRouter's
  | \b(?:ghp|gho|github_pat|glpat|xox[abp])[_-]\w{16,}
  | \bAKIA[0-9A-Z]{16}\b
  | \bey[JK][\w-]{20,}\.[\w-]{20,}
  | -----BEGIN\ [A-Z ]*PRIVATE\ KEY
  | \$2[aby]\$\d\d\$                          # a line of htpasswd
  | "auth"\s*:\s*"[\w+/=]{8,}"                # a line of a docker configuration
  ''', re.X)
ASSIGNED = re.compile(r'(?im)^[^#\n]*\b\w*(?:password|passwd|secret|token|api_?key|admin_key)\b'
                      r'["\']?[ \t]*[:=][ \t]*["\']?(?P<value>[^\s"\',}]+)')
DATA = ('.yaml', '.yml', '.env.example')   # a script may well speak of passwords
REFERENCES = re.compile(r'os\.environ/\w+$|\$\(?\{?\w+|false$|true$')


@check
def listed(tree):
    """Every manifest is in its kustomization, once."""
    for folder in [*FOLDERS, *COMPONENTS]:
        text = tree.files.get(f'{folder}/kustomization.yaml', '')
        content = yaml.safe_load(text) or {}
        named = list(content.get('resources', []))
        named += [entry['path'] for entry in content.get('patches', [])]
        named += [name for entry in content.get('configMapGenerator', [])
                  for name in entry.get('files', [])]
        for path in tree.files:
            above, _, name = path.rpartition('/')
            if above == folder and path not in NOT_LISTED and name not in (
                    'kustomization.yaml', 'secrets.env.example') and named.count(name) != 1:
                yield path, f'is listed {named.count(name)} times'


@check
def no_secrets(tree):
    """Neither a value that has the form of a secret, nor one that is assigned to such a name."""
    for path, text in tree.files.items():
        for match in LOOKS_SECRET.finditer(text):
            yield path, f'{match[0][:12]}... looks like a secret'
        for match in ASSIGNED.finditer(text) if path.endswith(DATA) else ():
            if not REFERENCES.match(match['value']):
                yield path, f'a value is assigned in {match[0].strip()[:30]!r}'


@check
def ignored(tree):
    """What holds secrets cannot be committed by accident."""
    lines = tree.files['.gitignore'].splitlines()
    for path in PRIVATE:
        if path not in lines and not (path.endswith('.env') and '*.env' in lines):
            yield '.gitignore', f'does not name {path}'


@check
def secrets_example(tree):
    """Its names are ones that the program reads, and it is an example: nothing behind the =."""
    where, known = 'k8s/secrets.env.example', program_variables()
    for line in tree.files[where].splitlines():
        if line and not re.match(r'# |#$|#?[A-Z][A-Z0-9_]*=', line):
            yield where, f'kubectl would not understand {line!r}'
    for name, values in example_names(tree.files).items():
        if name not in known:
            yield where, f'the program does not know {name}'
        if any(values):
            yield where, f'{name} has a value'
        if len(values) > 1:
            yield where, f'{name} stands there twice'


@check
def variables(tree):
    """The program, or its configuration, reads each variable that the pod sets, and the paths in
    them are mounted."""
    known = program_variables() | set(re.findall(r'os\.environ/(\w+)',
                                                 tree.files['k8s/config.yaml']))
    for container in tree.containers():
        if container.body['name'] != 'hermes':
            continue
        values = {entry['name']: entry.get('value') for entry in container.environment}
        for name in sorted(set(values) - known):
            yield container, f'the program does not know {name}'
        mounts = {mount['mountPath']: mount['name'] for mount in container.body['volumeMounts']}
        want = {values.get('HERMES_HOME'): 'data', values.get('HERMES_SECRETS_DIR'): 'secrets',
                '/etc/hermes': 'config', '/tmp': 'tmp',
                values.get('HERMES_HANDS_SOCKET', '').rpartition('/')[0]: 'hands'}
        yield from expect(container, 'mounts', mounts, want)
        yield from expect(container, 'HERMES_ADMIN_HOST', values.get('HERMES_ADMIN_HOST'),
                          '0.0.0.0')
        config = [mount for mount in container.body['volumeMounts']
                  if mount['mountPath'] == '/etc/hermes']
        if not config or not config[0].get('readOnly'):
            yield container, 'can write its own configuration'


@check
def hands(tree):
    """They have the workspace, memory for temporary files and the socket that the agent is told of,
    and nothing else: no secret, no setting, no volume on a disk that could get the pod evicted."""
    thing = tree.find('Deployment', 'hermes', 'hermes')
    containers = {container.body['name']: container for container in tree.containers()
                  if container.thing is thing}
    if 'hands' not in containers:
        yield 'k8s', 'the agent has no hands'
        return
    head, own = containers['hermes'], containers['hands']
    told = {entry['name']: entry.get('value') for entry in head.environment}
    mounts = {mount['mountPath']: (mount['name'], mount.get('subPath'), mount.get('readOnly'))
              for mount in own.body['volumeMounts']}
    home = told.get('HERMES_HOME')
    yield from expect(own, 'mounts', mounts, {
        f'{home}/workspace': ('data', 'workspace', None), '/tmp': ('hands-tmp', None, None),
        '/run/hands': ('hands', None, None)})
    yield from expect(head, 'HERMES_HANDS_SOCKET', told.get('HERMES_HANDS_SOCKET'),
                      hands_socket())
    for mount in head.body['volumeMounts']:
        if mount['name'] == 'hands' and not mount.get('readOnly'):
            yield head, 'can put files beside the socket of the hands'
    yield from expect(own, 'arguments', own.body.get('args'), ['hands'])
    yield from expect(own, 'image', own.body['image'], head.body['image'])
    yield from expect(own, 'imagePullPolicy', own.body.get('imagePullPolicy'),
                      head.body.get('imagePullPolicy'))
    if own.environment:
        yield own, 'has an environment'
    for volume in own.pod['volumes']:
        if volume['name'] in ('hands', 'hands-tmp'):
            yield from expect(own, volume['name'], volume.get('emptyDir', {}).get('medium'),
                              'Memory')
            if 'sizeLimit' not in volume.get('emptyDir', {}):
                yield own, f"{volume['name']} has no limit"


def hands_socket():
    """Where the program has it when nobody says."""
    text = (REPO / 'src/sandbox/hands_relay.c').read_text(encoding='utf-8')
    return re.search(r'"(/run/[^"]*)"', text)[1]


@check
def agent_config(tree):
    """Four models in LiteLLM's format, whose keys come from the Secret; the one that is asked is
    among them; the address that the probes need is not taken back."""
    where, content = 'k8s/config.yaml', yaml.safe_load(tree.files['k8s/config.yaml'])
    listed_models = content.get('model_list', [])
    yield from expect(where, 'the models', [entry.get('model_name') for entry in listed_models],
                      MODELS)
    offered = example_names(tree.files)
    for entry in listed_models:
        params = entry.get('litellm_params', {})
        if params.get('model', '').count('/') < 2:
            yield where, f"{params.get('model')} is not provider/vendor/model"
        source, _, name = str(params.get('api_key')).partition('/')
        if source != 'os.environ' or name not in offered:
            yield where, f'the key of {entry.get("model_name")} is not one of secrets.env.example'
    asked = tree.generated('hermes-env', 'hermes')
    if asked is None or asked.body['data'].get('hermes_model') not in MODELS:
        yield 'k8s', 'hermes_model is not one of the models'
    if 'host' in content.get('admin', {}) or 'default' in content.get('model', {}):
        yield where, 'takes the place of what the pod sets'


@check
def spending(tree):
    """All calls together have a daily cap, and whoever reads the file learns how to raise it."""
    where, text = 'k8s/config.yaml', tree.files['k8s/config.yaml']
    settings = yaml.safe_load(text).get('litellm_settings', {})
    yield from expect(where, 'max_budget', settings.get('max_budget'), DAILY_DOLLARS)
    yield from expect(where, 'budget_duration', settings.get('budget_duration'), '1d')
    above = re.search(r'((?:^#.*\n)+)litellm_settings:', text, re.M)
    if not above or not re.search(r'raise max_budget', above[1]):
        yield where, 'does not say how the cap is raised'
