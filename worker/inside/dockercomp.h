/* For a C or C++ program inside a container: what it is allocated, and pools of threads that follow it while they work.
 *
 *     #include "dockercomp.h"                        // first, or compile with -D_GNU_SOURCE; link with -pthread
 *
 *     static void price(void *data, size_t from, size_t to) { ... }      // works on the items from … to - 1
 *
 *     dc_pool *pool = dc_pool_new(1);
 *     dc_pool_for(pool, count, 1000, price, options);                    // 1000 items at a time, on as many threads as
 *     dc_pool_free(pool);                                                // there are CPUs for at any moment
 *
 * The worker writes the allocation to the file $DC_ALLOCATION and replaces it whole when it changes. A pool looks at most
 * every 50 ms: a thread too many parks when its piece of work is done, missing ones start at once. Pieces depend on the
 * count and the grain alone, so the width changes nothing in a result whose pieces are kept apart, or put together by
 * dc_pool_reduce, which does so in their order. Without a worker the machine's CPUs count, as far as this process may use
 * them, or DC_WIDTH.
 *
 * C99 and C++, Linux, nothing but pthreads. May be included in several files of a program: they share their pools. Pools
 * do not survive fork(): make them in the child.
 */
#ifndef DOCKERCOMP_H
#define DOCKERCOMP_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifndef CPU_COUNT
#error "include dockercomp.h before other headers, or compile with -D_GNU_SOURCE"
#endif

/* One copy in the program, however many of its files include this. */
#define DC_SHARED __attribute__((weak))

