#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/span.h"
#include "store/taint.h"

/*
 * What is marked, for an owner who may lift a mark: files with what they are now. An id means one
 * mark as it was listed. Once it is set anew, or its file changes in any way, nothing has that id.
 */
enum { MARK_ID_SIZE = 13 }; // twelve hex digits, NUL

struct listed_mark {
    struct store_mark mark; // its texts are owned
    char id[MARK_ID_SIZE];
    bool gone;                // there is no such file
    int64_t size, changed_ms; // of a file that there is; else 0
};

struct mark_list {
    struct listed_mark *all; // owned
    size_t count, capacity, file_count;
    char files_id[MARK_ID_SIZE]; // means all files
    int workspace_fd;
};

// Looks at the files, which may take long where there are many.
int mark_list_read(struct store_view *view, const char *workspace, struct mark_list *ret_list,
                   struct error *err);
void mark_list_finish(struct mark_list *list); // accepts zeroed

// Is it one that a word means, which is a file's path or an id?
bool mark_list_means(const struct mark_list *list, const struct listed_mark *mark,
                     struct span word);
// Those that it means, into an array on the heap that borrows from the list. That they are lifted
// is in the log then, with who says so. 0: none.
size_t mark_list_lift(const struct mark_list *list, struct span word, const char *by,
                      struct store_mark **ret_marks);

const char *mark_list_name(const struct listed_mark *mark); // "(every file)" for ""
