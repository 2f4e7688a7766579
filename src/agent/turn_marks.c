#include "agent/turn_marks.h"

#include <stdlib.h>
#include <string.h>

#include "agent/turn.h"
#include "agent/turn_taint.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/document.h"
#include "store/taint.h"
#include "tools/background.h"
#include "tools/changed_files.h"
#include "tools/named_files.h"
#include "tools/shell.h"
#include "tools/tool_target.h"

/*
 * Which files a command has written nobody tells, so a process looks for those that have changed
 * since the calls began. That marks also what somebody else has changed meanwhile, which does no
 * harm; what a command in the background writes later it cannot know.
 */
enum {
    EARLIER_MS = 1000,       // the kernel's clock of files lags behind
    HANDLE_MAX = 64,         // bytes
    ENTRY_MAX = 64 * 1024,   // bytes of an entry of the memory files
    ANSWER_MAX = 16 * 1024,  // bytes of a path
    NOTE_TREE_MAX = 1 << 20, // bytes
};

struct turn_marking {
    struct list link; // agent::markings
    struct agent *agent;
    struct turn *turn; // that waits for it; NULL: none does
    turn_next_fn *next;
    struct tool_process *process;
    int64_t job;                // of the store
    struct store_taint *taints; // owned, and their names
    size_t count, capacity;
    struct store_mark *gone; // the same
    size_t gone_count, gone_capacity;
    char why[TURN_TAINT_MAX], of[33];
};

static bool is_one_of(const char *name, const char *const *names)
{
    for (; *names; names++)
        if (strcmp(*names, name) == 0)
            return true;
    return false;
}

static void target_of(const struct turn_call *call, struct tool_target *ret_target)
{
    const struct chat_call *asked = &turn_asking_message(call->turn)->calls[call->ordinal];
    tool_target_find(call->turn->tools, asked->name, span_of(asked->arguments), ret_target);
}

/* What is read */

struct showing { // what a call shows
    const struct named_files *files;
    const char *text;   // of its result, where only what stands in it counts; NULL: all counts
    bool runs;          // a command, which sees all of the workspace
    const char *handle; // "": of all
    bool marked;
};

static bool is_below(struct span path, struct span directory)
{
    return directory.len == 0 || (path.len > directory.len && path.data[directory.len] == '/' &&
                                  memcmp(path.data, directory.data, directory.len) == 0);
}

static bool stands_in(const char *text, struct span path)
{
    while (path.len && path.data[path.len - 1] == '/')
        path.len--;
    for (size_t i = path.len; i-- > 0;)
        if (path.data[i] == '/') {
            path = span_skip(path, i + 1);
            break;
        }
    return span_find(span_of(text), path) >= 0;
}

static bool on_file(void *context, struct span marked)
{
    struct showing *showing = context;
    bool all = marked.len && marked.data[marked.len - 1] == '/'; // of a directory
    showing->marked = showing->runs;
    struct span mark = {marked.data, marked.len - all};
    for (size_t i = 0; i < showing->files->count && !showing->marked; i++) {
        struct span path = span_of(showing->files->all[i].path);
        bool inside = span_equal(path, mark) || ((all || marked.len == 0) && is_below(path, mark));
        bool around = is_below(mark, path) && showing->text && stands_in(showing->text, mark);
        showing->marked = inside || around;
    }
    return !showing->marked;
}

static bool on_handle(void *context, struct span marked)
{
    struct showing *showing = context;
    size_t len = strlen(showing->handle);
    showing->marked = marked.len == 0 || strncmp(marked.data, showing->handle,
                                                 len < marked.len ? len : marked.len) == 0;
    return !showing->marked;
}

static bool shows_handle(const struct turn *turn, const struct tool_target *target)
{
    JSON_AUTO doc = JSON_INIT;
    BUF_AUTO handle = BUF_INIT(HANDLE_MAX);
    bool parsed = json_parse(&doc, target->arguments, NULL) == 0;
    bool reads = strcmp(target->entry->name, "read_result") == 0;
    if (!parsed || (!reads && strcmp(target->entry->name, "process") != 0))
        return false;
    json_string(json_get(json_root(&doc), reads ? "handle" : "session_id"), &handle);
    struct showing showing = {.handle = buf_text(&handle)};
    return store_read_taints(store_view(turn->agent->env.store), STORE_TAINT_HANDLE, on_handle,
                             &showing, NULL) < 0 ||
           showing.marked;
}

