/*
 * A process is on the list of all from process_start() until it is dead. Its owner has heard the
 * last of it before that where it was cancelled, late or stopped: then `ended` is set, its id leads
 * nowhere, and what remains is to wait for its death, which nobody does but the loop.
 */
#include "sandbox/process.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/child.h"
#include "sandbox/hands_relay.h"
#include "sandbox/memory_budget.h"
#include "sandbox/process_spawn.h"
#include "sandbox/process_stream.h"
#include "sandbox/resident.h"

enum { SUPERVISORS = 2 }; // of a program in the sandbox: outside, and where there is one, inside

struct processes {
    struct loop *loop;
    struct list all;
    struct memory_budget budget;
    size_t waiting_bytes;
    struct resident *resident;
    loop_id starter;
    process_id last_id;
};

struct process {
    struct list link; // processes::all
    struct processes *owner;
    process_id id;
    char *directory;
    bool is_function, in_sandbox, held, ended;
    int64_t supervisors; // processes of its session that are ours
    bool leaves;         // what it started may outlive it
    struct process_limits limits;
    struct process_launch launch; // until it runs
    struct memory_claim claim;    // of a function
    struct resident_watch watch;  // of a program
    bool begun;
    int64_t begun_ms;       // when it did
    struct child *child;    // NULL before it runs, and once it has exited
    int status;             // as from waitpid(2), then
    int verdict;            // where a relay tells what became of the program; -1: there is none
    struct hands_end *told; // that
    enum process_stdio_kind kinds[PROCESS_STDIO_COUNT];
    struct process_input input;
    struct process_output outputs[PROCESS_STDIO_COUNT]; // the first is never open
    struct buf kept[PROCESS_STDIO_COUNT];               // of outputs that are buffers
    int64_t written;                                    // bytes of both outputs
    loop_id deadline;    // for its waiting, then its work, then its death
    int64_t patience_ms; // between two steps of its leaving
    struct process_events events;
    void *context;
};

static void start_waiting(void *context);

const struct option process_options[] = {
    {.key = "sandbox.memory",
     .aliases = "tools.memory_budget",
     .type = OPTION_BYTES,
     .offset = offsetof(struct process_config, memory),
     .fallback = "48Mi",
     .min = 16 << 20,
     .max = INT64_C(1) << 40,
     .help = "memory of all file tools that run; further calls wait"},
};

const size_t process_option_count = ARRAY_LEN(process_options);

struct processes *processes_create(struct loop *loop, const struct process_config *config)
{
    struct processes *processes = mem_new(struct processes);
    processes->loop = loop;
    list_init(&processes->all);
    memory_budget_init(&processes->budget, config->memory);
    processes->resident = resident_create(loop);
    return processes;
}

static void start_soon(struct processes *processes)
{
    if (!processes->starter)
        processes->starter = loop_defer(processes->loop, start_waiting, processes);
}

void processes_configure(struct processes *processes, const struct process_config *config)
{
    processes->budget.total = config->memory;
    start_soon(processes);
}

static void close_stdio(struct process *process)
{
    process_input_close(&process->input);
    for (int i = PROCESS_STDOUT; i < PROCESS_STDIO_COUNT; i++)
        process_output_close(&process->outputs[i]);
}

static void launch_finish(struct process *process)
{
    if (process->is_function)
        process->owner->waiting_bytes -= process->launch.input.len;
    process_launch_finish(&process->launch);
}

static void process_destroy(struct process *process)
{
    struct processes *processes = process->owner;
    list_remove(&process->link);
    launch_finish(process);
    memory_budget_release(&processes->budget, &process->claim);
    resident_remove(&process->watch);
    start_soon(processes);
    child_destroy(process->child);
    close_stdio(process);
    loop_cancel(processes->loop, process->deadline);
    for (int i = 0; i < PROCESS_STDIO_COUNT; i++)
        buf_finish(&process->kept[i]);
    fd_close(&process->verdict);
    free(process->told);
    free(process->directory);
    free(process);
}

