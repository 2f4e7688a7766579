#include "config/findings.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

enum { FINDING_TEXT_MAX = 1024 }; // bytes of a sentence; a longer one is cut

void findings_finish(struct findings *findings)
{
    for (size_t i = 0; i < findings->count; i++) {
        free((char *)findings->array[i].where);
        free((char *)findings->array[i].text);
    }
    free(findings->array);
    *findings = (struct findings){0};
}

bool findings_full(const struct findings *findings)
{
    return findings->count == CONFIG_FINDINGS_MAX;
}

void findings_add(struct findings *findings, enum config_severity severity, struct place place,
                  const char *fmt, ...)
{
    findings->errors += severity == CONFIG_ERROR;
    if (findings_full(findings)) {
        findings->dropped++;
        return;
    }
    char text[FINDING_TEXT_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 127)
            *c = '?';

    findings->array =
        mem_grow(findings->array, findings->count, &findings->capacity, sizeof *findings->array);
    findings->array[findings->count++] = (struct config_finding){
        .severity = severity,
        .where = place.line && place.column
                     ? mem_printf("%s:%u:%u", place.where, place.line, place.column)
                 : place.line ? mem_printf("%s:%u", place.where, place.line)
                              : mem_strdup(place.where),
        .text = mem_strdup(text),
    };
}

int findings_to_error(const struct findings *findings, struct error *err)
{
    const struct config_finding *first = findings->array;
    while (first < findings->array + findings->count && first->severity != CONFIG_ERROR)
        first++;
    if (first == findings->array + findings->count)
        return error_set(err, -EINVAL, "the configuration has %zu error%s", findings->errors,
                         findings->errors == 1 ? "" : "s");
    error_set(err, -EINVAL, "%s", first->text);
    if (findings->errors > 1)
        error_set(err, -EINVAL, "%s (and %zu more; `hermes config check` lists them)", first->text,
                  findings->errors - 1);
    return first->where[0] ? error_wrap(err, "%s", first->where) : -EINVAL;
}
