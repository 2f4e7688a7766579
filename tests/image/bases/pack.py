"""Writes a container image to a file, from nothing but files that are at hand.

Why not a container tool: these images are made on machines that may have none, by whoever runs the
tests, and the same input has to give the same bytes, so that an image's digest says whether
anything changed. What an image is, is little: one tar per layer, a description, and a list.

The archive is an OCI layout and, by one more file, what `docker save` writes. So containerd
(`ctr images import`), skopeo (`oci-archive:` and `docker-archive:`) and podman all read it.
Layers are left uncompressed: the archive is read once or twice on this machine, and a program that
pushes it compresses it anyhow.
"""
import hashlib
import io
import json
import os
import stat
import tarfile

# What every file of ours is dated. The real dates would make every archive different.
EPOCH = 0
BLOBS = 'blobs/sha256'
CHUNK = 1 << 20
OCI = 'application/vnd.oci.image'
WHITEOUT = '.wh.'


def architecture():
    """This machine's, as images call it."""
    return {'x86_64': 'amd64', 'aarch64': 'arm64'}.get(os.uname().machine, os.uname().machine)


def full_name(name):
    """The name with what Docker's tools leave unsaid: containerd asks for it in full."""
    first, _, rest = name.partition('/')
    if not rest:
        return f'docker.io/library/{name}'
    if '.' in first or ':' in first or first == 'localhost':
        return name
    return f'docker.io/{name}'


class Layer:
    """One layer. Files may be added in any order; they are written sorted by path."""

    def __init__(self):
        self.members = {}

    def _add(self, path, **fields):
        info = tarfile.TarInfo(path.strip('/'))
        info.mtime = EPOCH
        source = fields.pop('source', None)
        for name, value in fields.items():
            setattr(info, name, value)
        self.members[info.name] = (info, source)

    def directory(self, path, mode=0o755, uid=0, gid=0):
        self._add(path, type=tarfile.DIRTYPE, mode=mode, uid=uid, gid=gid)

    def file(self, path, source, mode=0o644, uid=0, gid=0):
        """`source` is the content as bytes, or the path of a file that holds it."""
        size = len(source) if isinstance(source, bytes) else os.path.getsize(source)
        self._add(path, mode=mode, uid=uid, gid=gid, size=size, source=source)

    def symlink(self, path, target):
        self._add(path, type=tarfile.SYMTYPE, mode=0o777, linkname=target)

    def link(self, path, target):
        """A second name (hard link) of a file of this layer."""
        self._add(path, type=tarfile.LNKTYPE, linkname=target.strip('/'))

    def tree(self, root, keep_owner=True):
        """Everything below a folder, as it is: owners, modes, links, devices. Sockets are left."""
        first_names = {}
        for folder, folders, files in os.walk(root):
            folders.sort()
            for name in sorted(folders + files):
                self._take(root, os.path.join(folder, name), keep_owner, first_names)

    def _take(self, root, path, keep_owner, first_names):
        about = os.lstat(path)
        name = os.path.relpath(path, root)
        fields = {'mode': stat.S_IMODE(about.st_mode)}
        if keep_owner:
            fields.update(uid=about.st_uid, gid=about.st_gid)
        if stat.S_ISLNK(about.st_mode):
            self._add(name, type=tarfile.SYMTYPE, linkname=os.readlink(path), **fields)
        elif stat.S_ISDIR(about.st_mode):
            self._add(name, type=tarfile.DIRTYPE, **fields)
        elif stat.S_ISREG(about.st_mode):
            first = first_names.setdefault((about.st_dev, about.st_ino), name)
            if first == name:
                self._add(name, size=about.st_size, source=path, **fields)
            else:
                self._add(name, type=tarfile.LNKTYPE, linkname=first, **fields)
        elif not stat.S_ISSOCK(about.st_mode):
            self._add(name, type={stat.S_IFCHR: tarfile.CHRTYPE, stat.S_IFBLK: tarfile.BLKTYPE,
                                  stat.S_IFIFO: tarfile.FIFOTYPE}[stat.S_IFMT(about.st_mode)],
                      devmajor=os.major(about.st_rdev), devminor=os.minor(about.st_rdev), **fields)

    def _parents(self):
        """Folders that are implied; some programs that unpack images want them said."""
        for name in list(self.members):
            while '/' in name:
                name = name.rpartition('/')[0]
                if name not in self.members:
                    self.directory(name)

    def write(self, out):
        self._parents()
        with tarfile.open(fileobj=out, mode='w', format=tarfile.GNU_FORMAT) as archive:
            # A hard link comes after what it names: _take() saw that first in the same order.
            for name in sorted(self.members, key=lambda path: path.split('/')):
                info, source = self.members[name]
                if isinstance(source, bytes):
                    archive.addfile(info, io.BytesIO(source))
                elif source is None:
                    archive.addfile(info)
                else:
                    with open(source, 'rb') as content:
                        archive.addfile(info, content)


