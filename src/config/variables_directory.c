#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/mem.h"
#include "config/config.h"
#include "config/variables.h"

/*
 * A directory in which each file is a variable: its name, and as content its value. That is what a
 * mounted Secret of Kubernetes looks like, and what systemd makes of LoadCredential; unlike an
 * environment it is not inherited, and not to be read in /proc.
 *
 * In a Secret's volume the entries are links into "..data", which is a link to a directory that is
 * exchanged as a whole: so links are followed, and names that begin with a dot are not entries.
 * A file named like a variable is meant for us, and must be readable. Other names are looked over:
 * silently in systemd's directory, which a unit may use for more.
 */
static const char secrets_name[] = "HERMES_SECRETS_DIR",
                  credentials_name[] = "CREDENTIALS_DIRECTORY";

struct reading {
    struct variables_read *layer;
    struct findings *findings;
    const char *variable; // that names the directory
    bool ours;            // the directory is for nothing else
};

static void add_finding(const struct reading *reading, enum config_severity severity,
                        const char *sentence)
{
    findings_add(reading->findings, severity, (struct place){.where = reading->variable}, "%s",
                 sentence);
}

// The value without the line feed that editors leave behind it.
static int value_of(const struct buf *content, const char *path, struct span *ret_value,
                    struct error *err)
{
    struct span value = buf_span(content);
    if (value.len && value.data[value.len - 1] == '\n')
        value.len--;
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.data[i];
        if (c == '\n' || c == '\r')
            return error_set(err, -EINVAL,
                             "%s holds a line break; it must be the value alone, in one line",
                             path);
        if ((c < ' ' && c != '\t') || c == 127)
            return error_set(err, -EINVAL, "%s holds %s", path,
                             c ? "a control character" : "a NUL byte");
    }
    *ret_value = value;
    return 0;
}

static int read_entry(const struct reading *reading, int directory, const char *name,
                      struct error *err)
{
    CLEANUP(mem_cleanup) char *path = mem_printf("%s/%s", reading->layer->path, name);
    // Not blocking, so that a fifo does not hold us up.
    FD_AUTO fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    BUF_AUTO content = BUF_INIT(CONFIG_SECRET_FILE_MAX);
    struct stat status;
    struct span value;
    if (fd < 0 || fstat(fd, &status) < 0)
        return error_errno(err, errno, "cannot read %s", path);
    if (!S_ISREG(status.st_mode))
        return error_set(err, -EINVAL, "%s is not a file", path);
    int r = fd_read_all(fd, &content);
    if (r == -EFBIG)
        error_set(err, r, "%s is longer than %d bytes", path, CONFIG_SECRET_FILE_MAX);
    else if (r < 0)
        error_errno(err, -r, "cannot read %s", path);
    if (r == 0)
        r = value_of(&content, path, &value, err);
    if (r == 0)
        variables_add(reading->layer, span_of(name), value, 0);
    if (content.data)
        explicit_bzero(content.data, content.len);
    return r;
}

static void take_entry(const struct reading *reading, int directory, const char *name)
{
    struct error err = ERROR_INIT;
    if (!strchr("0123456789", *name) &&
        strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == strlen(name)) {
        if (read_entry(reading, directory, name, &err) < 0)
            add_finding(reading, CONFIG_ERROR, err.text);
    } else if (reading->ours) {
        error_set(&err, -EINVAL,
                  "%s/%.100s is not used: a name has only A to Z, 0 to 9 and _, as in "
                  "TELEGRAM_BOT_TOKEN",
                  reading->layer->path, name);
        add_finding(reading, CONFIG_WARNING, err.text);
    }
}

// A directory of systemd's that is not there was meant for the program that started us.
static void read_directory(struct reading *reading, const char *path)
{
    struct error err = ERROR_INIT;
    DIRECTORY_AUTO *directory = path[0] == '/' ? opendir(path) : NULL;
    size_t count = 0;
    if (path[0] != '/')
        error_set(&err, -EINVAL, "%s is not an absolute path", path);
    else if (!directory)
        error_errno(&err, errno, "cannot read the directory %s", path);
    if (!directory) {
        add_finding(reading, reading->ours ? CONFIG_ERROR : CONFIG_NOTE, err.text);
        return;
    }
    reading->layer->path = mem_strdup(path);
    for (struct dirent *entry; (entry = readdir(directory));) {
        if (entry->d_name[0] == '.')
            continue;
        if (count++ < CONFIG_SECRETS_MAX) {
            take_entry(reading, dirfd(directory), entry->d_name);
            continue;
        }
        error_set(&err, -EMSGSIZE, "%s has more than %d files", path, CONFIG_SECRETS_MAX);
        add_finding(reading, CONFIG_ERROR, err.text);
        return;
    }
}

void variables_read_directories(struct variables *variables, struct findings *findings)
{
    static const struct {
        const char *variable;
        enum variable_layer layer;
        bool ours;
    } directories[] = {{secrets_name, LAYER_SECRETS, true},
                       {credentials_name, LAYER_CREDENTIALS, false}};
    for (size_t i = 0; i < ARRAY_LEN(directories); i++) {
        const char *path = config_environment_get(&variables->real, directories[i].variable);
        struct reading reading = {&variables->layers[directories[i].layer], findings,
                                  directories[i].variable, directories[i].ours};
        if (path)
            read_directory(&reading, path);
    }
}
