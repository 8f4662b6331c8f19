/* Threads that all need one lock: two thirds of the work is done while holding it, so more than one and a half CPUs are
 * of no use, and each further thread only waits. */
#include "mix.h"

enum { BLOCKS = 64, STEPS = 4000 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t shared;

static uint64_t worked(uint64_t state, int steps) {
    state |= 1;
    while (steps-- > 0) state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return state;
}

static void step(void *data, size_t block, size_t end) {
    uint64_t mine = worked((uint64_t)*(long *)data + block, STEPS);
    (void)end;
    pthread_mutex_lock(&lock);
    shared += worked(mine, 2 * STEPS);
    pthread_mutex_unlock(&lock);
}

int main(int count, char **words) {
    long rounds = begin(count, words);
    for (long round = 0; round < rounds; round++) dc_pool_for(pool, BLOCKS, 1, step, &round);
    printf("%llu\n", (unsigned long long)shared);
    return 0;
}
