/* A similarity search in stages, as ferret's: one thread describes a batch of queries, all compare it with the table, one
 * ranks. The first and the last stage are about a tenth of the work. */
#include "mix.h"

enum { TABLE = 4096, WIDE = 32, BATCH = 64, BEST = 10 };

static float table[TABLE][WIDE], queries[BATCH][WIDE], distances[BATCH][TABLE];
static double total;

static void describe(long batch) {
    uint64_t state = (uint64_t)batch;
    for (int query = 0; query < BATCH; query++)
        for (int n = 0; n < WIDE; n++) {
            double value = 0;
            for (int step = 0; step < 60; step++) value += drawn(&state);
            queries[query][n] = (float)(value / 60);
        }
}

static void compare(void *unused, size_t query, size_t end) {
    (void)unused, (void)end;
    for (int row = 0; row < TABLE; row++) {
        float sum = 0;
        for (int n = 0; n < WIDE; n++) sum += (queries[query][n] - table[row][n]) * (queries[query][n] - table[row][n]);
        distances[query][row] = sum;
    }
}

static void rank(void) {
    for (int query = 0; query < BATCH; query++)
        for (int best = 0; best < BEST; best++) {
            int least = 0;
            for (int row = 1; row < TABLE; row++)
                if (distances[query][row] < distances[query][least]) least = row;
            total += (best + 1) * least;
            distances[query][least] = 1e9f;
        }
}

int main(int count, char **words) {
    long batches = begin(count, words);
    uint64_t state = 1;
    for (int row = 0; row < TABLE; row++)
        for (int n = 0; n < WIDE; n++) table[row][n] = (float)drawn(&state);
    for (long batch = 0; batch < batches; batch++) {
        describe(batch);
        dc_pool_for(pool, BATCH, 1, compare, NULL);
        rank();
    }
    printf("%.0f\n", total);
    return 0;
}