#ifdef __cplusplus
extern "C" {
#endif

/* --- what there is --------------------------------------------------------------------------------------------- */

typedef struct dc_allocation {
    double cpus;      /* in cores, such as 1.5 */
    long long memory; /* in bytes */
    long change;      /* grows with each change */
    int width;        /* threads that keep these CPUs busy, at least 1 */
} dc_allocation;

/* Fill in what this program may use now. Returns 1 where a worker tells it; 0 where none does, and it is the machine as
 * far as this process may use it. */
int dc_allocation_read(dc_allocation *now);

typedef struct dc_pool dc_pool;

/* A pool with its first thread. `weight`, above 0, says how much of the width it gets beside the program's other pools that
 * have work. Returns NULL with errno where there is no memory or no thread for it. */
dc_pool *dc_pool_new(double weight);

/* Work on the items 0 … count - 1, `grain` at a time (0: in about 1024 pieces), and return when all are done: 0, or EDEADLK
 * from one of the pool's own threads, which would wait for itself. A piece should take some 10 us or more, and less than it
 * may take until the pool follows a change. May be called by several threads at once. */
int dc_pool_for(dc_pool *pool, size_t count, size_t grain, void (*body)(void *data, size_t from, size_t to), void *data);

/* As dc_pool_for, with a value of `size` bytes, zero at first, from each piece; when all are done they are folded into
 * `into` one by one, in order, so that the result is the same for any width. Returns 0, EDEADLK or ENOMEM. */
int dc_pool_reduce(dc_pool *pool, size_t count, size_t grain, size_t size,
                   void (*map)(void *data, size_t from, size_t to, void *value),
                   void (*fold)(void *data, void *into, const void *value), void *into, void *data);

/* Have a thread call `task` and return at once: 0, or ENOMEM. A task may submit others, also to its own pool. */
int dc_pool_submit(dc_pool *pool, void (*task)(void *data), void *data);

/* Return when all submitted tasks are done: 0, or EDEADLK from one of the pool's own threads. */
int dc_pool_wait(dc_pool *pool);

/* How many of its threads may work now; 0 while it has nothing to do. */
int dc_pool_width(dc_pool *pool);

/* Wait for its tasks, end its threads. Not from one of them, nor while others still use it. */
void dc_pool_free(dc_pool *pool);

/* Divides `total` threads among the program's pools, in the order in which they were made. `weights` holds 0 for a pool
 * that has nothing to do. What it writes to `widths` counts as at least 1 for each of the others. Called where a pool has
 * something to do, with a lock held, so it must not call the functions above. */
typedef void (*dc_rule)(int total, const double *weights, int *widths, size_t count, void *data);

/* Divide by this rule from now on; NULL: by weight. */
void dc_divide_by(dc_rule rule, void *data);

/* --- how it is done -------------------------------------------------------------------------------------------- */

#define DC_LOOK_MS 50

struct dc_work {
    struct dc_work *next;
    void (*body)(void *, size_t, size_t);
    void (*task)(void *); /* instead of a body; then it was allocated here */
    void *data;
    size_t at, count, grain, left;
};

struct dc_pool {
    dc_pool *next;
    double weight;
    int width, working, closing;
    size_t threads, tasks;
    pthread_t *thread;
    struct dc_work *first, *last;
    pthread_cond_t work, done;
};

/* All of it under one lock. The watcher looks at the allocation while a pool has work. */
struct dc_program {
    pthread_mutex_t lock;
    pthread_cond_t tick;
    int watched, asleep, total;
    long long looked_ms;
    dc_pool *pools;
    size_t count;
    double *weights;
    int *widths;
    dc_rule rule;
    void *rule_data;
};

#define DC_NO_POOLS \
    {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0, 1, -DC_LOOK_MS, NULL, 0, NULL, NULL, NULL, NULL}

DC_SHARED struct dc_program dc_program_ = DC_NO_POOLS;

/* A decimal number, whatever the locale says of points. */
static inline double dc_number(const char *text) {
    double number = 0, unit = 1;
    for (; *text >= '0' && *text <= '9'; text++) number = 10 * number + (*text - '0');
    if (*text == '.') {
        for (text++; *text >= '0' && *text <= '9'; text++) number += (*text - '0') * (unit /= 10);
    }
    return number;
}

/* What stands behind a word at the beginning of a line; NULL where there is none. */
static inline const char *dc_value(const char *text, const char *word) {
    size_t length = strlen(word);
    while (text && (strncmp(text, word, length) || text[length] != ' ')) {
        text = strchr(text, '\n');
        if (text) text++;
    }
    return text ? text + length + 1 : NULL;
}

static inline int dc_parse(const char *text, dc_allocation *now) {
    const char *version = dc_value(text, "dockercomp-allocation"), *cpus = dc_value(text, "cpus"),
               *memory = dc_value(text, "memory"), *change = dc_value(text, "change"), *width = dc_value(text, "width");
    if (version != text + strlen("dockercomp-allocation ") || strncmp(version, "1\n", 2) || !cpus || !memory) return 0;
    now->cpus = dc_number(cpus);
    now->memory = atoll(memory);
    now->change = change ? atol(change) : 0;
    now->width = width ? atoi(width) : (int)(now->cpus + 0.5);
    if (now->width < 1) now->width = 1;
    return now->cpus > 0;
}

/* The file in one piece: it is replaced, never written to. */
static inline int dc_read(char *text, size_t room) {
    const char *place = getenv("DC_ALLOCATION");
    int file = place ? open(place, O_RDONLY | O_CLOEXEC) : -1;
    size_t have = 0;
    ssize_t n = 0;
    if (file < 0) return 0;
    while (have < room - 1 && ((n = read(file, text + have, room - 1 - have)) > 0 || (n < 0 && errno == EINTR))) {
        if (n > 0) have += (size_t)n;
    }
    close(file);
    text[have] = 0;
    return n >= 0 && have > 0;
}

static inline void dc_machine(dc_allocation *now) {
    cpu_set_t mine;
    const char *asked = getenv("DC_WIDTH");
    int width = asked ? atoi(asked) : 0;
    long cpus = sched_getaffinity(0, sizeof mine, &mine) ? sysconf(_SC_NPROCESSORS_ONLN) : CPU_COUNT(&mine);
    if (cpus < 1) cpus = 1;
    now->cpus = (double)cpus;
    now->memory = (long long)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
    now->change = 0;
    now->width = width > 0 ? width : (int)cpus;
}

DC_SHARED int dc_allocation_read(dc_allocation *now) {
    char text[4096];
    if (dc_read(text, sizeof text) && dc_parse(text, now)) return 1;
    dc_machine(now);
    return 0;
}

static inline long long dc_now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* Whole widths nearest to the pools' shares, at least 1 for each that has work. */
static inline void dc_by_weight(int total, const double *weights, int *widths, size_t count) {
    double all = 0;
    long given = 0;
    for (size_t n = 0; n < count; n++) all += weights[n];
    for (size_t n = 0; n < count; n++) {
        widths[n] = weights[n] > 0 ? (int)(total * weights[n] / all) : 0;
        if (weights[n] > 0 && widths[n] < 1) widths[n] = 1;
        given += widths[n];
    }
    while (given != total && all > 0) {
        size_t best = count;
        int step = given < total ? 1 : -1;
        double most = 0;
        for (size_t n = 0; n < count; n++) {
            double lacks = step * (total * weights[n] / all - widths[n]);
            if (weights[n] > 0 && widths[n] + step >= 1 && (best == count || lacks > most)) {
                best = n;
                most = lacks;
            }
        }
        if (best == count) return; /* more pools than threads: each has one */
        widths[best] += step;
        given += step;
    }
}

static void *dc_thread(void *given);

/* Start what is missing of a pool's threads. What cannot be started is tried again at the next division. */
static inline void dc_grow(dc_pool *pool) {
    while (pool->threads < (size_t)pool->width) {
        pthread_t *more = (pthread_t *)realloc(pool->thread, (pool->threads + 1) * sizeof *more);
        if (!more) return;
        pool->thread = more;
        if (pthread_create(&more[pool->threads], NULL, dc_thread, pool)) return;
        pool->threads++;
    }
}

static inline int dc_busy(const dc_pool *pool) { return pool->first || pool->working; }

/* Give each pool its width. All from here on with the lock held. */
static inline void dc_divide(struct dc_program *program) {
    size_t n = 0;
    int busy = 0;
    for (dc_pool *pool = program->pools; pool; pool = pool->next, n++) {
        busy |= dc_busy(pool);
        program->weights[n] = dc_busy(pool) ? pool->weight : 0;
        program->widths[n] = 0;
    }
    if (program->rule && busy) program->rule(program->total, program->weights, program->widths, n, program->rule_data);
    else dc_by_weight(program->total, program->weights, program->widths, n);
    n = 0;
    for (dc_pool *pool = program->pools; pool; pool = pool->next, n++) {
        int before = pool->width, wanted = program->widths[n];
        pool->width = !dc_busy(pool) ? 0 : wanted < 1 ? 1 : wanted;
        dc_grow(pool);
        if (pool->width > before) pthread_cond_broadcast(&pool->work);
    }
}

/* Read the allocation unless that was done just now. Where it cannot be read any more, the last one stays. */
static inline int dc_look(struct dc_program *program) {
    dc_allocation now;
    long long at = dc_now_ms();
    int first = program->looked_ms < 0;
    if (!first && at - program->looked_ms < DC_LOOK_MS) return 0;
    program->looked_ms = at;
    if ((!dc_allocation_read(&now) && getenv("DC_ALLOCATION") && !first) || now.width == program->total) return 0;
    program->total = now.width;
    return 1;
}

static inline void *dc_watch(void *given) {
    struct dc_program *program = (struct dc_program *)given;
    pthread_mutex_lock(&program->lock);
    for (;;) {
        int busy = 0;
        for (dc_pool *pool = program->pools; pool; pool = pool->next) busy |= dc_busy(pool);
        program->asleep = !busy;
        if (busy) {
            struct timespec until;
            clock_gettime(CLOCK_MONOTONIC, &until);
            until.tv_nsec += DC_LOOK_MS * 1000000L;
            if (until.tv_nsec >= 1000000000L) {
                until.tv_sec++;
                until.tv_nsec -= 1000000000L;
            }
            pthread_cond_timedwait(&program->tick, &program->lock, &until);
        } else {
            pthread_cond_wait(&program->tick, &program->lock);
        }
        if (dc_look(program)) dc_divide(program);
    }
    return NULL;
}

/* A child has none of its parent's threads, and finds the lock as it was: it begins anew, but with the same rule. */
static inline void dc_begin_anew(void) {
    struct dc_program anew = DC_NO_POOLS;
    anew.rule = dc_program_.rule;
    anew.rule_data = dc_program_.rule_data;
    dc_program_ = anew;
}

/* Returns an error's number where the watcher cannot be started. */
static inline int dc_be_watched(struct dc_program *program) {
    pthread_condattr_t kind;
    pthread_attr_t detached;
    pthread_t watcher;
    int error;
    if (program->watched) return 0;
    if ((error = pthread_atfork(NULL, NULL, dc_begin_anew))) return error;
    pthread_condattr_init(&kind);
    pthread_condattr_setclock(&kind, CLOCK_MONOTONIC);
    pthread_cond_init(&program->tick, &kind);
    pthread_condattr_destroy(&kind);
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    error = pthread_create(&watcher, &detached, dc_watch, program);
    pthread_attr_destroy(&detached);
    program->watched = !error;
    return error;
}

/* Take a piece of the first work, do it without the lock, note what is done. */
static inline void dc_step(struct dc_program *program, dc_pool *pool) {
    struct dc_work *work = pool->first;
    size_t from = work->at, size = work->count - from < work->grain ? work->count - from : work->grain;
    work->at += size;
    if (work->at == work->count && !(pool->first = work->next)) pool->last = NULL;
    pool->working++;
    pthread_mutex_unlock(&program->lock);
    if (work->task) work->task(work->data);
    else work->body(work->data, from, from + size);
    pthread_mutex_lock(&program->lock);
    pool->working--;
    if (!(work->left -= size)) {
        if (work->task) {
            free(work);
            pool->tasks--;
        }
        pthread_cond_broadcast(&pool->done);
    }
    if (!dc_busy(pool)) dc_divide(program);
}

static inline void *dc_thread(void *given) {
    struct dc_program *program = &dc_program_;
    dc_pool *pool = (dc_pool *)given;
    pthread_mutex_lock(&program->lock);
    while (!pool->closing) {
        if (pool->first && pool->working < pool->width) dc_step(program, pool);
        else pthread_cond_wait(&pool->work, &program->lock);
    }
    pthread_mutex_unlock(&program->lock);
    return NULL;
}

static inline void dc_add(struct dc_program *program, dc_pool *pool, struct dc_work *work) {
    int idle = !dc_busy(pool);
    if (pool->last) pool->last->next = work;
    else pool->first = work;
    pool->last = work;
    if (idle) {
        if (program->asleep) pthread_cond_signal(&program->tick);
        program->asleep = 0;
        dc_look(program);
        dc_divide(program);
    }
    pthread_cond_broadcast(&pool->work);
}

static inline int dc_is_own(const dc_pool *pool) {
    for (size_t n = 0; n < pool->threads; n++) {
        if (pthread_equal(pool->thread[n], pthread_self())) return 1;
    }
    return 0;
}

DC_SHARED void dc_divide_by(dc_rule rule, void *data) {
    struct dc_program *program = &dc_program_;
    pthread_mutex_lock(&program->lock);
    program->rule = rule;
    program->rule_data = data;
    dc_divide(program);
    pthread_mutex_unlock(&program->lock);
}

/* Room for one more pool in the arrays. */
static inline int dc_room(struct dc_program *program) {
    double *weights = (double *)realloc(program->weights, (program->count + 1) * sizeof *weights);
    int *widths;
    if (weights) program->weights = weights;
    widths = (int *)realloc(program->widths, (program->count + 1) * sizeof *widths);
    if (widths) program->widths = widths;
    return weights && widths;
}

DC_SHARED dc_pool *dc_pool_new(double weight) {
    struct dc_program *program = &dc_program_;
    dc_pool *pool = (dc_pool *)calloc(1, sizeof *pool), **end = &program->pools;
    int error = weight > 0 ? 0 : EINVAL;
    if (!pool) return NULL;
    pool->weight = weight;
    pthread_cond_init(&pool->work, NULL);
    pthread_cond_init(&pool->done, NULL);
    pthread_mutex_lock(&program->lock);
    if (!error && !dc_room(program)) error = ENOMEM;
    if (!error) error = dc_be_watched(program);
    if (!error) {
        pool->width = 1;
        dc_grow(pool);
        pool->width = 0;
        if (!pool->threads) error = EAGAIN;
    }
    if (!error) {
        while (*end) end = &(*end)->next;
        *end = pool;
        program->count++;
    }
    pthread_mutex_unlock(&program->lock);
    if (!error) return pool;
    free(pool->thread);
    free(pool);
    errno = error;
    return NULL;
}

DC_SHARED int dc_pool_for(dc_pool *pool, size_t count, size_t grain, void (*body)(void *, size_t, size_t), void *data) {
    struct dc_program *program = &dc_program_;
    struct dc_work work = {NULL, body, NULL, data, 0, count, grain ? grain : count / 1024 + 1, count};
    int own;
    if (!count) return 0;
    pthread_mutex_lock(&program->lock);
    own = dc_is_own(pool);
    if (!own) dc_add(program, pool, &work);
    while (!own && work.left) pthread_cond_wait(&pool->done, &program->lock);
    pthread_mutex_unlock(&program->lock);
    return own ? EDEADLK : 0;
}

struct dc_reduction {
    void (*map)(void *, size_t, size_t, void *);
    void *data;
    char *values;
    size_t grain, size;
};

static inline void dc_map_piece(void *given, size_t from, size_t to) {
    struct dc_reduction *all = (struct dc_reduction *)given;
    all->map(all->data, from, to, all->values + from / all->grain * all->size);
}

DC_SHARED int dc_pool_reduce(dc_pool *pool, size_t count, size_t grain, size_t size,
                             void (*map)(void *, size_t, size_t, void *), void (*fold)(void *, void *, const void *),
                             void *into, void *data) {
    struct dc_reduction all = {map, data, NULL, grain ? grain : count / 1024 + 1, size};
    size_t pieces = count / all.grain + (count % all.grain != 0);
    int error;
    if (!count) return 0;
    all.values = (char *)calloc(pieces, size);
    if (!all.values) return ENOMEM;
    error = dc_pool_for(pool, count, all.grain, dc_map_piece, &all);
    for (size_t n = 0; !error && n < pieces; n++) fold(data, into, all.values + n * size);
    free(all.values);
    return error;
}

DC_SHARED int dc_pool_submit(dc_pool *pool, void (*task)(void *), void *data) {
    struct dc_program *program = &dc_program_;
    struct dc_work *work = (struct dc_work *)calloc(1, sizeof *work);
    if (!work) return ENOMEM;
    work->task = task;
    work->data = data;
    work->count = work->grain = work->left = 1;
    pthread_mutex_lock(&program->lock);
    pool->tasks++;
    dc_add(program, pool, work);
    pthread_mutex_unlock(&program->lock);
    return 0;
}

DC_SHARED int dc_pool_wait(dc_pool *pool) {
    struct dc_program *program = &dc_program_;
    int own;
    pthread_mutex_lock(&program->lock);
    own = dc_is_own(pool);
    while (!own && pool->tasks) pthread_cond_wait(&pool->done, &program->lock);
    pthread_mutex_unlock(&program->lock);
    return own ? EDEADLK : 0;
}

DC_SHARED int dc_pool_width(dc_pool *pool) {
    int width;
    pthread_mutex_lock(&dc_program_.lock);
    width = pool->width;
    pthread_mutex_unlock(&dc_program_.lock);
    return width;
}

DC_SHARED void dc_pool_free(dc_pool *pool) {
    struct dc_program *program = &dc_program_;
    dc_pool **place = &program->pools;
    if (!pool) return;
    dc_pool_wait(pool);
    pthread_mutex_lock(&program->lock);
    while (*place != pool) place = &(*place)->next;
    *place = pool->next;
    program->count--;
    pool->closing = 1;
    pthread_cond_broadcast(&pool->work);
    dc_divide(program);
    pthread_mutex_unlock(&program->lock);
    for (size_t n = 0; n < pool->threads; n++) pthread_join(pool->thread[n], NULL);
    pthread_cond_destroy(&pool->work);
    pthread_cond_destroy(&pool->done);
    free(pool->thread);
    free(pool);
}

#ifdef __cplusplus
}
#endif

#endif
