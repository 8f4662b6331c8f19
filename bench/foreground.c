/* A small program of the machine's owner, timed.
 *
 *     foreground rate              loops a second of one thread, for a second
 *     foreground burst LOOPS       seconds for so many loops on each CPU at once
 *     foreground wake COUNT LOOPS  COUNT lines: microseconds from the moment it was to wake until so many loops are done,
 *                                  sleeping 10 ms in between, as a program does that somebody works with
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static volatile unsigned long sink;

static double now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static void work(long loops) {
    unsigned long state = 1;
    while (loops-- > 0) state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    sink = state;
}

static void *thread(void *loops) {
    work(*(long *)loops);
    return NULL;
}

static void burst(long loops) {
    pthread_t threads[1024];
    long cpus = sysconf(_SC_NPROCESSORS_ONLN), begun = 0;
    double start = now();
    while (begun < cpus && begun < 1024 && pthread_create(&threads[begun], NULL, thread, &loops) == 0) begun++;
    while (begun > 0) pthread_join(threads[--begun], NULL);
    printf("%.6f\n", now() - start);
}

static void wake(long count, long loops) {
    for (long n = 0; n < count; n++) {
        double due = now() + 0.01;
        struct timespec until = {(time_t)due, (long)((due - (double)(time_t)due) * 1e9)};
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL)) continue;
        work(loops);
        printf("%.1f\n", (now() - due) * 1e6);
    }
}

static void rate(void) {
    double start = now();
    long loops = 0;
    for (; now() - start < 1; loops += 1000000) work(1000000);
    printf("%.0f\n", (double)loops / (now() - start));
}

int main(int count, char **words) {
    if (count == 2 && !strcmp(words[1], "rate")) rate();
    else if (count == 3 && !strcmp(words[1], "burst")) burst(atol(words[2]));
    else if (count == 4 && !strcmp(words[1], "wake")) wake(atol(words[2]), atol(words[3]));
    else return fprintf(stderr, "usage: %s rate | burst LOOPS | wake COUNT LOOPS\n", words[0]), 2;
    return 0;
}