// What cannot be read counts as marked.
static bool shows_marked(const struct turn_call *call, const char *result)
{
    static const char *const listing[] = {"list_files", "search_files", NULL};
    const struct turn *turn = call->turn;
    const struct tool_env *env = toolbox_env(turn->agent->env.toolbox);
    CLEANUP(named_files_finish) struct named_files files = {0};
    struct tool_target target;
    target_of(call, &target);
    if (!target.entry || strcmp(target.entry->name, "write_file") == 0)
        return false;
    bool runs = strcmp(target.entry->name, "terminal") == 0;
    if (!runs)
        named_files_find(env->workspace, target.entry->name, target.arguments, &files);
    struct showing showing = {.files = &files,
                              .runs = runs,
                              .text = is_one_of(target.entry->name, listing) ? result : NULL};
    if ((files.count || runs) && store_read_taints(store_view(turn->agent->env.store),
                                                   STORE_TAINT_FILE, on_file, &showing, NULL) < 0)
        return true;
    return showing.marked || shows_handle(turn, &target);
}

/* Which calls mark */

static void mark_if(struct turn_call *call, bool tainted)
{
    static const char *const keepers[] = {"remember", "todo", NULL}; // which mark by themselves
    struct tool_target target;
    target_of(call, &target);
    call->marks = call->marks || (tainted && target.entry && call->flags & TOOL_WRITES &&
                                  !is_one_of(target.entry->name, keepers));
    if (call->marks && call->turn->marks_since_ms == 0)
        call->turn->marks_since_ms = clock_wall_ms(&clock_system); // as files are dated
}

void turn_marks_begin(struct turn_call *call)
{
    char why[TURN_TAINT_MAX];
    call->tainted = shows_marked(call, NULL);
    mark_if(call, call->tainted || turn_taint(call->turn, why));
    call->marks_ms = clock_monotonic_ms(&clock_system);
}

void turn_marks_ended(struct turn_call *call)
{
    if (!call->marks_ms) // it was not run
        return;
    call->tainted = call->tainted || shows_marked(call, call->result);
    mark_if(call, call->tainted); // a server may have written what its result shows
}

void turn_marks_resumed(struct turn *turn)
{
    char why[TURN_TAINT_MAX];
    bool tainted = turn_taint(turn, why);
    for (size_t i = 0; i < turn->call_count; i++) {
        struct turn_call *call = &turn->calls[i];
        if (call->interrupted) // what it has seen was not written down
            call->tainted = shows_marked(call, NULL);
        if (call->flags & TOOL_WRITES && (tainted || call->tainted))
            call->marks = true;
    }
}

/* Marking */

static void add(struct turn_marking *marking, enum store_taint_kind kind, struct span name)
{
    marking->taints =
        mem_grow(marking->taints, marking->count, &marking->capacity, sizeof *marking->taints);
    char *copy = mem_strndup(name.data ? name.data : "", name.len);
    marking->taints[marking->count++] = (struct store_taint){kind, {copy, name.len}};
}

static void marking_destroy(struct turn_marking *marking)
{
    if (marking->process)
        tool_process_cancel(marking->process);
    store_forget(marking->agent->env.store, marking->job);
    if (marking->turn)
        marking->turn->marking = NULL;
    for (size_t i = 0; i < marking->count; i++)
        free((char *)marking->taints[i].name.data);
    free(marking->taints);
    for (size_t i = 0; i < marking->gone_count; i++)
        free((char *)marking->gone[i].taint.name.data);
    free(marking->gone);
    list_remove(&marking->link);
    free(marking);
}

static void end(struct turn_marking *marking, const char *trouble)
{
    struct turn *turn = marking->turn;
    turn_next_fn *next = marking->next;
    if (trouble)
        LOG_EVENT(LOG_ERROR, "turn.marks", marking->of, LOG_TEXT("error", trouble));
    else
        LOG_EVENT(LOG_INFO, "turn.marks", marking->of, LOG_NUMBER("marks", (int64_t)marking->count),
                  LOG_NUMBER("gone", (int64_t)marking->gone_count), LOG_TEXT("why", marking->why));
    marking_destroy(marking);
    if (turn)
        next(turn);
}

static void on_stored(void *context, int result, const struct error *err, int64_t rowid)
{
    (void)rowid;
    struct turn_marking *marking = context;
    marking->job = 0;
    end(marking, result < 0 ? err->text : NULL);
}

