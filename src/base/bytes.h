#pragma once

#include <stddef.h>

/*
 * memchr(), memcmp() and strlen() as C has them. musl's go byte by byte, or by words with much ado,
 * and were an eighth of a proxied request's instructions; in a static binary these take their
 * place, for the libraries too. Bytes behind the end are loaded, but never of another 16.
 */
void *bytes_find(const void *bytes, int wanted, size_t len);
int bytes_compare(const void *left, const void *right, size_t len);
size_t bytes_length(const char *text);