// A supervisor kills all at one blow, and then ends. Until that is late, it is let do it.
static void ask_supervisor(struct process *process)
{
    if (process->in_sandbox && process->child)
        child_signal(process->child, SIGTERM);
}

void processes_destroy(struct processes *processes)
{
    if (!processes)
        return;
    list_for_each(link, &processes->all)
        ask_supervisor(list_entry(link, struct process, link));
    resident_kill(processes->resident);
    list_for_each(link, &processes->all)
        process_destroy(list_entry(link, struct process, link));
    resident_destroy(processes->resident);
    loop_cancel(processes->loop, processes->starter);
    free(processes);
}

static bool is_gone(const struct process *process)
{
    return !process->child && list_empty(&process->watch.link);
}

// The leader's group is killed with it; this is for whatever of its session left that group.
static void kill_session(struct process *process)
{
    if (process->leaves)
        resident_remove(&process->watch);
    else if (process->watch.session)
        process->watch.kills = true;
}

// Reports the end; what there is of the process stays as long as it lives.
static void finish(struct process *process, int result, const struct error *err)
{
    struct loop *loop = process->owner->loop;
    struct buf kept[PROCESS_STDIO_COUNT];
    memcpy(kept, process->kept, sizeof kept);
    memset(process->kept, 0, sizeof process->kept);
    struct process_end end = {
        .result = result,
        .status = process->status,
        .ms = process->begun ? loop_now(loop) - process->begun_ms : 0,
        .err = err,
    };
    for (int i = 0; i < PROCESS_STDIO_COUNT; i++)
        end.output[i] = buf_span(&kept[i]);
    void (*on_end)(void *, const struct process_end *) = process->events.on_end;
    void *context = process->context;
    bool was_ended = process->ended;
    process->ended = true;
    if (is_gone(process))
        process_destroy(process);
    if (!was_ended)
        on_end(context, &end);
    for (int i = 0; i < PROCESS_STDIO_COUNT; i++)
        buf_finish(&kept[i]);
}

// Over when the process has exited and all it printed was read, in whichever order.
static void finish_if_over(struct process *process)
{
    if (process->child)
        return;
    for (int i = PROCESS_STDOUT; i < PROCESS_STDIO_COUNT; i++)
        if (process->outputs[i].fd >= 0)
            return;
    struct error err = ERROR_INIT;
    int result =
        process->told && process->told->failure
            ? error_set(&err, process->told->failure, "%s", process->told->text)
            : process_result(process->status, process->is_function, process->limits.memory, &err);
    finish(process, result, &err);
}

static void on_stuck(void *context)
{
    struct process *process = context;
    process->deadline = 0;
    if (process->child)
        child_signal(process->child, SIGKILL);
    memory_budget_set_stuck(&process->owner->budget, &process->claim);
    if (process->is_function)
        log_warning("the process of a file tool was killed %d seconds ago and does not end; until "
                    "it does, it holds %lld MiB of sandbox.memory. Check the disk or network "
                    "drive of %s",
                    PROCESS_DEATH_MAX_MS / 1000, (long long)(process->claim.bytes >> 20),
                    process->directory);
    else
        log_warning("a process in %s was killed %d seconds ago and does not end. Check the disk or "
                    "network drive that it works on",
                    process->directory, PROCESS_DEATH_MAX_MS / 1000);
    start_soon(process->owner);
}

// A process that waits for a disk may outlive SIGKILL for as long as the disk is silent.
static void stop(struct process *process)
{
    struct loop *loop = process->owner->loop;
    close_stdio(process); // something that it left behind may hold it open for ever
    loop_cancel(loop, process->deadline);
    process->deadline = 0;
    kill_session(process);
    if (!process->child)
        return;
    if (process->in_sandbox)
        ask_supervisor(process);
    else
        child_signal(process->child, SIGKILL);
    process->deadline = loop_timer_after(loop, PROCESS_DEATH_MAX_MS, on_stuck, process);
}