static void store(struct turn_marking *marking)
{
    struct error err = ERROR_INIT;
    struct store_taint_change change = {
        .taints = marking->taints,
        .count = marking->count,
        .gone = marking->gone,
        .gone_count = marking->gone_count,
        .why = span_of(marking->why),
        .now_ms = clock_wall_ms(marking->agent->env.clock),
    };
    int64_t job = store_taint_change(marking->agent->env.store, &change, on_stored, marking, &err);
    if (job < 0)
        end(marking, err.text);
    else
        marking->job = job;
}

// What a call has named and removed is not marked, either.
static void take_gone(struct turn_marking *marking, struct json_value rows)
{
    struct json_value row;
    for (struct json_iter it = json_iter_init(rows); json_iter_next(&it, NULL, &row);) {
        struct store_mark mark = {.taint.kind = STORE_TAINT_FILE};
        char *name = json_strdup(json_at(row, 0), ANSWER_MAX);
        if (!name || !json_int64(json_at(row, 1), &mark.marked_ms)) {
            free(name);
            continue;
        }
        mark.taint.name = span_of(name);
        for (size_t i = marking->count; i-- > 0;)
            if (marking->taints[i].kind == STORE_TAINT_FILE &&
                span_equal(marking->taints[i].name, mark.taint.name)) {
                free((char *)marking->taints[i].name.data);
                marking->taints[i] = marking->taints[--marking->count];
            }
        marking->gone = mem_grow(marking->gone, marking->gone_count, &marking->gone_capacity,
                                 sizeof *marking->gone);
        marking->gone[marking->gone_count++] = mark;
    }
}

static void add_changed(struct turn_marking *marking, struct span answer)
{
    JSON_AUTO doc = JSON_INIT;
    struct json_value name;
    bool more = false;
    json_parse(&doc, answer, NULL);
    struct json_iter it = json_iter_init(json_get(json_root(&doc), "files"));
    json_bool(json_get(json_root(&doc), "more"), &more);
    if (more)
        add(marking, STORE_TAINT_FILE, SPAN_LITERAL("")); // the whole workspace
    else
        take_gone(marking, json_get(json_root(&doc), "gone"));
    while (!more && json_iter_next(&it, NULL, &name)) {
        BUF_AUTO path = BUF_INIT(ANSWER_MAX);
        if (json_string(name, &path) && path.len)
            add(marking, STORE_TAINT_FILE, buf_span(&path));
    }
}

static void on_changed(void *context, int result, struct span text, int64_t ms)
{
    (void)ms;
    struct turn_marking *marking = context;
    marking->process = NULL;
    if (result == 0)
        add_changed(marking, text);
    else
        LOG_EVENT(LOG_ERROR, "turn.marks", marking->of,
                  LOG_TEXT("error", "nobody could look at what has changed"));
    store(marking);
}

static void add_entry(struct turn_marking *marking, struct json_value change)
{
    BUF_AUTO entry = BUF_INIT(ENTRY_MAX);
    json_string(json_get(change, "content"), &entry);
    struct span text = span_trim(buf_span(&entry));
    if (text.len)
        add(marking, STORE_TAINT_MEMORY, text);
}

// Names of kept output and of commands, as the tools tell them.
static void add_handles(struct turn_marking *marking, const char *text)
{
    static const char *const begins[] = {"out_", "proc_"};
    for (size_t i = 0; i < ARRAY_LEN(begins); i++)
        for (const char *at = text; (at = strstr(at, begins[i]));) {
            size_t begin = strlen(begins[i]), len = begin + strspn(at + begin, "0123456789abcdef");
            if (len > begin && len < HANDLE_MAX)
                add(marking, STORE_TAINT_HANDLE, span_make(at, len));
            at += len;
        }
}

