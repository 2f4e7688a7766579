#include "daemon/terminal.h"

#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/span.h"

enum { COLUMNS_UNKNOWN = 80 };

// One terminal a process, and its state must be put back on every way out.
static struct termios saved;
static bool is_changed;

static void send(struct span sequence)
{
    fd_write_all(STDOUT_FILENO, sequence.data, sequence.len);
}

bool terminal_begin(void)
{
    if (tcgetattr(STDIN_FILENO, &saved) < 0)
        return false;
    struct termios raw = saved;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ISIG | IEXTEN);
    raw.c_iflag &= ~(tcflag_t)(IXON | ICRNL | INLCR | ISTRIP);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    if (tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) < 0)
        return false;
    is_changed = true;
    send(SPAN_LITERAL("\033[?2004h")); // pasted text comes between marks
    return true;
}

void terminal_end(void)
{
    if (!is_changed)
        return;
    is_changed = false;
    send(SPAN_LITERAL("\033[?2004l"));
    tcsetattr(STDIN_FILENO, TCSADRAIN, &saved);
}

unsigned terminal_columns(void)
{
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
        return COLUMNS_UNKNOWN;
    return size.ws_col;
}
