#include "sandbox/hands_frame.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/mem.h"

#define NUMBER_MAX (INT64_MAX / 4) // so that whoever adds to it need not look

enum { VERSION = 2, ERRNO_MAX = 4095, EXIT_MAX = 255, BYTE = 8 /* bits */ };

static size_t length_max(enum hands_kind kind)
{
    switch (kind) {
    case HANDS_HELLO:
    case HANDS_END:
        return HANDS_TALK_MAX;
    case HANDS_REQUEST:
        return HANDS_REQUEST_MAX;
    case HANDS_INPUT:
    case HANDS_STDOUT:
    case HANDS_STDERR:
        return HANDS_DATA_MAX;
    default:
        return 0;
    }
}

static bool is_kind(unsigned char byte)
{
    return byte && strchr("hrieox.", byte);
}

int hands_frame_read(struct span bytes, struct hands_frame *ret_frame)
{
    const unsigned char *header = (const unsigned char *)bytes.data;
    if (bytes.len < 1)
        return 0;
    if (!is_kind(header[0]))
        return -EPROTO;
    if (bytes.len < HANDS_HEADER)
        return 0;
    enum hands_kind kind = (enum hands_kind)header[0];
    size_t len = (size_t)header[1] << 2 * BYTE | (size_t)header[2] << BYTE | header[3];
    if (len > length_max(kind))
        return -EPROTO;
    if (bytes.len - HANDS_HEADER < len)
        return 0;
    *ret_frame = (struct hands_frame){kind, span_make(bytes.data + HANDS_HEADER, len)};
    return 1;
}

void hands_frame_write(struct buf *out, enum hands_kind kind, struct span bytes)
{
    const unsigned char header[HANDS_HEADER] = {
        (unsigned char)kind, (unsigned char)(bytes.len >> 2 * BYTE),
        (unsigned char)(bytes.len >> BYTE), (unsigned char)bytes.len};
    buf_append(out, header, sizeof header);
    buf_append_span(out, bytes);
}

// --- words, each with a NUL behind it

static void add_word(struct buf *words, const char *word)
{
    buf_append(words, word, strlen(word) + 1);
}

static void add_number(struct buf *words, int64_t number)
{
    buf_append_int(words, number);
    buf_append_char(words, '\0');
}

// False when there is none, or it is no number that can be.
static bool take_number(struct span *words, int64_t max, int64_t *ret_number)
{
    uint64_t number;
    if (!memchr(words->len ? words->data : "-", '\0', words->len))
        return false;
    if (!span_to_u64(span_cut(words, '\0'), &number) || number > (uint64_t)max)
        return false;
    *ret_number = (int64_t)number;
    return true;
}

// --- greeting

void hands_hello_write(struct buf *out, const struct hands_hello *hello)
{
    BUF_AUTO words = BUF_INIT(HANDS_TALK_MAX);
    add_number(&words, VERSION);
    add_number(&words, hello->isolation);
    add_number(&words, hello->memory);
    hands_frame_write(out, HANDS_HELLO, buf_span(&words));
}

int hands_hello_read(struct span bytes, struct hands_hello *ret_hello)
{
    int64_t version, isolation, memory;
    if (!take_number(&bytes, VERSION, &version) || version != VERSION ||
        !take_number(&bytes, ISOLATION_CONTAINER, &isolation) ||
        !take_number(&bytes, INT64_MAX, &memory) || bytes.len)
        return -EPROTO;
    *ret_hello = (struct hands_hello){(enum isolation_kind)isolation, memory};
    return 0;
}

// --- request

enum {
    CPU_S,
    MEMORY,
    PROCESSES,
    FILE_SIZE,
    TASKS,
    TMP,
    DISK,
    READS,
    WRITES,
    VARIABLES,
    ARGUMENTS,
    NUMBERS,
    LISTS = 4, // the last four, in this order
};

static size_t count_words(const char *const *words)
{
    size_t count = 0;
    while (words && words[count])
        count++;
    return count;
}

static void lists_of(const struct hands_request *request, const char *const *lists[LISTS])
{
    lists[0] = request->read;
    lists[1] = request->write;
    lists[2] = request->environment;
    lists[3] = request->argv;
}

