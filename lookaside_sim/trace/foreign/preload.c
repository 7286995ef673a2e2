/* Records a program's calls of malloc and free, a line each, in the form that malloc.py reads.
 *
 * Preloaded into the program; LOOKASIDE_RECORD names the file. Only the program itself is recorded: not
 * what it starts, nor what it forks. A mutex keeps lines whole and in one order. Nothing here
 * allocates, but dlsym may, before there is anybody to ask: that is served from a few static bytes.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE 128
static char buffer[1 << 16];
static size_t used;
static int file = -1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char early[1 << 14];
static size_t early_used;

static void *(*next_malloc)(size_t);
static void *(*next_calloc)(size_t, size_t);
static void *(*next_realloc)(void *, size_t);
static void (*next_free)(void *);
static void *(*next_memalign)(size_t, size_t);
static int (*next_posix_memalign)(void **, size_t, size_t);
static void *(*next_aligned_alloc)(size_t, size_t);

static void find_next(void)
{
    static int finding;
    if (next_free || finding)
        return;
    finding = 1;
    next_malloc = dlsym(RTLD_NEXT, "malloc");
    next_calloc = dlsym(RTLD_NEXT, "calloc");
    next_realloc = dlsym(RTLD_NEXT, "realloc");
    next_memalign = dlsym(RTLD_NEXT, "memalign");
    next_posix_memalign = dlsym(RTLD_NEXT, "posix_memalign");
    next_aligned_alloc = dlsym(RTLD_NEXT, "aligned_alloc");
    next_free = dlsym(RTLD_NEXT, "free");
    finding = 0;
}

static int is_early(void *block)
{
    return (char *)block >= early && (char *)block < early + sizeof early;
}

static void *early_block(size_t size)
{
    size_t rounded = (size + 15) & ~(size_t)15;
    void *block = early + early_used;
    if (rounded < size || early_used + rounded > sizeof early)
        return NULL;
    early_used += rounded;
    return block;
}

static void flush(void)
{
    size_t done = 0;
    while (done < used) {
        ssize_t written = write(file, buffer + done, used - done);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0) {
            file = -1; /* a full disk ends the recording, not the program */
            break;
        }
        done += (size_t)written;
    }
    used = 0;
}

static char *put_text(char *at, const char *text)
{
    while (*text)
        *at++ = *text++;
    return at;
}

static char *put_number(char *at, uint64_t value, unsigned base, unsigned width)
{
    char digits[24];
    unsigned count = 0;
    do {
        digits[count++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value || count < width);
    while (count)
        *at++ = digits[--count];
    return at;
}

static char *put_address(char *at, void *address)
{
    return put_number(put_text(at, "0x"), (uintptr_t)address, 16, 1);
}

/* Begins a line; the caller ends it. Called with the lock. */
static char *begin(const char *name)
{
    struct timespec now;
    char *at;
    if (used + LINE > sizeof buffer)
        flush();
    clock_gettime(CLOCK_MONOTONIC, &now);
    at = put_number(buffer + used, (uint64_t)now.tv_sec, 10, 1);
    *at++ = '.';
    at = put_number(at, (uint64_t)now.tv_nsec / 1000, 10, 6);
    *at++ = ' ';
    return put_text(put_text(at, name), "(");
}

static void end(char *at)
{
    *at++ = '\n';
    used = (size_t)(at - buffer);
}

static void tell_allocation(size_t size, void *block)
{
    if (file >= 0 && block) {
        pthread_mutex_lock(&lock);
        char *at = put_number(begin("malloc"), size, 10, 1);
        end(put_address(put_text(at, ") = "), block));
        pthread_mutex_unlock(&lock);
    }
}

void *malloc(size_t size)
{
    find_next();
    if (!next_malloc)
        return early_block(size);
    void *block = next_malloc(size);
    tell_allocation(size, block);
    return block;
}

void *calloc(size_t count, size_t size)
{
    find_next();
    if (!next_calloc)
        return size && count > SIZE_MAX / size ? NULL : early_block(count * size);
    void *block = next_calloc(count, size);
    tell_allocation(count * size, block);
    return block;
}

void *memalign(size_t alignment, size_t size)
{
    find_next();
    void *block = next_memalign(alignment, size);
    tell_allocation(size, block);
    return block;
}

void *aligned_alloc(size_t alignment, size_t size)
{
    find_next();
    void *block = next_aligned_alloc(alignment, size);
    tell_allocation(size, block);
    return block;
}

int posix_memalign(void **block, size_t alignment, size_t size)
{
    find_next();
    int error = next_posix_memalign(block, alignment, size);
    if (!error)
        tell_allocation(size, *block);
    return error;
}

void *realloc(void *old, size_t size)
{
    find_next();
    if (is_early(old)) {
        void *block = malloc(size);
        size_t left = (size_t)(early + sizeof early - (char *)old);
        if (block)
            memcpy(block, old, size < left ? size : left);
        return block;
    }
    if (file < 0)
        return next_realloc(old, size);
    /* Under the lock: the old address may be another thread's as soon as it is free. */
    pthread_mutex_lock(&lock);
    void *block = next_realloc(old, size);
    if (block || (old && !size)) {
        char *at = put_text(put_address(begin("realloc"), old), ", ");
        at = put_text(put_number(at, size, 10, 1), ") = ");
        end(put_address(at, block));
    }
    pthread_mutex_unlock(&lock);
    return block;
}

void free(void *block)
{
    find_next();
    if (!block || is_early(block))
        return;
    if (file >= 0) {
        pthread_mutex_lock(&lock);
        end(put_text(put_address(begin("free"), block), ")"));
        pthread_mutex_unlock(&lock);
    }
    next_free(block);
}

static void before_fork(void)
{
    pthread_mutex_lock(&lock);
}

static void in_parent(void)
{
    pthread_mutex_unlock(&lock);
}

static void in_child(void)
{
    file = -1;
    used = 0;
    pthread_mutex_unlock(&lock);
}

__attribute__((constructor)) static void start(void)
{
    const char *path = getenv("LOOKASIDE_RECORD");
    find_next();
    if (!path)
        return;
    pthread_atfork(before_fork, in_parent, in_child);
    int opened = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    unsetenv("LOOKASIDE_RECORD");
    unsetenv("LD_PRELOAD");
    file = opened;
}

__attribute__((destructor)) static void finish(void)
{
    if (file >= 0) {
        pthread_mutex_lock(&lock);
        flush();
        file = -1;
        pthread_mutex_unlock(&lock);
    }
}
