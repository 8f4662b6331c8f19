/* One chunk by a function: a call to the warm host process, which is started where there is none. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runner.h"

/* A frame from the host: O is passed on; X ends the run with its code. */
static int host_frame(const struct run *run, struct end *end) {
    static char block[BLOCK];
    unsigned char head[5];
    if (read_all(host_socket, head, 5)) return -1;
    uint32_t size = get_size(head + 1);
    if (head[0] == 'X') {
        if (size > 63 || read_all(host_socket, block, size)) return -1;
        block[size] = 0;
        return sscanf(block, "%d %lld %ld", &end->code, &end->cpu_us, &end->rss_kb) == 3 ? 1 : -1;
    }
    while (size) {
        uint32_t part = size < BLOCK ? size : BLOCK;
        if (read_all(host_socket, block, part)) return -1;
        send_frame(run->out, block, part);
        size -= part;
    }
    return 0;
}

void run_function(const struct run *run) {
    struct end end = {0};
    struct rusage usage = {0};
    unsigned char size[4];
    int status = 0, done = 0;
    long long begun = now_us(), deadline = run->limit_ms ? begun + run->limit_ms * 1000LL : 0;
    reap(-1, &status, &usage); /* notices a host that died since */
    if (!host && start_host(run)) quit(3);
    pid_t runs = host;
    put_size(size, run->input.size);
    if (write_all(host_socket, size, 4) || write_all(host_socket, run->input.at, run->input.size)) done = -1;
    while (!done) {
        struct pollfd p[4] = {
            {children, POLLIN, 0}, {master, POLLIN, 0}, {host_socket, POLLIN, 0}, {host_log, POLLIN, 0}};
        int ready = wait_for(p, 4, &deadline);
        watch();
        if (ready == 0) {
            end.timed_out = 1;
            kill(runs, SIGKILL);
            deadline = 0;
        }
        if (ready <= 0) continue;
        if (p[1].revents && asked_to_kill()) {
            end.cancelled = 1;
            kill(runs, SIGKILL);
        }
        if (p[3].revents & POLLIN) relay(host_log, 'L');
        if (p[2].revents) done = host_frame(run, &end);
        if (!done && p[0].revents) {
            int log = host_log >= 0 ? dup(host_log) : -1; /* reaping it forgets its log: its last words are in there */
            if (reap(runs, &status, &usage)) done = -1;
            if (done && log >= 0) drain(log, 'L');
            if (log >= 0) close(log);
        }
    }
    end.wall_us = now_us() - begun;
    if (done < 0) { /* the host died, in or instead of answering */
        if (host == runs) {
            int log = dup(host_log);
            kill(runs, SIGKILL);
            while (wait4(runs, &status, 0, &usage) < 0 && errno == EINTR) {}
            drain(log, 'L');
            close(log);
            forget_host();
        }
        note_status(&end, status, &usage);
        if (end.code == 0) end.code = NOT_RUN;
    } else {
        drain(host_log, 'L');
    }
    kill_others();
    if (run->files[0] && end.code == 0 && !end.timed_out && !end.cancelled) send_files(run, &end);
    send_end(&end);
}
