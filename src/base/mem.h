#pragma once

#include <stddef.h>

/*
 * The out-of-memory policy: small allocations whose size this program chooses abort the process
 * when they fail (the daemon's state survives that, design of the store), so no caller checks them.
 * Whatever is sized by the outside goes through a struct buf with a hard maximum instead.
 */

void *mem_alloc(size_t size) __attribute__((returns_nonnull, malloc));
void *mem_zalloc(size_t size) __attribute__((returns_nonnull, malloc));
void *mem_realloc(void *old, size_t size) __attribute__((returns_nonnull));
char *mem_strdup(const char *text) __attribute__((returns_nonnull));
char *mem_strndup(const char *text, size_t len) __attribute__((returns_nonnull));
char *mem_printf(const char *fmt, ...) __attribute__((returns_nonnull, format(printf, 1, 2)));

#define mem_new(type) ((type *)mem_zalloc(sizeof(type)))

// Grows `array` so that it can hold one more element after `count`; *capacity is in elements.
void *mem_grow(void *array, size_t count, size_t *capacity, size_t element_size);

// Declares that a local is released at the end of its scope: CLEANUP(mem_cleanup) char *name = ...
#define CLEANUP(function) __attribute__((cleanup(function)))
void mem_cleanup(void *pointer_to_pointer);

// Hands the value of *pointer over to the caller and leaves NULL behind.
#define STEAL(pointer)                           \
    ({                                           \
        __typeof__(pointer) stolen_ = (pointer); \
        (pointer) = NULL;                        \
        stolen_;                                 \
    })

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

// The object that `pointer` is the member `member` of.
#define CONTAINER_OF(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))
