"""The C source around an allocator's file: what its own malloc and free become, what is exported."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

__all__ = ["OPTIONAL", "REDIRECTED", "STRESS", "glue", "own_name"]

REDIRECTED: Final = (
    "malloc",
    "calloc",
    "realloc",
    "reallocarray",
    "free",
    "aligned_alloc",
    "memalign",
    "posix_memalign",
    "strdup",
    "strndup",
)
"""The functions of C whose memory comes from the backend instead."""

# Sizes and blocks are kept apart from the memory itself, so that guards lie right beside it.
_MEMORY: Final = """\
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <lookaside_sim.h>

static lookaside_allocate lookaside_from;
static lookaside_release lookaside_to;

struct lookaside_block { struct lookaside_block *next; void *given, *block; size_t size; };
static struct lookaside_block *lookaside_blocks[512];

static struct lookaside_block **lookaside_find(void *given)
{
    struct lookaside_block **at = &lookaside_blocks[((uintptr_t)given >> 4) % 512];
    while (*at && (*at)->given != given)
        at = &(*at)->next;
    return at;
}
static void lookaside_forget_all(void)
{
    for (size_t i = 0; i < 512; i++)
        while (lookaside_blocks[i]) {
            struct lookaside_block *gone = lookaside_blocks[i];
            lookaside_blocks[i] = gone->next;
            free(gone);
        }
}
static void *lookaside_aligned_alloc(size_t alignment, size_t size)
{
    size_t more = alignment > 16 ? alignment - 16 : 0; /* the backend's are aligned to 16 */
    struct lookaside_block *made = malloc(sizeof *made), **first;
    size = size ? size : 1;
    if (!made || size + more < size || !(made->block = lookaside_from(size + more))) {
        free(made);
        return NULL;
    }
    made->given = (char *)made->block + (more ? -(uintptr_t)made->block % alignment : 0);
    made->size = size;
    first = &lookaside_blocks[((uintptr_t)made->given >> 4) % 512];
    made->next = *first;
    return (*first = made)->given;
}
static void *lookaside_memalign(size_t alignment, size_t size)
{
    return lookaside_aligned_alloc(alignment, size);
}
static int lookaside_posix_memalign(void **out, size_t alignment, size_t size)
{
    void *given = lookaside_aligned_alloc(alignment, size);
    if (!given)
        return ENOMEM;
    *out = given;
    return 0;
}
static void *lookaside_malloc(size_t size) { return lookaside_aligned_alloc(1, size); }
static void lookaside_free(void *given)
{
    struct lookaside_block **at = lookaside_find(given), *gone = *at;
    if (!given)
        return;
    if (!gone) {
        lookaside_to(given); /* which complains */
        return;
    }
    *at = gone->next;
    lookaside_to(gone->block);
    free(gone);
}
static void *lookaside_calloc(size_t count, size_t size)
{
    void *given = size && count > SIZE_MAX / size ? NULL : lookaside_malloc(count * size);
    return given ? memset(given, 0, count * size) : NULL;
}
static void *lookaside_realloc(void *given, size_t size)
{
    struct lookaside_block *old = *lookaside_find(given);
    void *moved;
    if (!given)
        return lookaside_malloc(size);
    if (!old || !size) {
        lookaside_free(given);
        return NULL;
    }
    moved = lookaside_malloc(size);
    if (moved) {
        memcpy(moved, given, old->size < size ? old->size : size);
        lookaside_free(given);
    }
    return moved;
}
static void *lookaside_reallocarray(void *given, size_t count, size_t size)
{
    return size && count > SIZE_MAX / size ? NULL : lookaside_realloc(given, count * size);
}
static char *lookaside_strndup(const char *text, size_t most)
{
    size_t length = strnlen(text, most);
    char *given = lookaside_malloc(length + 1);
    if (given)
        memcpy(given, text, length), given[length] = 0;
    return given;
}
static char *lookaside_strdup(const char *text) { return lookaside_strndup(text, SIZE_MAX); }
"""
_EXPORTED: Final = """
#line 1 "%(path)s"
#include "%(path)s"
#line 1 "the glue"

