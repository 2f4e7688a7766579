#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "tools/tool.h"
#include "tools/tool_run.h"
#include "tools/tool_set.h"

/*
 * Keeps the sources of tools, and runs calls side by side. A run is named by an id; a run that
 * cannot even begin (no such tool, arguments that are not JSON) is one whose result is a refusal,
 * since whoever asked for it must hear of it in the same way.
 */
struct toolbox;

// With the tools of this program. Copies env, borrows what it names.
struct toolbox *toolbox_create(const struct tool_env *env);
void toolbox_destroy(struct toolbox *toolbox); // ends all runs without callbacks
// Of the runs that begin from now on.
void toolbox_configure(struct toolbox *toolbox, const struct tool_settings *settings);

const struct tool_env *toolbox_env(const struct toolbox *toolbox);

// No result shows these from now on, nor what looks like a credential (codec/redact.h). Copied;
// they stay in this process.
bool toolbox_hide(struct toolbox *toolbox, const char *const *secrets, size_t count);

// Appends the text without them. False, with nothing appended: it does not fit.
bool toolbox_mask(const struct toolbox *toolbox, struct span text, struct buf *out);

// Takes part from now on; borrowed until it is removed. Negative, with a sentence: none of it does.
int toolbox_add_source(struct toolbox *toolbox, struct tool_source *source, tool_source_id *ret_id,
                       struct error *err);
// What it lists has changed: from now on there is that. Its calls go on. Negative, with a sentence:
// it stays as it was.
int toolbox_refresh_source(struct toolbox *toolbox, tool_source_id id, struct error *err);
// Its calls that run are cancelled, and end as failed before this returns. Not from inside one of
// the source's own functions.
void toolbox_remove_source(struct toolbox *toolbox, tool_source_id id);

// One at a time: called inside of what changes toolbox_tools(). NULL: nobody.
void toolbox_watch(struct toolbox *toolbox, void (*on_change)(void *context), void *context);

// From now on this answers calls instead of their tools, which then have no effect: TOOL_ENDED, or
// 0 for one that is run. `tool` is what a call means, NULL when there is no such tool.
typedef int toolbox_answer_fn(void *context, const char *tool, const char *name,
                              struct span arguments, struct buf *out);
void toolbox_answer_with(struct toolbox *toolbox, toolbox_answer_fn *answer, void *context);

// What there is now; borrowed until a source comes or goes, unless a reference is taken.
struct tool_set *toolbox_tools(const struct toolbox *toolbox);

// The end comes later, or before this returns when the result is there at once: then 0 is returned.
tool_run_id toolbox_run(struct toolbox *toolbox, const struct tool_set *set,
                        const struct tool_call_context *on_behalf, const char *name,
                        struct span arguments, tool_end_fn *on_end, void *context);
// No callback comes after this. Had it begun, so that it may have had an effect?
bool toolbox_cancel(struct toolbox *toolbox, tool_run_id id);
// The turn, or all turns of the session, end without their calls that asked something.
void toolbox_forget(struct toolbox *toolbox, const char *work);
