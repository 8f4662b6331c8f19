/* One chunk by a function: a call to the warm host process, which is started where there is none. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runner.h"

#define LONGEST_END 63

/* The host is as little to be trusted as the program in it: nothing here waits for it, whatever it leaves half-said. */
static struct {
    unsigned char head[5];
    char end[LONGEST_END + 1];
    uint32_t have, left, got; /* of the head, of the payload to come, of `end` */
} incoming;

static uint32_t fed; /* bytes of the call that the host has taken, its length in front included */

/* Returns what recv() does, but 0 where there is nothing yet and -1 at the end. */
static ssize_t hear(void *to, size_t size) {
    ssize_t n = recv(host_socket, to, size, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
    return n > 0 ? n : -1;
}

static int hear_head(void) {
    ssize_t n = hear(incoming.head + incoming.have, 5 - incoming.have);
    if (n < 0) return -1;
    incoming.have += (uint32_t)n;
    incoming.left = incoming.have == 5 ? get_size(incoming.head + 1) : 0;
    incoming.got = 0;
    return incoming.left > LONGEST_END && incoming.head[0] == 'X' ? -1 : 0;
}

/* What there is of a frame from the host: O is passed on; X ends the run with its code. Returns 1 for the end, -1 where the
 * host has gone or speaks nonsense. */
static int host_frame(const struct run *run, struct end *end) {
    static char block[BLOCK];
    ssize_t n;
    if (incoming.have < 5 && hear_head()) return -1;
    if (incoming.have < 5) return 0;
    int is_end = incoming.head[0] == 'X';
    if (incoming.left) {
        char *to = is_end ? incoming.end + incoming.got : block;
        if ((n = hear(to, incoming.left < BLOCK ? incoming.left : BLOCK)) < 0) return -1;
        if (n && !is_end) relay_frame(run->out, block, (uint32_t)n);
        incoming.left -= (uint32_t)n;
        incoming.got += is_end ? (uint32_t)n : 0;
        if (incoming.left) return 0;
    }
    incoming.have = 0;
    incoming.end[incoming.got] = 0;
    if (!is_end) return 0;
    return sscanf(incoming.end, "%d %lld %ld", &end->code, &end->cpu_us, &end->rss_kb) == 3 ? 1 : -1;
}

/* Give the host what it takes of the call. Returns -1 where it has gone. */
static int feed(const struct run *run) {
    unsigned char size[4];
    ssize_t n = 1;
    put_size(size, run->input.size);
    if (fed < 4) n = send(host_socket, size + fed, 4 - fed, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0 && fed < 4) fed += (uint32_t)n;
    if (n > 0 && fed >= 4 && fed - 4 < run->input.size) {
        n = send(host_socket, run->input.at + fed - 4, run->input.size + 4 - fed, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0) fed += (uint32_t)n;
    }
    return n < 0 && errno != EAGAIN && errno != EINTR ? -1 : 0;
}

/* Whether the host has said more than it was asked, which would be taken for its next answer. */
static int says_more(void) {
    char byte;
    return incoming.have || recv(host_socket, &byte, 1, MSG_DONTWAIT | MSG_PEEK) >= 0;
}

/* End the host, in or instead of answering. */
static void end_host(struct rusage *usage, int *status) {
    kill(host, SIGKILL);
    while (wait4(host, status, 0, usage) < 0 && errno == EINTR) {}
    forget_host();
}

/* Call the host and pass on what it says, until its answer's end. Returns -1 where there was none. */
static int call(const struct run *run, struct end *end, int log, struct rusage *usage, int *status) {
    long long deadline = run->limit_ms ? now_us() + run->limit_ms * 1000LL : 0;
    pid_t runs = host;
    int done = feed(run);
    while (!done) {
        short wanted = (short)((may_relay() ? POLLIN : 0) | (fed < 4 || fed - 4 < run->input.size ? POLLOUT : 0));
        struct pollfd p[4] = {{children, POLLIN, 0},
                              {master, POLLIN, 0},
                              {wanted ? host_socket : -1, wanted, 0},
                              {may_relay() ? log : -1, POLLIN, 0}};
        int ready = wait_for(p, 4, &deadline);
        watch();
        if (ready == 0) {
            end->timed_out = 1;
            kill(runs, SIGKILL);
            deadline = 0;
        }
        if (ready <= 0) continue;
        if (p[1].revents && asked_to_kill()) {
            end->cancelled = 1;
            kill(runs, SIGKILL);
        }
        if (p[3].revents & POLLIN) relay(log, 'L');
        if (p[2].revents & POLLOUT) done = feed(run);
        if (!done && p[2].revents & (POLLIN | POLLHUP | POLLERR)) done = host_frame(run, end);
        if (!done && p[0].revents && reap(runs, status, usage)) done = -1;
    }
    return done;
}

void run_function(const struct run *run) {
    struct end end = {0};
    struct rusage usage = {0};
    int status = 0;
    long long begun = now_us();
    reap(-1, &status, &usage); /* notices a host that died since */
    if (host) kill(host, SIGCONT);
    else if (start_host(run)) quit(3);
    pid_t runs = host;
    int log = fcntl(host_log, F_DUPFD_CLOEXEC, 0); /* its last words are in there when it is gone */
    memset(&incoming, 0, sizeof incoming);
    fed = 0;
    int done = call(run, &end, log, &usage, &status);
    end.wall_us = now_us() - begun;
    if (host == runs && done < 0) end_host(&usage, &status);
    kill_others();
    if (host == runs && says_more()) end_host(&usage, &status);
    drain(log, 'L');
    close(log);
    if (done < 0) {
        note_status(&end, status, &usage);
        if (end.code == 0) end.code = NOT_RUN;
    }
    if (run->files[0] && end.code == 0 && !end.timed_out && !end.cancelled) send_files(run, &end);
    send_end(&end);
}