static void stop_because(struct process *process, int result, const struct error *err)
{
    stop(process);
    finish(process, result, err);
}

static void on_late(void *context)
{
    struct process *process = context;
    process->deadline = 0;
    struct error err = ERROR_INIT;
    int r = error_set(&err, -ETIMEDOUT, "it took longer than %lld seconds and was stopped",
                      (long long)(process->limits.wall_ms / 1000));
    stop_because(process, r, &err);
}

// It has exited, and something that it left behind holds its output open.
static void on_left_open(void *context)
{
    struct process *process = context;
    process->deadline = 0;
    close_stdio(process);
    finish_if_over(process);
}

// Of its outputs. While nobody takes what is in them, that is not its fault.
static void await_end(struct process *process)
{
    struct loop *loop = process->owner->loop;
    loop_cancel(loop, process->deadline);
    process->deadline = loop_timer_after(
        loop, process->held ? PROCESS_HELD_MAX_MS : PROCESS_DEATH_MAX_MS, on_left_open, process);
}

static void on_exit_status(void *context, int status)
{
    struct process *process = context;
    struct hands_end end;
    process->child = NULL;
    process->status = status;
    if (hands_verdict_read(process->verdict, &end)) { // else the relay's own end is all there is
        process->status = end.status;
        process->told = mem_new(struct hands_end);
        *process->told = end;
    }
    process_input_close(&process->input);
    kill_session(process);
    await_end(process);
    finish_if_over(process);
}

static void on_output(void *context, struct process_output *output, struct span bytes)
{
    struct process *process = context;
    int which = (int)(output - process->outputs);
    struct error err = ERROR_INIT;
    process->written += (int64_t)bytes.len;
    int64_t max = process->limits.output;
    if (!bytes.len)
        finish_if_over(process);
    else if (max && process->written > max)
        stop_because(process,
                     error_set(&err, -EFBIG, "it wrote more than %lld KiB and was stopped",
                               (long long)(max / 1024)),
                     &err);
    else if (process->ended)
        ; // it leaves, and nobody listens; unread it could not end
    else if (process->kinds[which] == PROCESS_STREAM)
        process->events.on_output(process->context, which, bytes);
    else if (!buf_append_span(&process->kept[which], bytes))
        stop_because(process,
                     error_set(&err, -EFBIG, "it answered with more than %zu KiB",
                               process->kept[which].max / 1024),
                     &err);
}

static void on_room(void *context)
{
    struct process *process = context;
    if (process->events.on_room && !process->ended)
        process->events.on_room(process->context);
}

int64_t processes_memory(const struct processes *processes)
{
    return resident_shared(processes->resident);
}

static void on_resident(void *context)
{
    struct process *process = context;
    const struct process_limits *limits = &process->limits;
    const struct resident_watch *watch = &process->watch;
    struct error err = ERROR_INIT;
    int r = 0;
    if (watch->kills) {
        if (watch->processes)
            return;
        resident_remove(&process->watch);
        if (process->ended && is_gone(process))
            process_destroy(process);
        return;
    }
    if (limits->memory && watch->bytes > limits->memory)
        r = error_set(&err, -ENOMEM, "it took more than %lld MiB of memory and was stopped",
                      (long long)(limits->memory >> 20));
    else if (limits->all_memory && resident_is_largest(process->owner->resident, watch) &&
             resident_shared(process->owner->resident) > limits->all_memory)
        r = error_set(&err, -ENOMEM,
                      "it and others took more than %lld MiB of memory together, and it the most: "
                      "it was stopped",
                      (long long)(limits->all_memory >> 20));
    else if (limits->processes && watch->processes - process->supervisors > limits->processes)
        r = error_set(&err, -EAGAIN, "it ran more than %lld processes at once and was stopped",
                      (long long)limits->processes);
    if (r < 0)
        stop_because(process, r, &err);
}

