"""The first process of a test node: makes its private view of the machine, then waits.

    init.py STATE LOGS      standard output gets `ready` once the node can be used

It starts in a mount, process and network namespace of its own. All that the node mounts, and every
process of it, pods included, lives in those; so when this process is killed, by whomever and
however, the kernel ends the processes and forgets the mounts. That is why there is nothing to clean
up in /proc/mounts after a run that went wrong.

Private are: /run, /etc, /var/lib (a layer over the machine's own), /var/log, and the sysctls that
the kubelet writes. Those are not namespaced, and a test has no business with the machine's: what
the kubelet reads and writes are plain files that lie over them.
"""
import os
import pathlib
import signal
import subprocess
import sys

import layout

# The kubelet's values, so that it finds nothing to change.
SYSCTLS = {
    'vm/overcommit_memory': 1,
    'vm/panic_on_oom': 0,
    'kernel/panic': 10,
    'kernel/panic_on_oops': 1,
    'kernel/keys/root_maxkeys': 1000000,
    'kernel/keys/root_maxbytes': 25000000,
}
# Of the network namespace, so really written. The last exists where the kernel has the module.
NETWORK = {'net/ipv4/ip_forward': 1, 'net/bridge/bridge-nf-call-iptables': 1}
LAYERS = ['/etc', '/var/lib']


def mount(*arguments):
    subprocess.run(['mount', *arguments], check=True)


def bind(source, target):
    mount('--bind', str(source), str(target))


def mount_layer(target, state):
    """What is written to `target` lands in the state folder."""
    upper, work = (state / 'layers' / target.strip('/').replace('/', '-') / part
                   for part in ('upper', 'work'))
    upper.mkdir(parents=True)
    work.mkdir()
    mount('-t', 'overlay', '-o', f'lowerdir={target},upperdir={upper},workdir={work}',
          'overlay', target)


def mount_sysctls(state):
    fakes = state / 'sysctl'
    fakes.mkdir()
    for name, value in SYSCTLS.items():
        fake = fakes / name.replace('/', '.')
        fake.write_text(f'{value}\n')
        bind(fake, pathlib.Path('/proc/sys') / name)


def mount_all(state, logs):
    mount('--make-rprivate', '/')
    mount('-t', 'proc', '-o', 'nosuid,nodev,noexec', 'proc', '/proc')
    mount('-t', 'tmpfs', '-o', 'mode=755', 'tmpfs', '/run')
    home = pathlib.Path(layout.HOME)
    for folder in (home, pathlib.Path('/run/lock'), pathlib.Path('/run/netns')):
        folder.mkdir()
    bind(state, home)
    bind(logs, '/var/log')
    for target in LAYERS:
        mount_layer(target, home)
    for folder in (layout.CERTS, layout.STORAGE, '/etc/rancher/k3s'):
        os.makedirs(folder, exist_ok=True)
    # Where an operator who knows K3s looks.
    link = pathlib.Path(layout.K3S) / 'agent/containerd/containerd.log'
    link.parent.mkdir()
    link.symlink_to(layout.CONTAINERD_LOG)
    # Volumes on the machine's own file system, as on a Pi, and not on a layer.
    bind(home / 'storage', layout.STORAGE)
    mount_sysctls(home)
    # The kubelet hands mounts on to containers.
    mount('--make-rshared', '/')


def write_network_sysctls():
    for name, value in NETWORK.items():
        path = pathlib.Path('/proc/sys') / name
        if path.exists():
            path.write_text(f'{value}\n')


def wait_forever():
    """Orphans end up here: containerd's shims, and what a shell in the node left behind."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
    while True:
        signal.sigtimedwait([signal.SIGCHLD], 5)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass


def identity():
    """Number and start of this process as the machine counts them; read before /proc is ours."""
    stat = pathlib.Path('/proc/self/stat').read_text()
    return f'{stat.split()[0]} {stat.rpartition(")")[2].split()[19]}\n'


def main():
    state, logs = (pathlib.Path(argument) for argument in sys.argv[1:3])
    (state / 'init').write_text(identity())
    mount_all(state, logs)
    write_network_sysctls()
    print('ready', flush=True)
    null = os.open('/dev/null', os.O_RDWR)
    os.dup2(null, 1)
    wait_forever()


if __name__ == '__main__':
    main()
