#include "sandbox/syscall_table.h"

#include <seccomp.h>

#include "base/mem.h"

// As container runtimes allow by default, without what needs a privilege, a socket, or System V's
// and POSIX's shared objects, which every process of the same user can open.
const int syscalls_allowed[] = {
    // files
    SCMP_SYS(access), SCMP_SYS(chdir), SCMP_SYS(chmod), SCMP_SYS(chown), SCMP_SYS(close),
    SCMP_SYS(close_range), SCMP_SYS(copy_file_range), SCMP_SYS(creat), SCMP_SYS(dup),
    SCMP_SYS(dup2), SCMP_SYS(dup3), SCMP_SYS(faccessat), SCMP_SYS(faccessat2), SCMP_SYS(fadvise64),
    SCMP_SYS(fchdir), SCMP_SYS(fchmod), SCMP_SYS(fchmodat), SCMP_SYS(fchmodat2), SCMP_SYS(fchown),
    SCMP_SYS(fchownat), SCMP_SYS(fcntl), SCMP_SYS(fdatasync), SCMP_SYS(fgetxattr),
    SCMP_SYS(flistxattr), SCMP_SYS(flock), SCMP_SYS(fremovexattr), SCMP_SYS(fsetxattr),
    SCMP_SYS(fstat), SCMP_SYS(fstatfs), SCMP_SYS(fsync), SCMP_SYS(ftruncate), SCMP_SYS(futimesat),
    SCMP_SYS(getcwd), SCMP_SYS(getdents), SCMP_SYS(getdents64), SCMP_SYS(getxattr),
    SCMP_SYS(inotify_add_watch), SCMP_SYS(inotify_init), SCMP_SYS(inotify_init1),
    SCMP_SYS(inotify_rm_watch), SCMP_SYS(ioctl), SCMP_SYS(lchown), SCMP_SYS(lgetxattr),
    SCMP_SYS(link), SCMP_SYS(linkat), SCMP_SYS(listxattr), SCMP_SYS(llistxattr),
    SCMP_SYS(lremovexattr), SCMP_SYS(lseek), SCMP_SYS(lsetxattr), SCMP_SYS(lstat), SCMP_SYS(mkdir),
    SCMP_SYS(mkdirat), SCMP_SYS(mknod), SCMP_SYS(mknodat), SCMP_SYS(name_to_handle_at),
    SCMP_SYS(newfstatat), SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(openat2), SCMP_SYS(pread64),
    SCMP_SYS(preadv), SCMP_SYS(preadv2), SCMP_SYS(pwrite64), SCMP_SYS(pwritev), SCMP_SYS(pwritev2),
    SCMP_SYS(read), SCMP_SYS(readahead), SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(readv),
    SCMP_SYS(removexattr), SCMP_SYS(rename), SCMP_SYS(renameat), SCMP_SYS(renameat2),
    SCMP_SYS(rmdir), SCMP_SYS(sendfile), SCMP_SYS(setxattr), SCMP_SYS(splice), SCMP_SYS(stat),
    SCMP_SYS(statfs), SCMP_SYS(statx), SCMP_SYS(symlink), SCMP_SYS(symlinkat), SCMP_SYS(sync),
    SCMP_SYS(sync_file_range), SCMP_SYS(syncfs), SCMP_SYS(tee), SCMP_SYS(umask), SCMP_SYS(unlink),
    SCMP_SYS(unlinkat), SCMP_SYS(utime), SCMP_SYS(utimensat), SCMP_SYS(utimes), SCMP_SYS(vmsplice),
    SCMP_SYS(write), SCMP_SYS(writev),
    // waiting, and pipes; sockets come in pairs only
    SCMP_SYS(epoll_create), SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_pwait2), SCMP_SYS(epoll_wait), SCMP_SYS(eventfd), SCMP_SYS(eventfd2),
    SCMP_SYS(getpeername), SCMP_SYS(getsockname), SCMP_SYS(getsockopt), SCMP_SYS(pipe),
    SCMP_SYS(pipe2), SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(pselect6), SCMP_SYS(recvfrom),
    SCMP_SYS(recvmmsg), SCMP_SYS(recvmsg), SCMP_SYS(select), SCMP_SYS(sendmmsg), SCMP_SYS(sendmsg),
    SCMP_SYS(sendto), SCMP_SYS(setsockopt), SCMP_SYS(shutdown), SCMP_SYS(signalfd),
    SCMP_SYS(signalfd4), SCMP_SYS(socketpair), SCMP_SYS(timerfd_create), SCMP_SYS(timerfd_gettime),
    SCMP_SYS(timerfd_settime),
    // memory
    SCMP_SYS(brk), SCMP_SYS(cachestat), SCMP_SYS(madvise), SCMP_SYS(map_shadow_stack),
    SCMP_SYS(membarrier), SCMP_SYS(mincore), SCMP_SYS(mlock), SCMP_SYS(mlock2), SCMP_SYS(mlockall),
    SCMP_SYS(mmap), SCMP_SYS(mprotect), SCMP_SYS(mremap), SCMP_SYS(mseal), SCMP_SYS(msync),
    SCMP_SYS(munlock), SCMP_SYS(munlockall), SCMP_SYS(munmap), SCMP_SYS(pkey_alloc),
    SCMP_SYS(pkey_free), SCMP_SYS(pkey_mprotect), SCMP_SYS(remap_file_pages),
    // processes and threads
    SCMP_SYS(arch_prctl), SCMP_SYS(capget), SCMP_SYS(capset), SCMP_SYS(clone), SCMP_SYS(execve),
    SCMP_SYS(execveat), SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(fork), SCMP_SYS(futex),
    SCMP_SYS(futex_requeue), SCMP_SYS(futex_wait), SCMP_SYS(futex_waitv), SCMP_SYS(futex_wake),
    SCMP_SYS(get_robust_list), SCMP_SYS(getcpu), SCMP_SYS(getegid), SCMP_SYS(geteuid),
    SCMP_SYS(getgid), SCMP_SYS(getgroups), SCMP_SYS(getpgid), SCMP_SYS(getpgrp), SCMP_SYS(getpid),
    SCMP_SYS(getppid), SCMP_SYS(getpriority), SCMP_SYS(getresgid), SCMP_SYS(getresuid),
    SCMP_SYS(getrlimit), SCMP_SYS(getrusage), SCMP_SYS(getsid), SCMP_SYS(gettid), SCMP_SYS(getuid),
    SCMP_SYS(ioprio_get), SCMP_SYS(kill), SCMP_SYS(landlock_add_rule),
    SCMP_SYS(landlock_create_ruleset), SCMP_SYS(landlock_restrict_self), SCMP_SYS(pidfd_open),
    SCMP_SYS(pidfd_send_signal), SCMP_SYS(prctl), SCMP_SYS(prlimit64), SCMP_SYS(restart_syscall),
    SCMP_SYS(rseq), SCMP_SYS(sched_get_priority_max), SCMP_SYS(sched_get_priority_min),
    SCMP_SYS(sched_getaffinity), SCMP_SYS(sched_getattr), SCMP_SYS(sched_getparam),
    SCMP_SYS(sched_getscheduler), SCMP_SYS(sched_rr_get_interval), SCMP_SYS(sched_setaffinity),
    SCMP_SYS(sched_setattr), SCMP_SYS(sched_setparam), SCMP_SYS(sched_setscheduler),
    SCMP_SYS(sched_yield), SCMP_SYS(seccomp), SCMP_SYS(set_robust_list), SCMP_SYS(set_tid_address),
    SCMP_SYS(setfsgid), SCMP_SYS(setfsuid), SCMP_SYS(setgid), SCMP_SYS(setgroups),
    SCMP_SYS(setpgid), SCMP_SYS(setpriority), SCMP_SYS(setregid), SCMP_SYS(setresgid),
    SCMP_SYS(setresuid), SCMP_SYS(setreuid), SCMP_SYS(setrlimit), SCMP_SYS(setsid),
    SCMP_SYS(setuid), SCMP_SYS(tgkill), SCMP_SYS(times), SCMP_SYS(tkill), SCMP_SYS(vfork),
    SCMP_SYS(wait4), SCMP_SYS(waitid),
    // signals and time
    SCMP_SYS(alarm), SCMP_SYS(clock_getres), SCMP_SYS(clock_gettime), SCMP_SYS(clock_nanosleep),
    SCMP_SYS(getitimer), SCMP_SYS(gettimeofday), SCMP_SYS(nanosleep), SCMP_SYS(pause),
    SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigpending), SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigqueueinfo), SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigsuspend),
    SCMP_SYS(rt_sigtimedwait), SCMP_SYS(rt_tgsigqueueinfo), SCMP_SYS(setitimer),
    SCMP_SYS(sigaltstack), SCMP_SYS(time), SCMP_SYS(timer_create), SCMP_SYS(timer_delete),
    SCMP_SYS(timer_getoverrun), SCMP_SYS(timer_gettime), SCMP_SYS(timer_settime),
    // what the machine is
    SCMP_SYS(getrandom), SCMP_SYS(sysinfo), SCMP_SYS(uname)};