def described(media_type, digest, size, **more):
    return {'mediaType': media_type, 'digest': f'sha256:{digest}', 'size': size, **more}


class Archive:
    """The outer tar: blobs named by their hash, and the lists that name the blobs."""

    def __init__(self, path):
        self.tar = tarfile.open(path, mode='w', format=tarfile.GNU_FORMAT)

    def add(self, name, size, content):
        info = tarfile.TarInfo(name)
        info.mtime, info.size, info.mode = EPOCH, size, 0o644
        self.tar.addfile(info, content)

    def json(self, name, value):
        data = json.dumps(value, sort_keys=True, indent=1).encode()
        self.add(name, len(data), io.BytesIO(data))

    def blob(self, value):
        """(hash, size) of a description, which is stored under that hash."""
        data = json.dumps(value, sort_keys=True).encode()
        digest = hashlib.sha256(data).hexdigest()
        self.add(f'{BLOBS}/{digest}', len(data), io.BytesIO(data))
        return digest, len(data)

    def layer(self, layer, scratch):
        """(hash, size); the layer is hashed before it is stored, so it is written down first."""
        with open(scratch, 'w+b') as file:
            layer.write(file)
            size = file.tell()
            file.seek(0)
            digest = hashlib.file_digest(file, 'sha256').hexdigest()
            file.seek(0)
            self.add(f'{BLOBS}/{digest}', size, file)
        os.unlink(scratch)
        return digest, size


def pack(path, name, layers, config, arch=None):
    """Writes an image.

    `name` is REPOSITORY:TAG. `config` is the image's own part of the description: Entrypoint, Cmd,
    Env (a list of NAME=VALUE), User, WorkingDir, Volumes, ExposedPorts.
    """
    archive = Archive(path)
    archive.json('oci-layout', {'imageLayoutVersion': '1.0.0'})
    stored = [archive.layer(layer, f'{path}.layer') for layer in layers]
    config_digest, config_size = archive.blob({
        'architecture': arch or architecture(), 'os': 'linux', 'config': config,
        'created': '1970-01-01T00:00:00Z',
        'rootfs': {'type': 'layers', 'diff_ids': [f'sha256:{digest}' for digest, _ in stored]}})
    manifest_digest, manifest_size = archive.blob({
        'schemaVersion': 2, 'mediaType': f'{OCI}.manifest.v1+json',
        'config': described(f'{OCI}.config.v1+json', config_digest, config_size),
        'layers': [described(f'{OCI}.layer.v1.tar', digest, size) for digest, size in stored]})
    archive.json('index.json', {'schemaVersion': 2, 'manifests': [described(
        f'{OCI}.manifest.v1+json', manifest_digest, manifest_size,
        platform={'architecture': arch or architecture(), 'os': 'linux'},
        annotations={'io.containerd.image.name': full_name(name),
                     'org.opencontainers.image.ref.name': name.rpartition(':')[2]})]})
    archive.json('manifest.json', [{
        'Config': f'{BLOBS}/{config_digest}', 'RepoTags': [name],
        'Layers': [f'{BLOBS}/{digest}' for digest, _ in stored]}])
    archive.tar.close()
