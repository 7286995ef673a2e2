/* A lookaside list in C, links in the entries. Compiled by test_adapters.py. */
#include <stddef.h>
#include <stdint.h>

#ifndef LEAST_DEPTH
#define LEAST_DEPTH 4
#endif

struct entry { struct entry *next; };
struct list {
    struct entry *first;
    size_t size;
    uint32_t total_allocates, allocate_misses, total_frees, free_misses;
    uint32_t last_total_allocates, last_allocate_misses, depth, held, seconds;
    void *(*allocate)(size_t);
    void (*release)(void *);
};

struct list *list_create(size_t size, void *(*allocate)(size_t), void (*release)(void *))
{
    static const struct list empty;
    struct list *list = allocate(sizeof *list);
    if (!list)
        return NULL;
    *list = empty;
    list->size = size < sizeof(struct entry) ? sizeof(struct entry) : size;
    list->depth = LEAST_DEPTH;
    list->allocate = allocate;
    list->release = release;
    return list;
}

void *list_allocate(struct list *list)
{
    struct entry *entry = list->first;
    list->total_allocates++;
    if (entry) {
        list->first = entry->next;
        list->held--;
        return entry;
    }
    list->allocate_misses++;
#ifdef SHIFT /* an entry that begins inside of its block */
    return (char *)list->allocate(list->size) + SHIFT;
#endif
    return list->allocate(list->size);
}

void list_free(struct list *list, struct entry *entry)
{
    list->total_frees++;
    if (list->held >= list->depth) {
        list->free_misses++;
        list->release(entry);
        return;
    }
#ifdef OVERRUN
    ((char *)entry)[list->size] = 0;
#endif
#ifdef CLOBBER /* a byte in front of an entry */
    if (list->held == 2)
        ((char *)list->first)[-1] = 0;
#endif
    entry->next = list->first;
    list->first = entry;
    list->held++;
}

void list_flush(struct list *list)
{
    while (list->first) {
        struct entry *entry = list->first;
        list->first = entry->next;
        list->release(entry);
    }
    list->held = 0;
}

void list_delete(struct list *list)
{
    void (*release)(void *) = list->release;
    list_flush(list);
    release(list);
#ifdef DOUBLE_DELETE
    release(list);
#endif
}

static void scan(struct list *list)
{
    uint32_t allocates = list->total_allocates - list->last_total_allocates;
    uint32_t misses = list->allocate_misses - list->last_allocate_misses;
    uint32_t step, ratio;
    list->last_total_allocates = list->total_allocates;
    list->last_allocate_misses = list->allocate_misses;
    if (allocates < 75) {
        list->depth = list->depth < LEAST_DEPTH + 10 ? LEAST_DEPTH : list->depth - 10;
        return;
    }
    ratio = misses * 1000 / allocates;
    if (ratio < 5) {
        list->depth = list->depth > LEAST_DEPTH ? list->depth - 1 : LEAST_DEPTH;
        return;
    }
    step = ratio * (256 - list->depth) / 2000 + 5;
    list->depth += step < 30 ? step : 30;
    if (list->depth > 256)
        list->depth = 256;
}

void list_tick(struct list *list, unsigned seconds)
{
    while (seconds--)
        if (list->seconds++ % 3 == 0)
            scan(list);
}

void list_counters(struct list *list, uint32_t counters[6])
{
    counters[0] = list->total_allocates;
    counters[1] = list->allocate_misses;
    counters[2] = list->total_frees;
    counters[3] = list->free_misses;
    counters[4] = list->depth;
    counters[5] = list->held;
}
