// Runs a fuzz target over kept inputs: replay FILE|DIRECTORY... . An empty directory is a failure,
// because a test that replays nothing proves nothing.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/fd.h"
#include "fuzz.h"

enum { INPUT_BYTES_MAX = 16 << 20 };

static bool replay_file(const char *path)
{
    struct error err = ERROR_INIT;
    BUF_AUTO file = BUF_INIT(INPUT_BYTES_MAX);
    if (fd_read_file(path, &file, &err) < 0) {
        fprintf(stderr, "replay: %s\n", err.text);
        return false;
    }
    uint8_t *exact = malloc(file.len ? file.len : 1); // so that a sanitizer sees an over-read
    if (!exact)
        return false;
    memcpy(exact, buf_text(&file), file.len);
    LLVMFuzzerTestOneInput(exact, file.len);
    free(exact);
    return true;
}

// Adds to *count how many files were replayed.
static bool replay_directory(const char *path, unsigned *count)
{
    DIR *dir = opendir(path);
    if (!dir) {
        fprintf(stderr, "replay: %s: %s\n", path, strerror(errno));
        return false;
    }
    bool ok = true;
    unsigned found = 0;
    for (struct dirent *entry; ok && (entry = readdir(dir));) {
        if (entry->d_name[0] == '.')
            continue;
        char *name = mem_printf("%s/%s", path, entry->d_name);
        ok = replay_file(name);
        free(name);
        found++;
    }
    closedir(dir);
    if (ok && found == 0)
        fprintf(stderr, "replay: %s holds no input\n", path);
    *count += found;
    return ok && found > 0;
}

int main(int argc, char **argv)
{
    unsigned count = 0;
    bool ok = argc > 1;
    for (int i = 1; i < argc && ok; i++) {
        struct stat st;
        if (stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode)) {
            ok = replay_directory(argv[i], &count);
        } else {
            ok = replay_file(argv[i]);
            count++;
        }
    }
    printf("%u inputs replayed\n", count);
    return ok && count > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
