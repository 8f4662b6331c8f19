/* Sums in one pool whose width changes while it works: follow WIDTH…
 *
 * At each milestone it says `at N` on standard error and goes on once the pool has the next WIDTH and so many threads are
 * at work. Prints the sum, whose last bits depend on the order of additions. Exit code 3: more threads than the width.
 */
#include "dockercomp.h"

#include <stdio.h>

#define PIECES 600
#define GRAIN 500

static dc_pool *pool;
static int wanted[16], milestones, working, gate, most, too_many;

static int get(int *shared) { return __atomic_load_n(shared, __ATOMIC_SEQ_CST); }
static void set(int *shared, int value) { __atomic_store_n(shared, value, __ATOMIC_SEQ_CST); }

static void rest(void) {
    struct timespec moment = {0, 500000};
    nanosleep(&moment, NULL);
}

static void reach(int number) {
    set(&most, 0);
    set(&gate, wanted[number]);
    fprintf(stderr, "at %d\n", number);
    while (dc_pool_width(pool) != wanted[number] || get(&working) != wanted[number]) rest();
    set(&most, wanted[number]);
    set(&gate, 0);
}

/* At a milestone all stay until the width is the next one, and then as many as may. */
static void stay(void) {
    int width;
    while ((width = get(&gate)) && (dc_pool_width(pool) != width || get(&working) <= width)) rest();
}

static void sum(void *data, size_t from, size_t to, void *value) {
    double *total = (double *)value;
    int beside = __atomic_add_fetch(&working, 1, __ATOMIC_SEQ_CST), allowed = get(&most);
    (void)data;
    if (allowed && beside > allowed) set(&too_many, 1);
    for (size_t n = from; n < to; n++) *total += 1.0 / ((double)n + 1.5);
    for (int n = 0; n < milestones; n++) {
        if (from / GRAIN == (size_t)((n + 1) * PIECES / (milestones + 1))) reach(n);
    }
    stay();
    __atomic_sub_fetch(&working, 1, __ATOMIC_SEQ_CST);
}

static void add(void *data, void *into, const void *value) {
    (void)data;
    *(double *)into += *(const double *)value;
}

int main(int argc, char **argv) {
    double total = 0;
    for (; milestones < argc - 1 && milestones < 16; milestones++) wanted[milestones] = atoi(argv[milestones + 1]);
    if (!(pool = dc_pool_new(1))) return 1;
    if (dc_pool_reduce(pool, (size_t)PIECES * GRAIN, GRAIN, sizeof total, sum, add, &total, NULL)) return 1;
    dc_pool_free(pool);
    printf("%.17g\n", total);
    return too_many ? 3 : 0;
}
