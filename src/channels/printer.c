#include "channels/printer.h"

#include <stdio.h>
#include <unistd.h>

#include "base/colour.h"

enum { SHOWN_MAX = 120 }; // bytes of arguments or of an error on a tool's line

const char printer_red[] = "\033[31m";
const char printer_yellow[] = "\033[33m";
const char printer_dim[] = "\033[2m";
const char printer_plain[] = "";

void printer_init(struct printer *printer)
{
    *printer = (struct printer){
        .out_is_terminal = isatty(STDOUT_FILENO),
        .err_is_terminal = isatty(STDERR_FILENO),
    };
    printer->colours = colour_wanted(STDERR_FILENO);
}

static bool is_harmless(unsigned char c)
{
    return (c >= 0x20 && c != 0x7f) || c == '\n' || c == '\t';
}

// C1 controls (U+0080..9F) are commands to some terminals as well; in UTF-8 they begin with C2.
static bool is_c1(struct span text, size_t at)
{
    return (unsigned char)text.data[at] == 0xc2 && at + 1 < text.len &&
           (unsigned char)text.data[at + 1] < 0xa0;
}

static void print_harmless(FILE *file, struct span text)
{
    size_t from = 0;
    for (size_t i = 0; i < text.len; i++) {
        bool c1 = is_c1(text, i);
        if (is_harmless((unsigned char)text.data[i]) && !c1)
            continue;
        fwrite(text.data + from, 1, i - from, file);
        fputs("\xef\xbf\xbd", file);
        i += c1;
        from = i + 1;
    }
    if (from < text.len)
        fwrite(text.data + from, 1, text.len - from, file);
}

void printer_text(struct printer *printer, struct span text)
{
    if (text.len == 0)
        return;
    if (printer->out_is_terminal)
        print_harmless(stdout, text);
    else
        fwrite(text.data, 1, text.len, stdout);
    printer->line_open = text.data[text.len - 1] != '\n';
    fflush(stdout);
}

void printer_end_line(struct printer *printer)
{
    if (printer->line_open)
        fputc('\n', stdout);
    printer->line_open = false;
    fflush(stdout);
}

void printer_say(struct printer *printer, const char *colour, const char *text)
{
    const char *on = printer->colours ? colour : "";
    printer_end_line(printer);
    fprintf(stderr, "%shermes: ", on);
    print_harmless(stderr, span_of(text));
    fprintf(stderr, "%s\n", *on ? "\033[0m" : "");
}

static struct span one_line(struct span text)
{
    struct span rest = text;
    struct span line = span_cut(&rest, '\n');
    if (line.len > SHOWN_MAX)
        line.len = SHOWN_MAX;
    while (line.len && line.len == SHOWN_MAX && (line.data[line.len - 1] & 0xc0) == 0x80)
        line.len--; // not in the middle of a character
    return line;
}

void printer_call(struct printer *printer, const char *name, const char *arguments)
{
    if (!printer->err_is_terminal)
        return;
    struct span all = span_of(arguments);
    struct span shown = one_line(all);
    printer_end_line(printer);
    fprintf(stderr, "%s· ", printer->colours ? printer_dim : "");
    print_harmless(stderr, span_of(name));
    fputc(' ', stderr);
    print_harmless(stderr, shown);
    fprintf(stderr, "%s%s\n", shown.len < all.len ? "…" : "", printer->colours ? "\033[0m" : "");
}

void printer_result(struct printer *printer, const char *name, bool failed, struct span text)
{
    if (!printer->err_is_terminal || !failed)
        return;
    printer_end_line(printer);
    fprintf(stderr, "%s· ", printer->colours ? printer_yellow : "");
    print_harmless(stderr, span_of(name));
    fputs(" refused: ", stderr);
    print_harmless(stderr, one_line(text));
    fprintf(stderr, "%s\n", printer->colours ? "\033[0m" : "");
}