static int run(struct process *process, struct error *err)
{
    struct processes *processes = process->owner;
    int ends[PROCESS_ENDS_COUNT] = {-1, -1, -1, -1};
    process->begun = true;
    process->begun_ms = loop_now(processes->loop);
    int r = process_spawn(processes->loop, &process->launch, on_exit_status, process, ends,
                          &process->child, err);
    launch_finish(process);
    if (r < 0) {
        for (int i = 0; i < PROCESS_ENDS_COUNT; i++)
            fd_close(&ends[i]);
        return r;
    }
    loop_cancel(processes->loop, process->deadline);
    process->deadline = 0;
    if (process->limits.wall_ms)
        process->deadline =
            loop_timer_after(processes->loop, process->limits.wall_ms, on_late, process);
    process->verdict = ends[PROCESS_VERDICT];
    if (ends[PROCESS_STDIN] >= 0)
        process_input_open(&process->input, ends[PROCESS_STDIN]);
    for (int i = PROCESS_STDOUT; i < PROCESS_STDIO_COUNT; i++)
        if (ends[i] >= 0)
            process_output_open(&process->outputs[i], ends[i]);
    if (!process->is_function) {
        process->watch.session = child_pid(process->child);
        process->watch.shares = process->limits.all_memory > 0;
        process->watch.spared = process->in_sandbox ? process->watch.session : 0;
        resident_add(processes->resident, &process->watch);
    }
    return 0;
}

static void on_waited_too_long(void *context)
{
    struct process *process = context;
    process->deadline = 0;
    struct error err = ERROR_INIT;
    int r = error_set(&err, -EAGAIN,
                      "it waited %d seconds for memory and did not begin; try again later, or with "
                      "fewer calls at a time",
                      PROCESS_WAIT_MAX_MS / 1000);
    finish(process, r, &err);
}

// The first that waits, and in another pass the next: its callback may do anything.
static void start_waiting(void *context)
{
    struct processes *processes = context;
    processes->starter = 0;
    struct memory_claim *first = NULL;
    enum memory_verdict verdict = memory_budget_judge(&processes->budget, &first);
    if (verdict == MEMORY_WAIT)
        return;
    start_soon(processes);
    struct process *process = CONTAINER_OF(first, struct process, claim);
    struct error err = ERROR_INIT;
    int r = memory_budget_take(&processes->budget, first, verdict, &err);
    if (r == 0)
        r = run(process, &err);
    if (r < 0)
        finish(process, r, &err);
}

static int check_queue(const struct processes *processes, size_t input_len, struct error *err)
{
    size_t waiting = processes->budget.waiting_count;
    if (waiting >= PROCESSES_WAITING_MAX ||
        processes->waiting_bytes + input_len > PROCESSES_WAITING_BYTES_MAX)
        return error_set(err, -EAGAIN, "%zu others wait for memory already; try again later",
                         waiting);
    return 0;
}

static struct process *process_create(struct processes *processes, const struct process_spec *spec,
                                      const struct process_events *events, void *context)
{
    struct process *process = mem_new(struct process);
    process->owner = processes;
    process->id = ++processes->last_id;
    process->verdict = -1;
    process->directory = mem_strdup(spec->directory);
    process->is_function = spec->function != NULL;
    process->limits = spec->limits;
    process->in_sandbox = spec->grants != NULL && !process->is_function;
    process->supervisors = process->in_sandbox ? SUPERVISORS : 0;
    // In the hands these hold; here is only what carries its bytes.
    if (process->in_sandbox && spec->grants->isolation == ISOLATION_HANDS)
        process->limits.memory = process->limits.processes = 0;
    process->leaves = process->in_sandbox && (spec->grants->without & LAYER_SESSION);
    process->events = *events;
    process->context = context;
    list_init(&process->watch.link);
    process->watch.on_count = on_resident;
    process->watch.context = process;
    process->input = (struct process_input){
        .loop = processes->loop, .fd = -1, .on_room = on_room, .context = process};
    process->input.expected = spec->stdio[PROCESS_STDIN].kind == PROCESS_STREAM;
    buf_init(&process->input.waiting, spec->stdio[PROCESS_STDIN].max);
    for (int i = 0; i < PROCESS_STDIO_COUNT; i++) {
        process->kinds[i] = spec->stdio[i].kind;
        buf_init(&process->kept[i], spec->stdio[i].max);
        process->outputs[i] = (struct process_output){
            .loop = processes->loop, .fd = -1, .on_bytes = on_output, .context = process};
    }
    list_append(&processes->all, &process->link);
    return process;
}

