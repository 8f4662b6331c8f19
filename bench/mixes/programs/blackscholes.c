/* Prices drawn options by Black and Scholes. Computes only: nothing is shared but the end of a round. */
#include "mix.h"

#include <math.h>

enum { BLOCKS = 64, OPTIONS = 1000 };

static double sums[BLOCKS];

static double normal(double x) { return erfc(-x * 0.70710678118654752440) / 2; }

static void price(void *data, size_t block, size_t end) {
    uint64_t state = (uint64_t)*(long *)data * BLOCKS + block;
    double sum = 0;
    (void)end;
    for (int n = 0; n < OPTIONS; n++) {
        double spot = 20 + 180 * drawn(&state), strike = 20 + 180 * drawn(&state), years = 0.1 + 4 * drawn(&state);
        double rate = 0.08 * drawn(&state), volatility = 0.05 + 0.9 * drawn(&state), wide = volatility * sqrt(years);
        double d = (log(spot / strike) + (rate + volatility * volatility / 2) * years) / wide;
        sum += spot * normal(d) - strike * exp(-rate * years) * normal(d - wide);
    }
    sums[block] += sum;
}

int main(int count, char **words) {
    long rounds = begin(count, words);
    double all = 0;
    for (long round = 0; round < rounds; round++) dc_pool_for(pool, BLOCKS, 1, price, &round);
    for (int block = 0; block < BLOCKS; block++) all += sums[block];
    printf("%.6f\n", all);
    return 0;
}
