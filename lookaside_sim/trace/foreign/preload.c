/* Records a program's calls of malloc and free, a line each, in the form that malloc.py reads.
 *
 * Preloaded into the program; LOOKASIDE_RECORD names the file. Only the program itself is recorded: not
 * what it starts, nor what it forks. A mutex keeps lines whole and in one order. Nothing here
 * allocates, but dlsym may, before there is anybody to ask: that is served from a few static bytes.
 *
 * LOOKASIDE_FRAMES says how many callers make a call site, 0 for none. A site gets a number, and is named
 * once, by the module and the address in it of each caller. Who looks for the module takes the
 * loader's lock, and whoever has that may allocate: so the mutex is given back meanwhile.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#ifdef __GLIBC__
#include <execinfo.h>
#include <link.h>
#endif
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE 128
#define MOST_FRAMES 32
#define SKIPPED 8 /* frames of this file and of backtrace, at most */
#define SLOTS (1 << 17)
#define NAME 2048

struct site {
    uint64_t key; /* of all frames; never 0 */
    int count;
    void *frames[MOST_FRAMES];
};

static int frames;
static uint64_t sites[SLOTS]; /* keys, each at the first free slot from that which it asks for */
static int sites_used;
static char program[NAME];
static __thread int is_unwinding __attribute__((tls_model("initial-exec")));
/* Who called an operator new that is calling malloc. */
static __thread void *outer __attribute__((tls_model("initial-exec")));

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

/* Whose call it is: of whom returns to this address, and of who called that. */
static void find_site(struct site *site, void *caller)
{
    site->count = frames > 0;
    if (outer)
        caller = outer;
    outer = NULL;
    site->frames[0] = caller;
#ifdef __GLIBC__
    if (frames > 1 && !is_unwinding) {
        void *stack[MOST_FRAMES + SKIPPED];
        is_unwinding = 1;
        int found = backtrace(stack, frames + SKIPPED), at = 0;
        is_unwinding = 0;
        while (at < found && stack[at] != caller)
            at++;
        for (at++; at < found && site->count < frames; at++)
            site->frames[site->count++] = stack[at];
    }
#endif
    site->key = 0;
    for (int at = 0; at < site->count; at++) {
        site->key = (site->key ^ (uintptr_t)site->frames[at]) * 0x9E3779B97F4A7C15u;
        site->key ^= site->key >> 29;
    }
    if (!site->key)
        site->key = 1;
}

/* Where a key is, or may go. Called with the lock. */
static int slot_of(uint64_t key)
{
    int at = (int)(key % SLOTS);
    while (sites[at] && sites[at] != key)
        at = (at + 1) % SLOTS;
    return at;
}

/* Names a site: the modules of its frames and the addresses in them, the innermost first. */
static char *put_site(char *at, char *last, const struct site *site)
{
    for (int n = 0; n < site->count; n++) {
        uintptr_t address = (uintptr_t)site->frames[n];
        const char *module = NULL;
#ifdef __GLIBC__
        Dl_info info;
        struct link_map *map;
        /* A call may be the last instruction of its function. */
        if (dladdr1((char *)site->frames[n] - 1, &info, (void **)&map, RTLD_DL_LINKMAP)) {
            module = *map->l_name ? map->l_name : program;
            address -= map->l_addr;
        }
#endif
        if (at + (module ? strlen(module) : 0) + 32 > last)
            break;
        if (n)
            at = put_text(at, " < ");
        for (; module && *module; module++)
            *at++ = *module == '\n' ? '?' : *module;
        at = put_address(module ? put_text(at, "+") : at, (void *)address);
    }
    return at;
}

/* The number of a site, which is named if it is new; -1 for none. Called with the lock. */
static int number_of(const struct site *site)
{
    char name[NAME];
    if (!site->count)
        return -1;
    int slot = slot_of(site->key);
    if (sites[slot])
        return slot;
    if (sites_used >= SLOTS / 4 * 3)
        return -1;
    pthread_mutex_unlock(&lock);
    size_t length = (size_t)(put_site(name, name + sizeof name, site) - name);
    pthread_mutex_lock(&lock);
    slot = slot_of(site->key);
    if (!sites[slot] && file >= 0) {
        sites[slot] = site->key;
        sites_used++;
        if (used + length + LINE > sizeof buffer)
            flush();
        char *at = put_text(put_number(put_text(buffer + used, "@ "), (uint64_t)slot, 10, 1), " = ");
        memcpy(at, name, length);
        end(at + length);
    }
    return slot;
}

