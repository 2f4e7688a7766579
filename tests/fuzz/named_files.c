#include "tools/named_files.h"

#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "codec/json_write.h"
#include "fuzz.h"

// A path that is named is below the workspace, whatever was written.
static void check(const struct named_files *files)
{
    REQUIRE(files->count <= NAMED_FILES_MAX);
    for (size_t i = 0; i < files->count; i++) {
        struct span rest = span_of(files->all[i].path);
        REQUIRE(rest.len == 0 || *rest.data != '/');
        while (rest.len) {
            struct span part = span_cut(&rest, '/');
            REQUIRE(part.len && !span_is(part, "..") && !span_is(part, "."));
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const tools[][2] = {
        {"terminal", "command"}, {"write_file", "path"}, {"patch", "patch"}};
    for (size_t i = 0; i < ARRAY_LEN(tools); i++) {
        BUF_AUTO arguments = BUF_INIT(8 << 20);
        struct json_writer w;
        json_writer_init(&w, &arguments);
        json_write_object_begin(&w);
        json_write_member_string(&w, tools[i][1], span_make(data, size));
        json_write_object_end(&w);
        CLEANUP(named_files_finish) struct named_files files;
        named_files_find("/ws", tools[i][0], buf_span(&arguments), &files);
        check(&files);
    }
    return 0;
}