bool hands_request_write(struct buf *out, const struct hands_request *request)
{
    BUF_AUTO words = BUF_INIT(HANDS_REQUEST_MAX);
    const int64_t numbers[] = {request->cpu_s,     request->memory, request->processes,
                               request->file_size, request->tasks,  request->tmp,
                               request->disk};
    const char *const *lists[LISTS];
    lists_of(request, lists);
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        add_number(&words, numbers[i]);
    for (size_t i = 0; i < LISTS; i++)
        add_number(&words, (int64_t)count_words(lists[i]));
    add_word(&words, request->directory);
    for (size_t i = 0; i < LISTS; i++)
        for (size_t j = 0; lists[i] && lists[i][j]; j++)
            add_word(&words, lists[i][j]);
    if (buf_is_full(&words))
        return false;
    hands_frame_write(out, HANDS_REQUEST, buf_span(&words));
    return !buf_is_full(out);
}

static size_t count_nuls(struct span bytes)
{
    size_t count = 0;
    for (size_t i = 0; i < bytes.len; i++)
        count += bytes.data[i] == '\0';
    return count;
}

// The counts of the lists, if there are as many words behind the directory.
static bool take_counts(const int64_t numbers[NUMBERS], struct span words)
{
    size_t count = 1;
    for (int i = NUMBERS - LISTS; i < NUMBERS; i++)
        count += (size_t)numbers[i];
    return numbers[ARGUMENTS] > 0 && words.len && words.data[words.len - 1] == '\0' &&
           count_nuls(words) == count;
}

int hands_request_read(struct span bytes, struct hands_request *ret_request)
{
    int64_t numbers[NUMBERS];
    for (int i = 0; i < NUMBERS; i++) {
        int64_t max = i < READS ? NUMBER_MAX : i < VARIABLES ? HANDS_PATHS_MAX : HANDS_LIST_MAX;
        if (!take_number(&bytes, max, &numbers[i]))
            return -EPROTO;
    }
    if (!take_counts(numbers, bytes))
        return -EPROTO;
    const char **words = mem_zalloc((count_nuls(bytes) + LISTS) * sizeof *words);
    const char **lists[LISTS];
    const char *directory = span_cut(&bytes, '\0').data;
    size_t at = 0;
    for (int i = 0; i < LISTS; i++) {
        lists[i] = words + at;
        for (int64_t j = 0; j < numbers[NUMBERS - LISTS + i]; j++)
            words[at++] = span_cut(&bytes, '\0').data;
        at++;
    }
    *ret_request = (struct hands_request){
        .directory = directory,
        .cpu_s = numbers[CPU_S],
        .memory = numbers[MEMORY],
        .processes = numbers[PROCESSES],
        .file_size = numbers[FILE_SIZE],
        .tasks = numbers[TASKS],
        .tmp = numbers[TMP],
        .disk = numbers[DISK],
        .read = lists[0],
        .write = lists[1],
        .environment = lists[2],
        .argv = lists[3],
        .words = words,
    };
    return 0;
}

void hands_request_finish(struct hands_request *request)
{
    free(request->words);
    *request = (struct hands_request){0};
}

// --- end

void hands_end_write(struct buf *out, const struct hands_end *end)
{
    BUF_AUTO words = BUF_INIT(HANDS_TALK_MAX);
    add_number(&words, WIFSIGNALED(end->status) ? 0 : WEXITSTATUS(end->status));
    add_number(&words, WIFSIGNALED(end->status) ? WTERMSIG(end->status) : 0);
    add_number(&words, -end->failure);
    add_word(&words, end->text);
    hands_frame_write(out, HANDS_END, buf_span(&words));
}

// Whoever reads the sentence may be shown it on a terminal.
static void take_text(struct span text, char to[ERROR_TEXT_MAX])
{
    size_t len = text.len < ERROR_TEXT_MAX ? text.len : ERROR_TEXT_MAX - 1;
    for (size_t i = 0; i < len; i++)
        to[i] = text.data[i] < ' ' || text.data[i] > '~' ? '?' : text.data[i];
    to[len] = '\0';
}

int hands_end_read(struct span bytes, struct hands_end *ret_end)
{
    int64_t status, number, failure;
    if (!take_number(&bytes, EXIT_MAX, &status) || !take_number(&bytes, NSIG - 1, &number) ||
        !take_number(&bytes, ERRNO_MAX, &failure) || !bytes.len)
        return -EPROTO;
    ret_end->status = number ? (int)number : (int)status << BYTE;
    ret_end->failure = -(int)failure;
    take_text(span_cut(&bytes, '\0'), ret_end->text);
    return 0;
}
