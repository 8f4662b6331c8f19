/* The runner: runs chunk after chunk inside a container, and leaves nothing of one chunk for the next.
 *
 *     runner SOCKET
 *
 * It connects to the worker's unix socket and speaks frames: a type byte, a little-endian 32-bit length, the payload.
 *
 *     worker -> runner   R run (fields below)   K kill what runs
 *                        G send these files (paths, each with a zero byte behind it); empty: no more
 *     runner -> worker   H hello (version)   O output   L log   X end: "code signal timed_out cancelled cpu_us wall_us rss_kb"
 *                        F a file there is: 64-bit size, path   D that is all, which shall I send?   N the file sent ends
 *                        P progress, as the program wrote it   C part of a checkpoint; empty: it is whole
 *
 * R is a list of fields, each a little-endian 32-bit length and its bytes:
 *
 *     mode        "command", or "function": a call to the warm host process, made of `argv` where there is none
 *     limit_ms    wall time the run may take; 0: none
 *     cwd
 *     work        a folder to make in scratch, filled with the job's folder; "": none
 *     stdin kind  "none", "inline" or "file"; for a function always "inline"
 *     stdin       the bytes, or the path; for a function the call, passed on as it is
 *     stdout      "result", or "log": the result is elsewhere
 *     output      path of the file that is the result; "": none
 *     files       a folder, made where it is missing, whose files are offered after success; "": none
 *     keep        a folder in scratch that stays for the next run; "": none
 *     argc, argv… envc, env…    env: NAME=value, or +NAME=value to go behind what there is already
 *
 * Only files of regular kind are offered, and no copy of the job's folder that is as it was.
 *
 * A host process reads calls from its descriptor 3 (length, call) and answers there with frames O and X ("code cpu_us rss_kb").
 *
 * Between two runs every other process is killed and reaped, and all that a program can leave otherwise is emptied.
 * Static, no allocation beyond the run's own frame, one thread.
 *
 * The program has the runner's user id. What keeps the two apart: the runner is process 1, which the kernel lets nobody in
 * the container kill, stop or signal; it is not dumpable, so that nobody may trace it or open its files in /proc; and the
 * container's system calls (worker/seccomp.json) cannot change the limits or the priority of another process. When it
 * ends, the kernel ends the whole container.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "runner.h"

#define VERSION "2"
#define MAX_FRAME (4u << 20)
#define MAX_FIELDS 32768

static char *text_of(struct field *fields, int count, int at) {
    if (at >= count) quit(2);
    return fields[at].at;
}

/* Split an R frame. Fields are NUL-terminated in place: each length is overwritten once it has been read. */
static int split(unsigned char *frame, uint32_t size, struct field *fields) {
    int count = 0;
    uint32_t at = 0;
    while (at + 4 <= size && count < MAX_FIELDS) {
        uint32_t length = get_size(frame + at);
        if (length > size - at - 4) quit(2);
        frame[at] = 0; /* ends the field before */
        fields[count].at = (char *)frame + at + 4;
        fields[count++].size = length;
        at += 4 + length;
    }
    frame[size] = 0;
    return count;
}

static void execute(const struct run *run) {
    begin_watching();
    begin_relaying();
    if (run->function) run_function(run);
    else run_command(run);
}

static void run_frame(unsigned char *frame, uint32_t size) {
    static struct field fields[MAX_FIELDS];
    static char *argv[MAX_FIELDS + 1], *env[MAX_FIELDS + 1];
    int count = split(frame, size, fields), at = 10;
    struct run run = {0};
    char *kind = text_of(fields, count, 4);
    run.function = !strcmp(text_of(fields, count, 0), "function");
    run.limit_ms = atol(text_of(fields, count, 1));
    run.cwd = text_of(fields, count, 2);
    run.stdin_kind = !strcmp(kind, "inline") ? 1 : !strcmp(kind, "file") ? 2 : 0;
    text_of(fields, count, 5);
    run.work = text_of(fields, count, 3);
    run.input = fields[5];
    run.out = !strcmp(text_of(fields, count, 6), "log") ? 'L' : 'O';
    run.output = text_of(fields, count, 7);
    run.files = text_of(fields, count, 8);
    run.keep = text_of(fields, count, 9);
    int argc = atoi(text_of(fields, count, at++));
    for (int i = 0; i < argc; i++) argv[i] = text_of(fields, count, at++);
    argv[argc] = NULL;
    run.envc = atoi(text_of(fields, count, at++));
    for (int i = 0; i < run.envc; i++) env[i] = text_of(fields, count, at++);
    run.argv = argv;
    run.env = env;
    if (argc < 1) quit(2);
    if (run.keep[0]) mkdir(run.keep, 0755);
    if (run.work[0] && make_work(run.work)) not_run("scratch is too small for a working directory: give the job more disk\n");
    else if (run.files[0] && mkdir(run.files, 0755) && errno != EEXIST) not_run("the folder of outputs cannot be made\n");
    else execute(&run);
    empty_scratch(run.keep);
    empty_ipc();
}

static void connect_to(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) quit(4);
    strcpy(address.sun_path, path);
    master = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (master < 0 || connect(master, (struct sockaddr *)&address, sizeof address)) {
        fprintf(stderr, "runner: cannot connect to %s: %s\n", path, strerror(errno));
        _exit(4);
    }
}

int main(int argc, char **argv) {
    sigset_t child;
    unsigned char head[5];
    if (argc != 2 || getpid() != 1) return 64; /* elsewhere it would kill all that is its user's */
    prctl(PR_SET_DUMPABLE, 0);
    connect_to(argv[1]);
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);
    children = signalfd(-1, &child, SFD_NONBLOCK | SFD_CLOEXEC);
    send_frame('H', VERSION, 1);
    while (read_all(master, head, 5) == 0) {
        uint32_t size = get_size(head + 1);
        if (head[0] == 'K') continue; /* it came too late: that run has ended */
        if (head[0] != 'R' || size > MAX_FRAME) quit(2);
        unsigned char *frame = malloc(size + 1);
        if (!frame || read_all(master, frame, size)) quit(0);
        run_frame(frame, size);
        free(frame);
    }
    quit(0);
}
