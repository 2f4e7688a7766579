#pragma once

#include "base/replace.h"
#include "codec/text_edit.h"
#include "codec/text_patch.h"
#include "tools/file_target.h"

/*
 * Files that one call changes. Each is read and its new text made in memory first; then all are
 * written beside what they replace, so that nothing has changed when one of them cannot be; then
 * they take their places, one after another and each whole.
 */
enum {
    PATCHED_FILE_MAX = 4 << 20,  // bytes of a file, and of the new texts of all together
    PATCHED_TEXTS_MAX = 2 << 20, // bytes that edits put into one file
};

struct patched_file {
    char *path; // owned
    int parent_fd;
    const char *name; // in `path`
    enum text_patch_kind kind;
    struct file_target target; // as it was when it was looked at
    struct buf text;           // the new one
    struct replacement written;
};

struct patched_files {
    int workspace_fd;
    struct patched_file files[TEXT_PATCH_FILES_MAX];
    size_t count, size; // bytes of all new texts
};

void patched_files_finish(struct patched_files *files); // accepts zeroed

// One that must be there: its text as it is now in `ret_text`.
int patched_files_open(struct patched_files *files, enum text_patch_kind kind, const char *path,
                       struct buf *ret_text, struct error *err);
// One that must not be.
int patched_files_add(struct patched_files *files, const char *path, struct error *err);
// Room for the new text of the last one, in file->text.
int patched_files_make_room(struct patched_files *files, size_t size, struct error *err);

// When one could not take its place, `out` tells which had.
int patched_files_write(struct patched_files *files, struct buf *out, struct error *err);