const size_t syscalls_allowed_count = ARRAY_LEN(syscalls_allowed);

const int syscalls_refused[] = {
    // sockets
    SCMP_SYS(accept), SCMP_SYS(accept4), SCMP_SYS(bind), SCMP_SYS(connect), SCMP_SYS(listen),
    SCMP_SYS(socket),
    // other processes
    SCMP_SYS(kcmp), SCMP_SYS(perf_event_open), SCMP_SYS(pidfd_getfd), SCMP_SYS(process_madvise),
    SCMP_SYS(process_mrelease), SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev),
    SCMP_SYS(ptrace), SCMP_SYS(ioprio_set), SCMP_SYS(move_pages), SCMP_SYS(migrate_pages),
    // objects that every process of the same user can open
    SCMP_SYS(add_key), SCMP_SYS(keyctl), SCMP_SYS(mq_open), SCMP_SYS(mq_unlink), SCMP_SYS(msgget),
    SCMP_SYS(request_key), SCMP_SYS(semget), SCMP_SYS(shmat), SCMP_SYS(shmget),
    // namespaces and mounts
    SCMP_SYS(chroot), SCMP_SYS(fsconfig), SCMP_SYS(fsmount), SCMP_SYS(fsopen), SCMP_SYS(fspick),
    SCMP_SYS(mount), SCMP_SYS(mount_setattr), SCMP_SYS(move_mount), SCMP_SYS(open_by_handle_at),
    SCMP_SYS(open_tree), SCMP_SYS(pivot_root), SCMP_SYS(setns), SCMP_SYS(umount2),
    SCMP_SYS(unshare),
    // ways around a filter, and large parts of the kernel that nothing here needs
    SCMP_SYS(bpf), SCMP_SYS(io_uring_enter), SCMP_SYS(io_uring_register), SCMP_SYS(io_uring_setup),
    SCMP_SYS(userfaultfd), SCMP_SYS(fanotify_init),
    // the machine
    SCMP_SYS(acct), SCMP_SYS(adjtimex), SCMP_SYS(clock_adjtime), SCMP_SYS(clock_settime),
    SCMP_SYS(delete_module), SCMP_SYS(finit_module), SCMP_SYS(init_module), SCMP_SYS(ioperm),
    SCMP_SYS(iopl), SCMP_SYS(kexec_file_load), SCMP_SYS(kexec_load), SCMP_SYS(quotactl),
    SCMP_SYS(quotactl_fd), SCMP_SYS(reboot), SCMP_SYS(sethostname), SCMP_SYS(setdomainname),
    SCMP_SYS(settimeofday), SCMP_SYS(swapoff), SCMP_SYS(swapon), SCMP_SYS(syslog),
    SCMP_SYS(vhangup)};
const size_t syscalls_refused_count = ARRAY_LEN(syscalls_refused);

const int syscalls_of_paths[] = {SCMP_SYS(chmod),        SCMP_SYS(fchmodat),  SCMP_SYS(fchmodat2),
                                 SCMP_SYS(chown),        SCMP_SYS(lchown),    SCMP_SYS(fchownat),
                                 SCMP_SYS(setxattr),     SCMP_SYS(lsetxattr), SCMP_SYS(removexattr),
                                 SCMP_SYS(lremovexattr), SCMP_SYS(utime),     SCMP_SYS(utimes),
                                 SCMP_SYS(futimesat)};
const size_t syscalls_of_paths_count = ARRAY_LEN(syscalls_of_paths);
