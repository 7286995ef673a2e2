/* A pool in C: slabs of entries with links in them. -D of a name puts a mistake in. */
#include <lookaside_sim.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COUNT 8

struct entry { struct entry *next; };
struct slab { struct slab *next; uint64_t magic; };
struct pool {
    struct entry *first;
    struct slab *slabs;
    size_t size, live, frees, hits;
    lookaside_allocate allocate;
    lookaside_release release;
};

#ifdef ALIGN_8
#define HEADER sizeof(struct slab *)
#else
#define HEADER sizeof(struct slab)
#endif

LOOKASIDE_ALLOCATOR(pool_)

void *pool_create(size_t size, lookaside_allocate allocate, lookaside_release release)
{
    struct pool *pool = allocate(sizeof *pool);
#ifdef CREATE_UNCHECKED
    memset(pool, 0, sizeof *pool);
#endif
    if (!pool)
        return NULL;
    memset(pool, 0, sizeof *pool);
    pool->size = (size + 15) & ~(size_t)15;
    pool->allocate = allocate;
    pool->release = release;
#ifdef CREATE_LEAKS
    void *table = allocate(64), *second = allocate(64);
    if (!table || !second) {
        release(pool);
        return NULL;
    }
    release(table);
    release(second);
#endif
#ifdef SIZE_ONE_SHORT
    pool->size = size > 16 ? size - 1 : 16;
#endif
    return pool;
}

static int more(struct pool *pool)
{
#ifdef SLAB_ONE_SHORT
    struct slab *slab = pool->allocate(sizeof *slab + pool->size * COUNT - 1);
#else
    struct slab *slab = pool->allocate(sizeof *slab + pool->size * COUNT);
#endif
#ifdef SLAB_UNCHECKED
    slab->next = pool->slabs;
#endif
    if (!slab)
        return 0;
    slab->next = pool->slabs;
    pool->slabs = slab;
#ifdef COUNT_ONE_MORE
    for (int i = COUNT; i >= 0; i--) {
#else
    for (int i = COUNT - 1; i >= 0; i--) {
#endif
        struct entry *entry = (void *)((char *)slab + HEADER + i * pool->size);
        entry->next = pool->first;
        pool->first = entry;
    }
    return 1;
}

void *pool_allocate(void *self)
{
    struct pool *pool = self;
#ifdef ABORT_AT_20
    if (pool->live == 20)
        abort();
#endif
#ifdef EXIT_AT_5
    if (pool->live == 5)
        _exit(0);
#endif
#ifdef HANG_WITHOUT_MEMORY
    if (!pool->first && !more(pool))
        for (;;)
            ;
#else
    if (!pool->first && !more(pool))
        return NULL;
#endif
    struct entry *entry = pool->first;
    pool->first = entry->next;
    pool->live++;
#ifdef DEAD_LOCK
    if (pool->live == 9)
        pause();
#endif
#ifdef HANDED_OUT_TWICE
    if (pool->live % 7 == 0)
        pool->first = entry;
#endif
#ifdef CLEARS_TOO_MUCH
    memset(entry, 0, pool->size + 1);
#endif
#ifdef CLEARS_NEIGHBOR
    if (pool->live == 3)
        ((char *)entry)[-1] = 0;
#endif
    return entry;
}

void pool_free(void *self, void *freed)
{
    struct pool *pool = self;
    struct entry *entry = freed;
    pool->live--;
    pool->frees++;
#ifdef NULL_AT_LAST
    if (!pool->live && pool->frees > 2)
        *(volatile int *)0 = 1;
#endif
#ifdef FORGETS_SOME
    if (pool->frees % 6 == 0)
        return;
#endif
#ifdef LOSES_SLAB_WHEN_EMPTY
    if (!pool->live) {
        pool->first = NULL;
        return;
    }
#endif
#ifdef RELEASES_LIVE_SLAB
    if (pool->frees % 8 == 0 && pool->slabs) {
        struct slab *slab = pool->slabs;
        pool->slabs = slab->next;
        pool->release(slab);
    }
#endif
#ifdef LINKS_ARE_SHORT
    memcpy(entry, &pool->first, 4);
#else
    entry->next = pool->first;
#endif
    pool->first = entry;
#ifdef LOOPS_TO_ITSELF
    if (pool->frees % 4 == 0)
        entry->next = entry;
#endif
}

void pool_delete(void *self)
{
    struct pool *pool = self;
    struct slab *slab = pool->slabs;
    while (slab) {
#ifdef READS_AFTER_RELEASE
        pool->release(slab);
        slab = slab->next;
#else
        struct slab *next = slab->next;
        pool->release(slab);
#ifdef WRITES_AFTER_RELEASE
        slab->magic = 0;
#endif
#ifdef KEEPS_ONE_SLAB
        if (next && !next->next)
            break;
#endif
        slab = next;
#endif
    }
#ifdef DELETE_TWICE
    pool->release(pool);
#endif
#ifdef POOL_USED_AFTER_RELEASE
    pool->release(pool);
    pool->live = 0;
#else
    pool->release(pool);
#endif
}