// What is known of one call: its files, also when nobody can look at what has changed.
static void add_call(struct turn_marking *marking, const struct turn_call *call)
{
    static const char *const writers[] = {"write_file", "patch", NULL};
    struct tool_target target;
    JSON_AUTO doc = JSON_INIT;
    struct json_value change;
    target_of(call, &target);
    if (call->flags & TOOL_KEEPS && call->result)
        add_handles(marking, call->result);
    if (!target.entry || json_parse(&doc, target.arguments, NULL) < 0)
        return;
    if (strcmp(target.entry->name, "memory") == 0) {
        add_entry(marking, json_root(&doc));
        struct json_iter it = json_iter_init(json_get(json_root(&doc), "operations"));
        while (json_iter_next(&it, NULL, &change))
            add_entry(marking, change);
    }
    BUF_AUTO skill = BUF_INIT(ENTRY_MAX);
    if (strcmp(target.entry->name, "skill_manage") == 0 &&
        json_string(json_get(json_root(&doc), "name"), &skill))
        add(marking, STORE_TAINT_SKILL, buf_span(&skill));
    if (!is_one_of(target.entry->name, writers))
        return;
    CLEANUP(named_files_finish) struct named_files files;
    named_files_find(toolbox_env(marking->agent->env.toolbox)->workspace, target.entry->name,
                     target.arguments, &files);
    for (size_t i = 0; i < files.count; i++)
        if (*files.all[i].path)
            add(marking, STORE_TAINT_FILE, span_of(files.all[i].path));
}

static void on_unmarked(void *context, int result, const struct error *err, int64_t rowid)
{
    (void)context, (void)rowid;
    if (result < 0)
        log_error("a mark could not be taken off a file: %s", err->text);
}

// A file that was written anew as a whole, by a call that had nothing marked in mind.
static void unmark(const struct turn_call *call)
{
    struct tool_target target;
    target_of(call, &target);
    if (!call->ended || call->failed || call->marks || call->interrupted || !target.entry ||
        strcmp(target.entry->name, "write_file") != 0)
        return;
    struct agent *agent = call->turn->agent;
    CLEANUP(named_files_finish) struct named_files files;
    named_files_find(toolbox_env(agent->env.toolbox)->workspace, target.entry->name,
                     target.arguments, &files);
    if (files.count == 0)
        return;
    struct store_taint taint = {STORE_TAINT_FILE, span_of(files.all[0].path)};
    store_taint_change(agent->env.store,
                       &(struct store_taint_change){.taints = &taint, .count = 1, .remove = true},
                       on_unmarked, NULL, NULL);
}

static struct turn_marking *marking_create(struct turn *turn)
{
    static const char marked[] = "made with what is marked";
    struct turn_marking *marking = mem_new(struct turn_marking);
    marking->agent = turn->agent;
    memcpy(marking->of, turn->name, sizeof marking->of);
    if (!turn_taint(turn, marking->why))
        memcpy(marking->why, marked, sizeof marked);
    list_append(&turn->agent->markings, &marking->link);
    return marking;
}

// The wall clock may be set back meanwhile.
static int64_t since_of(const struct turn *turn)
{
    int64_t since = turn->marks_since_ms, now = clock_monotonic_ms(&clock_system);
    for (size_t i = 0; i < turn->call_count; i++) {
        const struct turn_call *call = &turn->calls[i];
        int64_t then = clock_wall_ms(&clock_system) - (now - call->marks_ms);
        since = call->marks && call->marks_ms && then < since ? then : since;
    }
    return since - EARLIER_MS;
}

// It reads what is marked now, and writes that where nobody looks.
static void add_running(void *context, const char *name)
{
    add(context, STORE_TAINT_HANDLE, span_of(name));
}

// Does it only read, and is what it has read kept in a file, being too long?
static bool keeps_marked(const struct turn_call *call)
{
    return call->tainted && call->flags & TOOL_KEEPS && call->result &&
           strstr(call->result, "out_");
}

static struct turn_marking *begin(struct turn *turn)
{
    const struct tool_env *env = toolbox_env(turn->agent->env.toolbox);
    CLEANUP(mem_cleanup) char *note = STEAL(turn->marks_note);
    static const char *const elsewhere[] = {"memory", "skill_manage",
                                            NULL}; // outside the workspace
    struct turn_marking *marking = NULL;
    bool looks = false;
    for (size_t i = 0; i < turn->call_count; i++) {
        struct tool_target target;
        target_of(&turn->calls[i], &target);
        if (!turn->calls[i].marks && !keeps_marked(&turn->calls[i])) {
            unmark(&turn->calls[i]);
            continue;
        }
        marking = marking ? marking : marking_create(turn);
        add_call(marking, &turn->calls[i]);
        looks = looks || (turn->calls[i].marks &&
                          !(target.entry && is_one_of(target.entry->name, elsewhere)));
    }
    if (looks && env->background)
        background_each_running(env->background, add_running, marking);
    if (looks && changed_files_start(env, since_of(turn), note ? span_of(note) : SPAN_ABSENT,
                                     on_changed, marking, &marking->process, NULL) < 0)
        LOG_EVENT(LOG_ERROR, "turn.marks", turn->name,
                  LOG_TEXT("error", "nobody could look at what has changed"));
    turn->marks_since_ms = 0;
    return marking;
}