void *check_create(size_t size, lookaside_allocate allocate, lookaside_release release)
{
    static char nothing;
    (void)size, (void)nothing;
    lookaside_forget_all();
    lookaside_from = allocate;
    lookaside_to = release;
    %(create)s
}
void *check_allocate(void *self%(size)s) { (void)self; return %(allocate)s; }
void check_free(void *self, void *entry) { (void)self; %(free)s; }
void check_delete(void *self) { (void)self; %(delete)s }
%(optional)s"""
OPTIONAL: Final = {
    "reallocate": "void *check_reallocate(void *self, void *entry, size_t size)"
    " { (void)self; return %s; }\n",
    "flush": "void check_flush(void *self) { (void)self; %s; }\n",
    "tick": "void check_tick(void *self, unsigned seconds) { (void)self; %s; }\n",
    "counters": "void check_counters(void *self, uint32_t *counters) { (void)self; %s; }\n",
}
"""What is exported where the file has it, with the call of that."""
STRESS: Final = """
#include <pthread.h>
#include <stdatomic.h>

#define HELD 64

static void *stress_self;
static const size_t stress_size = %(bytes)d;
static atomic_int stress_waiting;

static void stress_free(unsigned char *entry, unsigned char mark)
{
    for (size_t i = 0; i < stress_size; i++)
        if (entry[i] != mark) {
            fputs("STRESS: an entry was changed while a thread held it\\n", stderr);
            _Exit(3);
        }
    check_free(stress_self, entry);
}

/* A: allocate; F: free the newest entry of this thread, O: its oldest. */
static void *stress_thread(void *argument)
{
    const char *script = argument;
    unsigned char mark = (unsigned char)script[0], *held[HELD];
    size_t first = 0, count = 0;
    atomic_fetch_sub(&stress_waiting, 1);
    while (atomic_load(&stress_waiting) > 0)
        ;
    for (const char *step = script + 1; *step; step++) {
        if (*step == 'A' && count < HELD) {
            unsigned char *entry = check_allocate(stress_self%(request)s);
            if (entry) {
                memset(entry, mark, stress_size);
                held[(first + count++) %% HELD] = entry;
            }
        } else if (*step == 'F' && count) {
            stress_free(held[(first + --count) %% HELD], mark);
        } else if (*step == 'O' && count) {
            count--;
            stress_free(held[first++ %% HELD], mark);
        }
    }
    while (count)
        stress_free(held[(first + --count) %% HELD], mark);
    return NULL;
}

int main(int count, char **scripts)
{
    pthread_t threads[64];
    stress_self = check_create(stress_size, NULL, NULL);
    if (!stress_self)
        return 2;
    stress_waiting = count - 1;
    for (int i = 1; i < count; i++)
        pthread_create(&threads[i], NULL, stress_thread, scripts[i]);
    for (int i = 1; i < count; i++)
        pthread_join(threads[i], NULL);
    check_delete(stress_self);
    return 0;
}
"""
"""What makes a program of the glue: each argument is a thread, its mark and its calls."""


def own_name(name: str, own: Iterable[str]) -> str:
    """What the glue calls a function of the file.

    Args:
        name: as the file has it.
        own: functions of `REDIRECTED` that the file defines itself, as a malloc replacement does.
    """
    return f"own_{name}" if name in own else name


def glue(values: dict[str, str], own: Iterable[str], *, redirect: bool = True) -> str:
    """Write the source that includes an allocator's file.

    Args:
        values: path of the file and the text of its calls.
        own: functions of `REDIRECTED` that the file defines itself.
        redirect: whether the others get the backend's memory. Without it they stay as they are,
            which is the way for many threads: what redirects them is for one.
    """
    names = {name: f"own_{name}" for name in own}
    if redirect:
        names = {name: f"lookaside_{name}" for name in REDIRECTED} | names
    defines = "".join(f"#undef {old}\n#define {old} {new}\n" for old, new in names.items())
    return _MEMORY + defines + _EXPORTED % values
