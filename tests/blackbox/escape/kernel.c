#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/fanotify.h>
#include <linux/io_uring.h>
#include <linux/perf_event.h>
#include <linux/userfaultfd.h>
#include <mqueue.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "escape.h"

enum { KEY = 0x68656d73, MEMFD_SECRET = 447 };

static int make_namespace(void)
{
    return result(unshare(CLONE_NEWUSER));
}

static int clone_namespace(void)
{
    pid_t child = (pid_t)syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL);
    if (child == 0)
        _exit(0);
    return child < 0 ? -errno : result(waitpid(child, NULL, 0));
}

static int clone3_namespace(void)
{
    uint64_t arguments[11] = {[0] = CLONE_NEWUSER, [4] = SIGCHLD};
    pid_t child = (pid_t)syscall(SYS_clone3, arguments, sizeof arguments);
    if (child == 0)
        _exit(0);
    return child < 0 ? -errno : result(waitpid(child, NULL, 0));
}

// In a namespace of one's own, where one may.
static int privileged(int kinds)
{
    return unshare(CLONE_NEWUSER | kinds) < 0 ? -errno : 0;
}

static int mount_memory(void)
{
    int r = privileged(CLONE_NEWNS);
    return r < 0 ? r : result(mount("tmpfs", "/bin", "tmpfs", 0, NULL));
}

static int mount_again(void)
{
    int r = privileged(CLONE_NEWNS);
    return r < 0 ? r : result(mount("/", "/bin", NULL, MS_BIND | MS_REC, NULL));
}

static int mount_anew(void)
{
    int r = privileged(CLONE_NEWNS);
    if (r < 0)
        return r;
    int fd = (int)syscall(SYS_fsopen, "tmpfs", 0);
    return fd < 0 ? -errno : 0;
}

static int mount_tree(void)
{
    int r = privileged(CLONE_NEWNS);
    return r < 0 ? r : result(syscall(SYS_open_tree, AT_FDCWD, "/bin", 1 | 0x8000));
}

static int change_root(void)
{
    int r = privileged(0);
    return r < 0 ? r : result(chroot("/"));
}

static int enter_namespace(void)
{
    int r = privileged(CLONE_NEWUTS);
    int fd = open("/proc/self/ns/uts", O_RDONLY);
    return r < 0 ? r : fd < 0 ? -errno : result(setns(fd, CLONE_NEWUTS));
}

static int rename_host(void)
{
    char name[256];
    gethostname(name, sizeof name);
    return result(sethostname(name, strlen(name)));
}

static int load_bpf(void)
{
    union bpf_attr attributes = {
        .map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};
    return result(syscall(SYS_bpf, BPF_MAP_CREATE, &attributes, sizeof attributes));
}

static int add_key(void)
{
    return result(syscall(SYS_add_key, "user", "hermes-escape", "mine", 4, -3));
}

static int ask_for_key(void)
{
    int r = result(syscall(SYS_request_key, "user", "nobody-has-this", NULL, 0));
    return r == -ENOKEY ? 0 : r; // it was looked for
}

static int control_keys(void)
{
    return result(syscall(SYS_keyctl, 0, -3, 1)); // the session's keyring
}

static int use_io_uring(void)
{
    struct io_uring_params parameters = {0};
    return result(syscall(SYS_io_uring_setup, 1, &parameters));
}

static int handle_page_faults(void)
{
    return result(syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY));
}

static int count_events(void)
{
    struct perf_event_attr attributes = {.type = PERF_TYPE_SOFTWARE,
                                         .size = sizeof attributes,
                                         .config = PERF_COUNT_SW_TASK_CLOCK,
                                         .exclude_kernel = 1};
    return result(syscall(SYS_perf_event_open, &attributes, 0, -1, -1, 0));
}

static int map_predictably(void)
{
    return result(syscall(SYS_personality, ADDR_NO_RANDOMIZE));
}

static int hide_memory(void)
{
    return result(syscall(MEMFD_SECRET, 0));
}

static int hold_memory(void)
{
    return result(memfd_create("hermes", 0));
}

static int watch_all_files(void)
{
    return result(syscall(SYS_fanotify_init, FAN_CLASS_NOTIF | FAN_REPORT_FID, O_RDONLY));
}

static int share_memory(void)
{
    return result(shmget(KEY, 4096, IPC_CREAT | 0600));
}

static int share_messages(void)
{
    return result(msgget(KEY, IPC_CREAT | 0600));
}

static int share_semaphores(void)
{
    return result(semget(KEY, 1, IPC_CREAT | 0600));
}

