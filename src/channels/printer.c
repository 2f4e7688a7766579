#include "channels/printer.h"

#include <stdio.h>
#include <unistd.h>

#include "base/colour.h"
#include "codec/utf8.h"

enum { SHOWN_MAX = 120 }; // bytes of arguments or of an error on a tool's line

const char printer_red[] = "\033[31m";
const char printer_yellow[] = "\033[33m";
const char printer_dim[] = "\033[2m";

void printer_init(struct printer *printer)
{
    *printer = (struct printer){
        .out_is_terminal = isatty(STDOUT_FILENO),
        .err_is_terminal = isatty(STDERR_FILENO),
    };
    printer->colours = colour_wanted(STDERR_FILENO);
}

static void print_harmless(FILE *file, struct span text)
{
    while (text.len) {
        uint32_t rune = 0;
        char bytes[UTF8_BYTES_MAX];
        text = span_skip(text, utf8_decode(text, &rune));
        if (rune != '\n' && rune != '\t' && rune_is_unsafe(rune))
            rune = UTF8_INVALID;
        fwrite(bytes, 1, utf8_encode(rune, bytes), file);
    }
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
    if (line.len > SHOWN_MAX) {
        line.len = SHOWN_MAX;
        line.len -= utf8_incomplete_tail(line);
    }
    return line;
}

static void print_tool(struct printer *printer, const char *colour, const char *name,
                       const char *between, struct span shown, const char *end)
{
    printer_end_line(printer);
    fprintf(stderr, "%s· ", printer->colours ? colour : "");
    print_harmless(stderr, span_of(name));
    fputs(between, stderr);
    print_harmless(stderr, shown);
    fprintf(stderr, "%s%s\n", end, printer->colours ? "\033[0m" : "");
}

void printer_call(struct printer *printer, const char *name, const char *arguments)
{
    if (!printer->err_is_terminal)
        return;
    struct span all = span_of(arguments);
    struct span shown = one_line(all);
    print_tool(printer, printer_dim, name, " ", shown, shown.len < all.len ? "…" : "");
}

void printer_result(struct printer *printer, const char *name, bool failed, struct span text)
{
    if (printer->err_is_terminal && failed)
        print_tool(printer, printer_yellow, name, " refused: ", one_line(text), "");
}