static void enqueue(struct process *process, uint64_t flow)
{
    struct processes *processes = process->owner;
    memory_budget_enqueue(&processes->budget, &process->claim, flow, process->limits.memory);
    process->deadline =
        loop_timer_after(processes->loop, PROCESS_WAIT_MAX_MS, on_waited_too_long, process);
    start_soon(processes);
}

int process_start(struct processes *processes, const struct process_spec *spec,
                  const struct process_events *events, void *context, process_id *ret_id,
                  struct error *err)
{
    struct process_launch launch;
    int r = process_launch_init(&launch, spec, err);
    if (r < 0)
        return r;
    bool waits = spec->function && spec->limits.memory; // what needs none has nothing to wait for
    if (waits)
        r = check_queue(processes, launch.input.len, err);
    if (r < 0) {
        process_launch_finish(&launch);
        return r;
    }
    struct process *process = process_create(processes, spec, events, context);
    process->launch = launch;
    if (process->is_function)
        processes->waiting_bytes += launch.input.len;
    if (waits)
        enqueue(process, spec->flow);
    else
        r = run(process, err);
    if (r == 0)
        *ret_id = process->id;
    else
        process_destroy(process);
    return r;
}

static struct process *find(const struct processes *processes, process_id id)
{
    list_for_each(link, &processes->all) {
        struct process *process = list_entry(link, struct process, link);
        if (process->id == id && !process->ended)
            return process;
    }
    return NULL;
}

bool process_cancel(struct processes *processes, process_id id)
{
    struct process *process = find(processes, id);
    if (!process)
        return false;
    bool begun = process->begun;
    process->ended = true;
    stop(process);
    if (is_gone(process))
        process_destroy(process); // else when it is dead: until then it takes memory
    return begun;
}

static void on_patience_over(void *context)
{
    stop(context);
}

static void on_still_there(void *context)
{
    struct process *process = context;
    process->deadline =
        loop_timer_after(process->owner->loop, process->patience_ms, on_patience_over, process);
    if (process->child)
        child_signal(process->child, SIGTERM);
}

void process_leave(struct processes *processes, process_id id, int64_t patience_ms)
{
    struct process *process = find(processes, id);
    if (!process || !process->child) {
        process_cancel(processes, id);
        return;
    }
    process->ended = true;
    process->patience_ms = patience_ms;
    process_input_end(&process->input);
    loop_cancel(processes->loop, process->deadline);
    process->deadline = loop_timer_after(processes->loop, patience_ms, on_still_there, process);
}

ssize_t process_write(struct processes *processes, process_id id, struct span bytes)
{
    struct process *process = find(processes, id);
    return process ? process_input_write(&process->input, bytes) : -EPIPE;
}

void process_end_input(struct processes *processes, process_id id)
{
    struct process *process = find(processes, id);
    if (process)
        process_input_end(&process->input);
}

void process_hold(struct processes *processes, process_id id, bool held)
{
    struct process *process = find(processes, id);
    if (!process || process->held == held)
        return;
    process->held = held;
    if (process->begun && !process->child)
        await_end(process);
    for (int i = PROCESS_STDOUT; i < PROCESS_STDIO_COUNT; i++)
        process_output_hold(&process->outputs[i], held);
}
