"""The agent under the pod's restrictions, talking."""
from conftest import OWNER, figure
from pod import GRACE_SECONDS, MEMORY

ANSWER_SECONDS = 30
KILLED = 128 + 9
# Beside the two that are meant: shared memory, which the kubelet mounts too, and queues.
WRITABLE = {'/opt/data', '/tmp', '/dev/shm', '/dev/mqueue'}


def converse(pod, telegram):
    telegram.user_says(OWNER, 'say wombat')
    telegram.wait_text(OWNER, 'wombat', ANSWER_SECONDS)
    telegram.wait_quiet()
    assert len(telegram.texts(OWNER)) == 1, telegram.story()
    assert pod.process.poll() is None


def test_conversation_and_end(connected, image, telegram, upstream):
    """Secrets as files, the configuration read-only, a volume that belongs to root; then SIGTERM,
    and the same volume again."""
    pod = connected(image)
    pod.start()
    converse(pod, telegram)
    status, seconds = pod.stop()
    figure('end after SIGTERM', f'{seconds:.1f} s')
    assert status == 0 and seconds < GRACE_SECONDS, pod.said
    for secret in (telegram.token, upstream.api_key):
        assert secret not in pod.said
        found = [path for path in pod.data.rglob('*') if path.is_file() and
                 secret.encode() in path.read_bytes()]
        assert not found
    pod.start()
    telegram.user_says(OWNER, 'say numbat')
    telegram.wait_text(OWNER, 'numbat', ANSWER_SECONDS)
    asked = [message['content'] for message in upstream.requests[-1].messages]
    assert any('wombat' in str(text) for text in asked), 'the session did not outlive the pod'


def test_restricted_and_process_1(connected, image):
    pod = connected(image).start()
    told = dict(line.split(':\t', 1)
                for line in pod.shell('cat /proc/1/status').splitlines() if ':\t' in line)
    assert told['Name'] == 'hermes' and told['NSpid'].split()[-1] == '1'
    assert set(told['Uid'].split()) == set(told['Gid'].split()) == {'10000'}
    for name in ('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'):
        assert int(told[name], 16) == 0, told
    assert told['NoNewPrivs'] == '1' and told['Seccomp'] == '2'
    # Whatever a tool leaves behind falls to process 1.
    pod.shell('for n in 1 2 3; do (sleep 0.2; exit 3) >/dev/null 2>&1 & done')
    assert pod.shell('sleep 1; cat /proc/[0-9]*/status | grep -c "State:.*zombie" || true'
                     ).strip() == '0'


def test_writable_is_the_home_and_tmp_alone(connected, image):
    pod = connected(image).start()
    found = pod.shell('''
        find / \\( -path /proc -o -path /sys \\) -prune -o -type d -print 2>/dev/null |
        while read -r folder; do
            if (: >"$folder/.probe") 2>/dev/null; then echo "$folder"; rm "$folder/.probe"; fi
        done''').split()
    strange = [path for path in found if path not in WRITABLE and
               not path.startswith('/opt/data/')]
    assert not strange and {'/opt/data', '/tmp'} <= set(found)
    # That is not for want of rights alone.
    mounts = {line.split()[1]: line.split()[3].split(',')
              for line in pod.shell('cat /proc/self/mounts').splitlines()}
    for place in ('/', '/etc/hermes', '/run/secrets/hermes'):
        assert 'ro' in mounts[place], mounts
    for path in ('/etc/hermes/config.yaml', '/run/secrets/hermes/TELEGRAM_BOT_TOKEN',
                 '/bin/hermes'):
        assert pod.exec('sh', '-c', f': >>{path}', check=False).returncode != 0, path


def test_status_by_exec(connected, image):
    """`kubectl exec deploy/hermes -- hermes status`."""
    done = connected(image).start().exec('hermes', 'status')
    assert 'telegram' in done.stdout.lower(), done


def test_memory_stays_small_and_is_limited(connected, image, telegram):
    """The limit is real: what wants more than it is killed, and the agent is far below."""
    pod = connected(image).start()
    converse(pod, telegram)
    rss = int(pod.shell("awk '/^VmRSS/ { print $2 }' /proc/1/status"))
    figure('RSS of the agent in its container', f'{rss} KiB')
    assert rss < 16 * 1024
    hog = connected(image)
    done = hog.once('-c', 'dd if=/dev/zero of=/dev/null bs=300M count=1',
                    options=['--entrypoint', '/bin/sh'])
    assert done.returncode == KILLED, (MEMORY, done)
