/* What the programs of a mix share: rounds over a pool that follows the container's CPUs, and numbers to work on. */
#ifndef MIX_H
#define MIX_H

#include "dockercomp.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static dc_pool *pool;

/* Begin: the pool, and the program's only argument, how many rounds to do. */
static long begin(int count, char **words) {
    long rounds = count == 2 ? strtol(words[1], NULL, 10) : 0;
    if (rounds < 1) {
        fprintf(stderr, "usage: %s ROUNDS\n", words[0]);
        exit(2);
    }
    if (!(pool = dc_pool_new(1))) {
        perror("no thread for a pool");
        exit(1);
    }
    return rounds;
}

/* splitmix64 (G. Steele, D. Lea, C. Flood, 2014), a generator of its own for each piece of work. In [0, 1). */
static inline double drawn(uint64_t *state) {
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (double)((z ^ (z >> 31)) >> 11) / 9007199254740992.0;
}

#endif
