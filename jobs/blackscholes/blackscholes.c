/* Prices European options by Black and Scholes, several threads wide.
 *
 * Reads a line an option on standard input: `spot strike rate volatility years C|P`. Writes its price, a line each, in the
 * same order. Its pool has as many threads as its container has CPUs at any moment, without a worker as many as DC_WIDTH
 * says, else as the machine has; each option is priced by itself, so that the width changes nothing in the result.
 *
 *     d1 = (ln(S / K) + (r + v^2 / 2) t) / (v sqrt t),  d2 = d1 - v sqrt t
 *     call = S N(d1) - K e^(-rt) N(d2),  put = K e^(-rt) N(-d2) - S N(-d1),  N(x) = erfc(-x / sqrt 2) / 2
 *     (F. Black, M. Scholes: The Pricing of Options and Corporate Liabilities, 1973)
 */
#include "dockercomp.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define PIECE 2000 /* options, well under a millisecond */

struct option {
    double spot, strike, rate, volatility, years, price;
    char type;
};

static void fail(const char *what, size_t line) {
    fprintf(stderr, "blackscholes: line %zu: %s\n", line, what);
    exit(1);
}

static void *grown(void *memory, size_t bytes) {
    if (!(memory = realloc(memory, bytes))) {
        fputs("blackscholes: out of memory; make the chunks smaller\n", stderr);
        exit(1);
    }
    return memory;
}

static double normal(double x) { return erfc(-x * 0.70710678118654752440) / 2; }

static double price(const struct option *o) {
    double wide = o->volatility * sqrt(o->years);
    double d1 = (log(o->spot / o->strike) + (o->rate + o->volatility * o->volatility / 2) * o->years) / wide;
    double d2 = d1 - wide, discounted = o->strike * exp(-o->rate * o->years);
    if (o->type == 'C') return o->spot * normal(d1) - discounted * normal(d2);
    return discounted * normal(-d2) - o->spot * normal(-d1);
}

static void price_some(void *given, size_t from, size_t to) {
    struct option *options = given;
    for (size_t n = from; n < to; n++) options[n].price = price(&options[n]);
}

static struct option *read_all(size_t *count) {
    struct option *options = NULL, o = {0};
    size_t room = 0, n = 0;
    int found;
    while ((found = scanf("%lf %lf %lf %lf %lf %c", &o.spot, &o.strike, &o.rate, &o.volatility, &o.years, &o.type)) == 6) {
        if (!(o.spot > 0 && o.strike > 0 && o.volatility > 0 && o.years > 0)) fail("numbers must be above zero", n + 1);
        if (o.type != 'C' && o.type != 'P') fail("the last word must be C or P", n + 1);
        if (n == room) options = grown(options, (room = room ? 2 * room : 4096) * sizeof *options);
        options[n++] = o;
    }
    if (found != EOF) fail("not an option: spot strike rate volatility years C|P", n + 1);
    *count = n;
    return options;
}

int main(void) {
    size_t count;
    struct option *options = read_all(&count);
    dc_pool *pool = dc_pool_new(1);
    if (!pool) fail("no thread could be started", 0);
    dc_pool_for(pool, count, PIECE, price_some, options);
    dc_pool_free(pool);
    for (size_t n = 0; n < count; n++) printf("%.8f\n", options[n].price);
    free(options);
    return fflush(stdout) || ferror(stdout);
}
