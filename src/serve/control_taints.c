#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/mark_list.h"
#include "base/mem.h"
#include "serve/control_internal.h"
#include "store/settle.h"

// What is marked as written with text in mind that nobody vouches for, and that its owner does.

struct reading {
    struct control_question *question; // waits for it
    char *workspace;                   // owned
    char id[MARK_ID_SIZE];             // that is lifted; "": all are told
    struct mark_list list;
};

static int read_list(void *context, struct store_view *view, struct error *err)
{
    struct reading *reading = context;
    mark_list_finish(&reading->list); // of a run that is repeated
    return mark_list_read(view, reading->workspace, &reading->list, err);
}

static void write_mark(struct node marks, const struct listed_mark *listed)
{
    const struct store_mark *mark = &listed->mark;
    bool is_file = mark->taint.kind == STORE_TAINT_FILE;
    struct node row = node_add_object(marks, NULL);
    node_add_text(row, "id", listed->id);
    node_add_text(row, "kind", store_taint_words[mark->taint.kind]);
    node_add_string(row, "name", mark->taint.name);
    node_add_string(row, "why", mark->why);
    node_add_int(row, "marked_ms", mark->marked_ms);
    if (is_file)
        node_add_bool(row, "gone", listed->gone);
    if (is_file && !listed->gone) {
        node_add_int(row, "changed_ms", listed->changed_ms);
        node_add_int(row, "bytes", listed->size);
    }
}

static void tell(const struct reading *reading, int result, const struct error *err)
{
    BUF_AUTO body = BUF_INIT(CONTROL_ANSWER_MAX);
    DOCUMENT_AUTO doc = DOCUMENT_INIT(CONTROL_ANSWER_MAX);
    struct node answer = document_object(&doc);
    if (reading->list.file_count)
        node_add_text(answer, "all_files", reading->list.files_id);
    struct node marks = node_add_array(answer, "marks");
    for (size_t i = 0; i < reading->list.count; i++)
        write_mark(marks, &reading->list.all[i]);
    control_print(&doc, &body);
    control_finish(reading->question, result, &body, err);
}

static void on_lifted(void *context, int result, const struct error *err, int64_t rowid)
{
    (void)rowid;
    BUF_AUTO body = BUF_INIT(CONTROL_ERROR_MAX);
    buf_append_text(&body, "{\"done\":true}\n");
    control_finish(context, result, &body, err);
}

static void on_read(void *context, int result, const struct error *err, int64_t rowid)
{
    (void)rowid;
    struct reading *reading = context;
    struct error refusal = ERROR_INIT;
    CLEANUP(mem_cleanup) struct store_mark *marks = NULL;
    if (result != 0 || !*reading->id) {
        tell(reading, result, err);
        return;
    }
    struct store_settlement settlement = {.now_ms = loop_wall(reading->question->env->loop)};
    settlement.lifted_count =
        mark_list_lift(&reading->list, span_of(reading->id), "hermes taint", &marks);
    settlement.lifted = marks;
    if (settlement.lifted_count == 0) {
        error_set(&refusal, -EALREADY,
                  "nothing was lifted: no mark has this id any more, since it was set anew or what "
                  "it marks has changed; hermes taint list shows what is marked now");
        control_finish(reading->question, -EALREADY, NULL, &refusal);
        return;
    }
    control_submitted(reading->question,
                      store_settle(reading->question->env->store, &settlement, on_lifted,
                                   reading->question, &refusal),
                      &refusal);
}

static void release(void *context)
{
    struct reading *reading = context;
    mark_list_finish(&reading->list);
    free(reading->workspace);
    free(reading);
}

void control_ask_taints(const struct control_question *question, struct span id)
{
    static const struct store_reading how = {read_list, on_read, release};
    struct error err = ERROR_INIT;
    if (id.len >= MARK_ID_SIZE || (id.len == 0 && span_is(question->method, "DELETE"))) {
        control_refuse(question, 404, "that is no id of a mark; hermes taint list prints them");
        return;
    }
    struct reading *reading = mem_new(struct reading);
    reading->question = control_question_keep(question, sizeof *reading->question);
    reading->workspace = mem_strdup(question->env->workspace);
    snprintf(reading->id, sizeof reading->id, "%.*s", (int)id.len, id.len ? id.data : "");
    int64_t job = store_read(question->env->store, &how, reading, &err);
    control_submitted(reading->question, job, &err);
    if (job <= 0)
        release(reading);
}
