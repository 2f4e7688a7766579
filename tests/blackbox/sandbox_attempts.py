"""The attempts of escape/ by the layers that hold them: without those they get out."""

FILES = """read-secret read-state read-by-symlink read-by-hard-link read-by-rename read-by-root
    read-by-cwd read-by-dots read-by-directory read-by-path-only list-outside execute-outside
    read-victims-environ read-victims-command read-victims-maps read-victims-root read-victims-cwd
    read-victims-descriptor read-victims-memory write-new write-over append write-by-symlink
    write-by-directory-link write-by-path-only write-by-victims-cwd truncate unlink rename-over
    exchange link-outside mkdir rmdir symlink fifo chmod chmod-by-link chmod-by-descriptor chown
    touch attribute signal signal-by-pidfd signal-by-queue signal-by-thread
    signal-by-kernel""".split()
SECCOMP = """trace-child limit-parent make-namespace clone-namespace clone3-namespace add-key
    ask-for-key control-keys io-uring userfaultfd perf-event personality memfd-secret memfd fanotify
    share-memory share-messages share-semaphores share-queue change-segments open-ipv6 open-netlink
    open-vsock open-path-socket change-root enter-namespace renice-user""".split()
BOTH = """trace-victim read-victim write-victim take-descriptor limit-victim bind-victim
    schedule-victim renice-victim slow-victims-disk compare-victim move-victims-pages mount-memory
    mount-again mount-anew mount-tree connect-tcp send-udp listen-tcp connect-path
    connect-abstract send-from-pair connect-pair open-uevents""".split()
TERMINAL = ["type-into-terminal", "type-behind-mask"]
GAINS = ["gain-by-setuid", "gain-by-capability"]
AS_ROOT = """rename-host bpf open-raw open-packet make-device own-for-another become-another
    set-clock read-kernel-log open-by-handle open-setting change-device""".split()
