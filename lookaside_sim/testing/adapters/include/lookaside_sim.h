/* What a C allocator exports to be checked by lookaside_sim.testing.
 *
 *     #include <lookaside_sim.h>
 *     LOOKASIDE_ALLOCATOR(mine_)
 *
 * declares the functions with their prefix; define them and build a shared library:
 *
 *     cc -shared -fPIC -g allocator.c -I FOLDER_OF_THIS_FILE -o allocator.so
 */
#ifndef LOOKASIDE_SIM_H
#define LOOKASIDE_SIM_H

#include <stddef.h>
#include <stdint.h>

/* Memory comes from here and from nowhere else: guarded, watched, and refused at times. */
typedef void *(*lookaside_allocate)(size_t size); /* 16-byte aligned; NULL: refused */
typedef void (*lookaside_release)(void *block);

/* The four that every allocator has. */
#define LOOKASIDE_ALLOCATOR(prefix)                                                      \
    void *prefix##create(size_t size, lookaside_allocate, lookaside_release); /* or NULL */ \
    void *prefix##allocate(void *self); /* an entry of that size, or NULL */             \
    void prefix##free(void *self, void *entry);                                          \
    void prefix##delete(void *self); /* gives back all that no caller holds */

/* For requests of any size instead: Contract.malloc(). */
#define LOOKASIDE_MALLOC(prefix)                                                         \
    void *prefix##create(size_t size, lookaside_allocate, lookaside_release);            \
    void *prefix##allocate(void *self, size_t size);                                     \
    void prefix##free(void *self, void *entry);                                          \
    void prefix##delete(void *self);

/* Also, for lookaside lists: level "lookaside". */
#define LOOKASIDE_LIST(prefix)                                                           \
    LOOKASIDE_ALLOCATOR(prefix)                                                          \
    void prefix##flush(void *self);                                                      \
    void prefix##tick(void *self, unsigned seconds);                                     \
    /* total_allocates, allocate_misses, total_frees, free_misses, depth, current_depth */ \
    void prefix##counters(void *self, uint32_t counters[6]);

#endif
