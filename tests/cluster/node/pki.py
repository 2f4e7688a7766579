"""Certificates and kubeconfigs of a test node, all with the names that a real cluster has.

Every component gets its own, so that RBAC and the node authorizer judge it as they would on a Pi.
"""
import base64
import pathlib
import subprocess

USERS = {
    'admin': '/O=system:masters/CN=hermes-test-admin',
    'controller-manager': '/CN=system:kube-controller-manager',
    'scheduler': '/CN=system:kube-scheduler',
    'proxy': '/CN=system:kube-proxy',
    'kubelet': '/O=system:nodes/CN=system:node:{node}',
    'kubelet-client': '/O=system:masters/CN=hermes-test-apiserver',
}
SERVER_NAMES = ['DNS:kubernetes', 'DNS:kubernetes.default', 'DNS:kubernetes.default.svc',
                'DNS:kubernetes.default.svc.cluster.local', 'DNS:localhost', 'IP:127.0.0.1']
DAYS = '30'
KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']


def openssl(folder, *arguments):
    done = subprocess.run(['openssl', *arguments], cwd=folder, capture_output=True, text=True,
                          check=False)
    if done.returncode != 0:
        raise RuntimeError(f'openssl {" ".join(arguments)}: {done.stderr.strip()}')


def make_signed(folder, name, subject, extensions):
    (folder / f'{name}.ext').write_text(f'basicConstraints=CA:FALSE\n{extensions}\n')
    openssl(folder, 'req', '-new', *KEY, '-keyout', f'{name}.key', '-out', f'{name}.csr',
            '-subj', subject)
    openssl(folder, 'x509', '-req', '-in', f'{name}.csr', '-CA', 'ca.crt', '-CAkey', 'ca.key',
            '-CAcreateserial', '-days', DAYS, '-extfile', f'{name}.ext', '-out', f'{name}.crt')


def make_all(folder, node, addresses):
    """Makes the authority, the API server's certificate for `addresses`, and each user's."""
    folder.mkdir(mode=0o700)
    openssl(folder, 'req', '-x509', *KEY, '-days', DAYS, '-keyout', 'ca.key', '-out', 'ca.crt',
            '-subj', '/CN=hermes-test')
    names = ','.join(SERVER_NAMES + [f'IP:{address}' for address in addresses])
    make_signed(folder, 'apiserver', '/CN=kube-apiserver',
                f'extendedKeyUsage=serverAuth\nsubjectAltName={names}')
    for user, subject in USERS.items():
        make_signed(folder, user, subject.format(node=node), 'extendedKeyUsage=clientAuth')
    openssl(folder, 'ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', 'sa.key')
    openssl(folder, 'ec', '-in', 'sa.key', '-pubout', '-out', 'sa.pub')


def kubeconfig(folder, user, server, name):
    """One file that needs no other, so it can be carried anywhere."""
    def data(file):
        return base64.b64encode((pathlib.Path(folder) / file).read_bytes()).decode()

    return f'''apiVersion: v1
kind: Config
current-context: {name}
clusters:
- name: {name}
  cluster: {{server: "{server}", certificate-authority-data: {data('ca.crt')}}}
users:
- name: {name}
  user: {{client-certificate-data: {data(f'{user}.crt')}, client-key-data: {data(f'{user}.key')}}}
contexts:
- name: {name}
  context: {{cluster: {name}, user: {name}}}
'''
