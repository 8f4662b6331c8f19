/* Works without end in one pool, and says when as many threads are at work as a new width says: `WIDTH NANOSECONDS`. With an
 * argument it only says how many nanoseconds a look at the allocation takes. */
#include "dockercomp.h"

#include <stdio.h>

#define LOOKS 20000

static dc_pool *pool;
static int working, told;

static long long now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

/* A piece of about 1 ms. */
static void work(void *data, size_t from, size_t to) {
    long long until = now_ns() + 1000000;
    int width, before;
    (void)data;
    (void)from;
    (void)to;
    __atomic_add_fetch(&working, 1, __ATOMIC_SEQ_CST);
    do {
        width = dc_pool_width(pool);
        before = __atomic_load_n(&told, __ATOMIC_SEQ_CST);
        if (width != before && __atomic_load_n(&working, __ATOMIC_SEQ_CST) == width &&
            __atomic_compare_exchange_n(&told, &before, width, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
            fprintf(stderr, "%d %lld\n", width, now_ns());
        }
    } while (now_ns() < until);
    __atomic_sub_fetch(&working, 1, __ATOMIC_SEQ_CST);
}

int main(int argc, char **argv) {
    (void)argv;
    if (argc > 1) {
        dc_allocation now;
        long long begun = now_ns();
        for (int n = 0; n < LOOKS; n++) dc_allocation_read(&now);
        printf("%lld\n", (now_ns() - begun) / LOOKS);
        return 0;
    }
    if (!(pool = dc_pool_new(1))) return 1;
    return dc_pool_for(pool, (size_t)1 << 40, 1, work, NULL);
}