/* Ends a line of what was allocated. Called with the lock. */
static void end_with(char *at, void *block, int number)
{
    at = put_address(put_text(at, ") = "), block);
    if (number >= 0)
        at = put_number(put_text(at, " @ "), (uint64_t)number, 10, 1);
    end(at);
}

static void tell_allocation(size_t size, void *block, void *caller)
{
    if (!block)
        outer = NULL; /* the operator new that asked will not come back */
    if (file >= 0 && block) {
        struct site site;
        find_site(&site, caller);
        pthread_mutex_lock(&lock);
        int number = number_of(&site);
        end_with(put_number(begin("malloc"), size, 10, 1), block, number);
        pthread_mutex_unlock(&lock);
    }
}

void *malloc(size_t size)
{
    find_next();
    if (!next_malloc)
        return early_block(size);
    void *block = next_malloc(size);
    tell_allocation(size, block, __builtin_return_address(0));
    return block;
}

void *calloc(size_t count, size_t size)
{
    find_next();
    if (!next_calloc)
        return size && count > SIZE_MAX / size ? NULL : early_block(count * size);
    void *block = next_calloc(count, size);
    tell_allocation(count * size, block, __builtin_return_address(0));
    return block;
}

void *memalign(size_t alignment, size_t size)
{
    find_next();
    void *block = next_memalign(alignment, size);
    tell_allocation(size, block, __builtin_return_address(0));
    return block;
}

void *aligned_alloc(size_t alignment, size_t size)
{
    find_next();
    void *block = next_aligned_alloc(alignment, size);
    tell_allocation(size, block, __builtin_return_address(0));
    return block;
}

int posix_memalign(void **block, size_t alignment, size_t size)
{
    find_next();
    int error = next_posix_memalign(block, alignment, size);
    if (!error)
        tell_allocation(size, *block, __builtin_return_address(0));
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
    struct site site;
    find_site(&site, __builtin_return_address(0));
    /* Under the lock: the old address may be another thread's as soon as it is free. */
    pthread_mutex_lock(&lock);
    int number = number_of(&site);
    void *block = next_realloc(old, size);
    if (block || (old && !size)) {
        char *at = put_text(put_address(begin("realloc"), old), ", ");
        end_with(put_number(at, size, 10, 1), block, number);
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

/* The operators new of C++ call malloc: their callers are whose call it is. Of a program without C++ nobody
 * calls these, and there is nothing to call. */
#define OPERATOR(name, parameters, arguments)                     \
    void *name parameters                                         \
    {                                                             \
        static void *(*next) parameters;                          \
        if (!next)                                                \
            next = (void *(*) parameters)dlsym(RTLD_NEXT, #name); \
        if (!outer) /* one may call another */                    \
            outer = __builtin_return_address(0);                  \
        void *block = next arguments;                             \
        outer = NULL; /* another allocator may have been asked */ \
        return block;                                             \
    }
#if SIZE_MAX > 0xFFFFFFFF
OPERATOR(_Znwm, (size_t size), (size))
OPERATOR(_Znam, (size_t size), (size))
OPERATOR(_ZnwmRKSt9nothrow_t, (size_t size, const void *tag), (size, tag))
OPERATOR(_ZnamRKSt9nothrow_t, (size_t size, const void *tag), (size, tag))
#else
OPERATOR(_Znwj, (size_t size), (size))
OPERATOR(_Znaj, (size_t size), (size))
OPERATOR(_ZnwjRKSt9nothrow_t, (size_t size, const void *tag), (size, tag))
OPERATOR(_ZnajRKSt9nothrow_t, (size_t size, const void *tag), (size, tag))
#endif

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
    const char *wanted = getenv("LOOKASIDE_FRAMES");
    frames = wanted ? atoi(wanted) : 0;
    if (frames > MOST_FRAMES)
        frames = MOST_FRAMES;
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    program[length > 0 ? length : 0] = 0;
#ifdef __GLIBC__
    void *stack[1];
    backtrace(stack, 1); /* it loads what it needs at its first call */
#endif
    int opened = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    unsetenv("LOOKASIDE_RECORD");
    unsetenv("LOOKASIDE_FRAMES");
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