void turn_marks_keep(struct turn *turn, turn_next_fn *next)
{
    struct turn_marking *marking = begin(turn);
    if (!marking) {
        next(turn);
        return;
    }
    marking->turn = turn;
    marking->next = next;
    turn->marking = marking;
    if (!marking->process)
        store(marking);
}

void turn_marks_leave(struct turn *turn)
{
    bool under_way = turn->marking != NULL;
    free(STEAL(turn->marks_note)); // a call may still be at work, so nothing is certainly gone
    if (under_way)
        turn->marking->turn = NULL;
    turn->marking = NULL;
    struct turn_marking *marking = under_way || turn->marks_since_ms == 0 ? NULL : begin(turn);
    if (marking && !marking->process)
        store(marking);
}

void turn_marks_forget(struct agent *agent)
{
    list_for_each(link, &agent->markings)
        marking_destroy(list_entry(link, struct turn_marking, link));
}

/* What there is before they run */

static bool write_mark(void *context, const struct store_mark *mark)
{
    const struct node *marks = context;
    if (mark->taint.kind != STORE_TAINT_FILE || mark->taint.name.len == 0)
        return true;
    struct node row = node_add_array(*marks, NULL);
    node_add_string(row, NULL, mark->taint.name);
    node_add_int(row, NULL, mark->marked_ms);
    return true;
}

static void on_noted(void *context, int result, struct span text, int64_t ms)
{
    (void)ms;
    struct turn *turn = context;
    turn_next_fn *next = turn->looking.next;
    turn->looking = (struct turn_looking){0};
    turn->marks_note = result == 0 ? mem_strndup(text.data, text.len) : NULL;
    next(turn);
}

// Does one of the calls remove files, and none of them what nobody could follow: tools of servers,
// which may keep files where they like, and commands that do?
static bool may_remove(const struct turn *turn)
{
    static const char *const removers[] = {"terminal", "patch", NULL};
    const struct tool_env *env = toolbox_env(turn->agent->env.toolbox);
    bool removes = false;
    for (size_t i = 0; i < turn->call_count; i++) {
        const struct turn_call *call = &turn->calls[i];
        struct tool_target target;
        target_of(call, &target);
        if (call->flags & TOOL_WRITES && (!target.entry || !tool_find(target.entry->name)))
            return false;
        removes =
            removes || (!call->ended && target.entry && is_one_of(target.entry->name, removers));
    }
    return removes && (!env->shells || shells_leave_nothing(env->shells));
}

bool turn_marks_note(struct turn *turn, turn_next_fn *next)
{
    BUF_AUTO marks = BUF_INIT(CHANGED_FILES_NOTE_MAX);
    DOCUMENT_AUTO doc = DOCUMENT_INIT(NOTE_TREE_MAX);
    struct node rows = document_array(&doc);
    if (!may_remove(turn) ||
        store_read_marks(store_view(turn->agent->env.store), write_mark, &rows, NULL) < 0 ||
        document_print(&doc, &marks, NULL) < 0 || span_is(buf_span(&marks), "[]"))
        return false;
    turn->looking = (struct turn_looking){.next = next};
    if (turn->marks_since_ms == 0)
        turn->marks_since_ms = clock_wall_ms(&clock_system); // what changes from now on is found
    return changed_files_note(toolbox_env(turn->agent->env.toolbox), buf_span(&marks), on_noted,
                              turn, &turn->looking.process, NULL) == 0;
}

/* The prompt */

static bool on_entry(void *context, struct span entry)
{
    struct agent_session *session = context;
    session->prompt_tainted = span_find(span_of(session->prompt), entry) >= 0;
    return !session->prompt_tainted;
}

void turn_marks_look_at_prompt(struct agent_session *session, struct store_view *view)
{
    session->prompt_tainted = false;
    if (session->prompt)
        session->prompt_tainted =
            store_read_taints(view, STORE_TAINT_MEMORY, on_entry, session, NULL) < 0 ||
            session->prompt_tainted;
}
