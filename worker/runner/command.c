/* One chunk by a command: a process with its input on stdin, its result on stdout or in files. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runner.h"

/* Send the file that is the result; a program that made none has failed. */
static void send_output(const struct run *run, struct end *end) {
    static char block[BLOCK];
    struct stat st;
    ssize_t n;
    int fd = open(run->output, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode)) {
        log_text("the program ended without writing its {output} file\n");
        end->code = NOT_RUN;
    } else {
        while (!(end->cancelled = stopped()) && (n = read(fd, block, sizeof block)) > 0) /* a sparse file may have no end */
            send_frame('O', block, (uint32_t)n);
    }
    if (fd >= 0) close(fd);
}

void run_command(const struct run *run) {
    struct end end = {0};
    int in[2] = {-1, -1}, out[2], err[2], status = 0, ended = 0;
    struct rusage usage = {0};
    uint32_t fed = 0;
    if (pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC)) quit(3);
    if (run->stdin_kind == 1) {
        if (pipe2(in, O_CLOEXEC)) quit(3);
        fcntl(in[1], F_SETFL, O_NONBLOCK);
    } else {
        in[0] = open(run->stdin_kind == 2 ? run->input.at : "/dev/null", O_RDONLY | O_CLOEXEC);
    }
    if (in[0] < 0) {
        not_run("the chunk's input cannot be opened in the container\n");
        return;
    }
    long long begun = now_us(), deadline = run->limit_ms ? begun + run->limit_ms * 1000LL : 0;
    pid_t child = fork();
    if (child == 0) become(run, in[0], out[1], err[1], -1);
    if (child < 0) quit(3);
    close(in[0]);
    close(out[1]);
    close(err[1]);
    int out_open = 1, err_open = 1;
    while (!ended) {
        int open = may_relay();
        struct pollfd p[5] = {{children, POLLIN, 0},
                              {master, POLLIN, 0},
                              {out_open && open ? out[0] : -1, POLLIN, 0},
                              {err_open && open ? err[0] : -1, POLLIN, 0},
                              {in[1], POLLOUT, 0}};
        int ready = wait_for(p, 5, &deadline);
        watch();
        if (ready == 0) {
            end.timed_out = 1;
            kill(-1, SIGKILL);
            deadline = 0;
        }
        if (ready <= 0) continue;
        if (p[1].revents && asked_to_kill()) {
            end.cancelled = 1;
            kill(-1, SIGKILL);
        }
        if (p[2].revents) out_open = relay(out[0], run->out);
        if (p[3].revents) err_open = relay(err[0], 'L');
        if (p[4].revents) {
            ssize_t n = fed < run->input.size ? write(in[1], run->input.at + fed, run->input.size - fed) : 0;
            if (n > 0) fed += (uint32_t)n;
            if (fed == run->input.size || (n < 0 && errno != EAGAIN && errno != EINTR)) { /* fed, or not wanted */
                close(in[1]);
                in[1] = -1;
            }
        }
        if (p[0].revents) ended = reap(child, &status, &usage);
    }
    end.wall_us = now_us() - begun;
    note_status(&end, status, &usage);
    if (in[1] >= 0) close(in[1]);
    kill_others(); /* what it left running must not write on */
    drain(out[0], run->out);
    drain(err[0], 'L');
    close(out[0]);
    close(err[0]);
    int well = end.code == 0 && !end.timed_out && !end.cancelled;
    if (well && run->output[0]) send_output(run, &end);
    if (well && run->files[0]) send_files(run, &end);
    send_end(&end);
}
