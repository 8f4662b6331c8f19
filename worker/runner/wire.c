/* Frames to and from the worker. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "runner.h"

int master = -1;

long long now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

void quit(int code) {
    kill(-1, SIGKILL);
    _exit(code);
}

int write_all(int fd, const void *data, size_t size) {
    const char *at = data;
    while (size) {
        ssize_t n = write(fd, at, size);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return -1;
        at += n;
        size -= (size_t)n;
    }
    return 0;
}

int read_all(int fd, void *data, size_t size) {
    char *at = data;
    while (size) {
        ssize_t n = read(fd, at, size);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return -1;
        at += n;
        size -= (size_t)n;
    }
    return 0;
}

void put_size(unsigned char *at, uint32_t size) {
    for (int i = 0; i < 4; i++) at[i] = (unsigned char)(size >> (8 * i));
}

uint32_t get_size(const unsigned char *at) {
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

void send_frame(char type, const void *data, uint32_t size) {
    static unsigned char frame[5 + BLOCK]; /* one write a frame where it fits */
    frame[0] = (unsigned char)type;
    put_size(frame + 1, size);
    if (size <= BLOCK) {
        memcpy(frame + 5, data, size);
        if (write_all(master, frame, 5 + size)) quit(1);
    } else if (write_all(master, frame, 5) || write_all(master, data, size)) {
        quit(1);
    }
}

void log_text(const char *text) { send_frame('L', text, (uint32_t)strlen(text)); }

void send_end(const struct end *end) {
    char text[160];
    int n = snprintf(text, sizeof text, "%d %d %d %d %lld %lld %ld", end->code, end->signal, end->timed_out,
                     end->cancelled, end->cpu_us, end->wall_us, end->rss_kb);
    send_frame('X', text, (uint32_t)n);
}

void not_run(const char *why) {
    struct end end = {.code = NOT_RUN};
    log_text(why);
    send_end(&end);
}

/* A frame from the worker while a program runs or its result is sent: only K makes sense. */
int asked_to_kill(void) {
    unsigned char head[5];
    if (read_all(master, head, 5)) quit(0);
    if (head[0] != 'K' || get_size(head + 1)) quit(2);
    return 1;
}

/* --- pace --------------------------------------------------------------------------------------------------------- */

/* Each frame costs the worker, which serves other containers too, so a program's words pass at a bounded pace: a log at
 * LOG_BYTES_A_US, small frames one in SMALL_US, after a burst. A pipe fills meanwhile, and its frames grow. */
#define BURST_US 100000
#define SMALL 4096
#define SMALL_US 500
#define LOG_BYTES_A_US 16

static long long relay_at;

long long relay_time(void) { return relay_at; }

void begin_relaying(void) { relay_at = 0; }

int may_relay(void) { return relay_at <= now_us(); }

void relay_frame(char type, const void *data, uint32_t size) {
    long long earliest = now_us() - BURST_US;
    if (relay_at < earliest) relay_at = earliest;
    relay_at += (size < SMALL ? SMALL_US : 0) + (type == 'L' ? size / LOG_BYTES_A_US : 0);
    send_frame(type, data, size);
}

int stopped(void) {
    struct pollfd p = {master, POLLIN, 0};
    return poll(&p, 1, 0) > 0 && asked_to_kill();
}

int relay(int fd, char type) {
    static char block[BLOCK];
    ssize_t n = read(fd, block, sizeof block);
    if (n > 0) relay_frame(type, block, (uint32_t)n);
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

void drain(int fd, char type) {
    static char block[BLOCK];
    ssize_t n;
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    while ((n = read(fd, block, sizeof block)) > 0) send_frame(type, block, (uint32_t)n);
}