static int share_queue(void)
{
    struct mq_attr attributes = {.mq_maxmsg = 1, .mq_msgsize = 8};
    return result(mq_open("/hermes-escape", O_RDWR | O_CREAT, 0600, &attributes));
}

// As a program of 32 bits: getpid has the number that access has here.
static int call_as_another(void)
{
#ifdef __x86_64__
    long returned = 20;
    __asm__ volatile("int $0x80" : "+a"(returned) : : "memory", "r8", "r9", "r10", "r11");
    return returned == getpid() ? 0 : -ENOSYS;
#else
    return UNSTAGED;
#endif
}

static int change_segments(void)
{
#ifdef SYS_modify_ldt
    char table[64];
    return result(syscall(SYS_modify_ldt, 0, table, sizeof table));
#else
    return UNSTAGED;
#endif
}

// Input for whoever reads this terminal next.
static int type(uint64_t request)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        setsid();
        ioctl(STDIN_FILENO, TIOCSCTTY, 0);
        _exit(syscall(SYS_ioctl, STDIN_FILENO, request, "x") < 0 ? errno : 0);
    }
    waitpid(child, &status, 0);
    return -WEXITSTATUS(status);
}

static int type_into_terminal(void)
{
    return type(TIOCSTI);
}

// The upper half is not the kernel's business.
static int type_behind_mask(void)
{
    return type(TIOCSTI | UINT64_C(1) << 32);
}

// --- privileges

static int gain_by_setuid(void)
{
    char *const argv[] = {"gain-by-setuid", NULL}, *const environment[] = {NULL};
    return result(execve("./setuid", argv, environment)); // which says whether it was root
}

static int gain_by_capability(void)
{
    char *const argv[] = {"gain-by-capability", NULL}, *const environment[] = {NULL};
    return result(execve("./capable", argv, environment));
}

static int make_device(void)
{
    return result(mknod("device", S_IFBLK | 0600, (dev_t)(7 << 8)));
}

static int own_for_another(void)
{
    close(open("given", O_WRONLY | O_CREAT, 0600));
    int fd = open("given", O_RDONLY);
    return result(fchown(fd, 12345, 12345));
}

static int become_another(void)
{
    return result(setuid(12345));
}

static int set_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return result(clock_settime(CLOCK_REALTIME, &now));
}

static int open_setting(void)
{
    return result(open("/proc/sys/kernel/core_pattern", O_WRONLY));
}

static int change_device(void)
{
    struct stat status;
    return stat("/dev/null", &status) < 0 ? UNSTAGED
                                          : result(chmod("/dev/null", status.st_mode & 0777));
}

static int read_kernel_log(void)
{
    return result(syscall(SYS_syslog, 10, NULL, 0)); // the size of its buffer
}

static int open_by_handle(void)
{
    struct {
        struct file_handle head;
        char bytes[128];
    } handle = {.head = {.handle_bytes = 128}};
    int mount;
    if (name_to_handle_at(AT_FDCWD, ".", &handle.head, &mount, 0) < 0)
        return UNSTAGED;
    int here = open(".", O_RDONLY);
    return result(open_by_handle_at(here, &handle.head, O_RDONLY));
}

const struct attempt attempts_on_kernel[] = {
    {"make-namespace", make_namespace},
    {"clone-namespace", clone_namespace},
    {"clone3-namespace", clone3_namespace},
    {"mount-memory", mount_memory},
    {"mount-again", mount_again},
    {"mount-anew", mount_anew},
    {"mount-tree", mount_tree},
    {"change-root", change_root},
    {"enter-namespace", enter_namespace},
    {"rename-host", rename_host},
    {"bpf", load_bpf},
    {"add-key", add_key},
    {"ask-for-key", ask_for_key},
    {"control-keys", control_keys},
    {"io-uring", use_io_uring},
    {"userfaultfd", handle_page_faults},
    {"perf-event", count_events},
    {"personality", map_predictably},
    {"memfd-secret", hide_memory},
    {"memfd", hold_memory},
    {"fanotify", watch_all_files},
    {"share-memory", share_memory},
    {"share-messages", share_messages},
    {"share-semaphores", share_semaphores},
    {"share-queue", share_queue},
    {"other-architecture", call_as_another},
    {"change-segments", change_segments},
    {"type-into-terminal", type_into_terminal},
    {"type-behind-mask", type_behind_mask},
    {"gain-by-setuid", gain_by_setuid},
    {"gain-by-capability", gain_by_capability},
    {"make-device", make_device},
    {"own-for-another", own_for_another},
    {"become-another", become_another},
    {"set-clock", set_clock},
    {"open-setting", open_setting},
    {"change-device", change_device},
    {"read-kernel-log", read_kernel_log},
    {"open-by-handle", open_by_handle},
    {NULL, NULL},
};
