/* a = b + s c over arrays larger than caches (the triad of J. McCalpin's STREAM): bound by memory, not by CPUs. */
#include "mix.h"

enum { BLOCKS = 48, LENGTH = 1 << 16 };

static double a[BLOCKS * LENGTH], b[BLOCKS * LENGTH], c[BLOCKS * LENGTH];

static void triad(void *data, size_t from, size_t to) {
    double factor = *(double *)data;
    for (size_t n = from * LENGTH; n < to * LENGTH; n++) a[n] = b[n] + factor * c[n];
}

int main(int count, char **words) {
    long rounds = begin(count, words);
    double sum = 0;
    for (long n = 0; n < (long)BLOCKS * LENGTH; n++) b[n] = (double)n, c[n] = 1;
    for (long round = 0; round < rounds; round++) {
        double factor = (double)round;
        dc_pool_for(pool, BLOCKS, 1, triad, &factor);
        b[round % LENGTH] = a[round % LENGTH];
    }
    for (long n = 0; n < (long)BLOCKS * LENGTH; n++) sum += a[n];
    printf("%.0f\n", sum);
    return 0;
}
