/*
 * Programs may have the same user as the hands, and where the container is all that keeps files
 * apart, they can take the socket away. That ends nobody's access to anything but to the hands, and
 * only until it is looked at: as long as programs run, and once more after the last.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/command.h"
#include "daemon/settings.h"
#include "loop/child.h"
#include "loop/reaper.h"
#include "loop/signals.h"
#include "net/unix_socket.h"
#include "sandbox/hands.h"
#include "sandbox/hands_relay.h"
#include "sandbox/landlock.h"
#include "sandbox/namespaces.h"
#include "sandbox/temporary.h"

enum { OPTION_SOCKET, OPTION_WORKSPACE, OPTION_ISOLATION };
enum {
    BACKLOG = 16,
    LOOK_MS = 1000,
    // A head that is asked to end as well lets its turn come to an end, and that may need us.
    DRAIN_MS = 10 * 1000,
};

struct handling {
    struct loop *loop;
    struct signals signals;
    struct reaper *reaper;
    struct hands *hands;
    const char *path; // of the socket
    int listener;
    loop_id watch, look;
    dev_t device; // of its file
    ino_t inode;
    loop_id drain; // until all is killed
    bool stopping;
};

static void look_at_socket(void *context);

static void on_connection(void *context, int fd, unsigned events)
{
    struct handling *handling = context;
    FD_AUTO connection = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (connection < 0)
        return;
    if (hands_count(handling->hands) > HANDS_PROGRAMS_MAX || !unix_socket_may_serve(connection))
        return;
    hands_serve(handling->hands, connection);
    connection = -1;
    if (!handling->look)
        handling->look = loop_timer_after(handling->loop, LOOK_MS, look_at_socket, handling);
}

static void stop_listening(struct handling *handling)
{
    loop_unwatch(handling->loop, handling->watch);
    handling->watch = 0;
    fd_close(&handling->listener);
}

static int listen_at(struct handling *handling, struct error *err)
{
    struct stat status;
    int r = unix_socket_listen(handling->path, BACKLOG, &handling->listener, err);
    if (r == 0 && lstat(handling->path, &status) < 0)
        r = error_errno(err, errno, "cannot look at %s", handling->path);
    if (r < 0)
        return r;
    handling->device = status.st_dev;
    handling->inode = status.st_ino;
    handling->watch =
        loop_watch(handling->loop, handling->listener, LOOP_READ, on_connection, handling);
    return 0;
}

static bool is_ours(const struct handling *handling)
{
    struct stat status;
    return lstat(handling->path, &status) == 0 && status.st_dev == handling->device &&
           status.st_ino == handling->inode;
}

static void on_stopped(void *context)
{
    struct handling *handling = context;
    loop_stop(handling->loop);
}

static void stop(void *context)
{
    struct handling *handling = context;
    if (handling->stopping)
        return;
    stop_listening(handling);
    loop_cancel(handling->loop, handling->drain);
    handling->drain = 0;
    handling->stopping = true;
    hands_stop(handling->hands, on_stopped, handling);
}

static void look_at_socket(void *context)
{
    struct handling *handling = context;
    struct error err = ERROR_INIT;
    handling->look = 0;
    if (hands_count(handling->hands))
        handling->look = loop_timer_after(handling->loop, LOOK_MS, look_at_socket, handling);
    if (handling->drain && !hands_count(handling->hands))
        stop(handling);
    if (handling->stopping || is_ours(handling))
        return;
    log_warning("the socket %s was taken away by a program, and is made again", handling->path);
    stop_listening(handling);
    temporary_remove(handling->path); // whatever is there now
    if (listen_at(handling, &err) < 0) {
        log_error("%s", err.text);
        loop_stop(handling->loop);
    }
}

static void on_signal(void *context, int signal_number)
{
    struct handling *handling = context;
    if (signal_number != SIGTERM || handling->drain || !hands_count(handling->hands))
        stop(handling);
    else
        handling->drain = loop_timer_after(handling->loop, DRAIN_MS, stop, handling);
}

// A kind that was asked for is kept to; by itself it is the strictest that this container allows.
static int choose_isolation(const char *word, enum isolation_kind *ret_kind, struct error *err)
{
    enum isolation_kind kind = ISOLATION_AUTO;
    bool is_none = word && span_is(span_of(word), "none");
    if (word && !is_none && (!isolation_parse(word, &kind) || kind >= ISOLATION_HANDS))
        return error_set(err, COMMAND_MISUSED,
                         "hands: there is no isolation \"%.64s\" (hermes help hands)", word);
    if (is_none)
        kind = ISOLATION_CONTAINER;
    else if (kind == ISOLATION_AUTO)
        kind = namespaces_probe(NULL) == 0 ? ISOLATION_NAMESPACES
               : landlock_abi(NULL) > 0    ? ISOLATION_LANDLOCK
                                           : ISOLATION_CONTAINER;
    *ret_kind = kind;
    return 0;
}

static int find_workspace(const char *word, char path[PATH_MAX], struct error *err)
{
    static const struct arguments none;
    CLEANUP(mem_cleanup) char *home = NULL;
    int r = word ? 0 : settings_find_home(&none, &home, err);
    if (r < 0)
        return r;
    CLEANUP(mem_cleanup) char *wanted = word ? mem_strdup(word) : mem_printf("%s/workspace", home);
    return realpath(wanted, path) ? 0
                                  : error_errno(err, errno, "cannot open the workspace %s", wanted);
}

static int start(struct handling *handling, const struct hands_config *config, struct error *err)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    int r = loop_create(&clock_system, &handling->loop, err);
    if (r < 0)
        return r;
    handling->hands = hands_create(handling->loop, config);
    r = signals_init(&handling->signals, handling->loop, numbers, ARRAY_LEN(numbers), on_signal,
                     handling, err);
    if (r == 0 && reaper_is_needed())
        r = reaper_create(handling->loop, &handling->reaper, err);
    return r == 0 ? listen_at(handling, err) : r;
}

static void finish(struct handling *handling)
{
    if (!handling->loop)
        return;
    if (handling->listener >= 0)
        stop_listening(handling);
    loop_cancel(handling->loop, handling->look);
    hands_destroy(handling->hands);
    child_reap_all(handling->loop);
    if (handling->inode && is_ours(handling))
        unlink(handling->path);
    reaper_destroy(handling->reaper);
    signals_finish(&handling->signals);
    loop_destroy(handling->loop);
}

// By earlier ones. A program can have put something in the socket's place just before it had the
// container end. The path may also be a mistake, so what is there now goes the next time.
static void clear_what_is_left(const char *path)
{
    struct stat status;
    CLEANUP(mem_cleanup) char *aside = mem_printf("%s.left", path);
    temporary_clear(temporary_place());
    temporary_remove(aside);
    if (lstat(path, &status) == 0 && !S_ISSOCK(status.st_mode) && rename(path, aside) == 0)
        log_warning("%s was in the way of the socket, and is %s now", path, aside);
}

static int run(const struct arguments *arguments, struct error *err)
{
    char workspace[PATH_MAX];
    const char *path = arguments->values[OPTION_SOCKET];
    struct hands_config config = {.workspace = workspace};
    struct handling handling = {.listener = -1, .path = path ? path : hands_socket()};
    int r = choose_isolation(arguments->values[OPTION_ISOLATION], &config.isolation, err);
    if (r == 0)
        r = find_workspace(arguments->values[OPTION_WORKSPACE], workspace, err);
    if (r < 0)
        return r;
    fd_raise_limit();
    prctl(PR_SET_DUMPABLE, 0); // programs of the same user do not look into it
    if (getpid() == 1)         // this container is all ours
        clear_what_is_left(handling.path);
    r = start(&handling, &config, err);
    if (r == 0) {
        log_info("hands: programs run in %s, with files kept apart by %s; listening on %s",
                 workspace,
                 config.isolation == ISOLATION_CONTAINER ? "this container alone"
                                                         : isolation_name(config.isolation),
                 handling.path);
        loop_run(handling.loop);
    }
    finish(&handling);
    return r;
}

const struct command command_hands = {
    .name = "hands",
    .summary = "Run programs for an agent in another container, which this one keeps apart",
    .help =
        "For a container beside the agent's that holds the workspace and no secret: the agent\n"
        "asks for its commands over a socket that both can open, and each runs here behind all\n"
        "layers of the sandbox. Where neither namespaces nor Landlock can be had, the container\n"
        "alone keeps files apart. Serves until SIGTERM. The workspace must have the same path\n"
        "in both containers; by default it is HERMES_HOME/workspace.\n",
    COMMAND_OPTIONS(
        [OPTION_SOCKET] = {"socket", 0, "PATH",
                           "to listen on (else HERMES_HANDS_SOCKET, /run/hands/socket)"},
        [OPTION_WORKSPACE] = {"workspace", 0, "DIR",
                              "which programs may read and write (else that of the home)"},
        [OPTION_ISOLATION] = {"isolation", 0, "KIND",
                              "beside the container: namespaces, landlock, none, or auto"}),
    .run = run,
};
