/* The runner: runs chunk after chunk inside a container, and leaves nothing of one chunk for the next.
 *
 *     runner SOCKET
 *
 * It connects to the worker's unix socket and speaks frames: a type byte, a little-endian 32-bit length, the payload.
 *
 *     worker -> runner   R run (fields below)   K kill what runs
 *     runner -> worker   H hello (version)   O output   L log   X end: "code signal timed_out cancelled cpu_us wall_us rss_kb"
 *
 * R is a list of fields, each a little-endian 32-bit length and its bytes:
 *
 *     mode        "command", or "function": a call to the warm host process, made of `argv` where there is none
 *     limit_ms    wall time the run may take; 0: none
 *     cwd
 *     stdin kind  "none", "inline" or "file"; for a function always "inline"
 *     stdin       the bytes, or the path; for a function the call, passed on as it is
 *     output      path of the file that is the result; "": stdout is the result. What is not the result is log.
 *     argc, argv… envc, env…
 *
 * A host process reads calls from its descriptor 3 (length, call) and answers there with frames O and X ("code cpu_us rss_kb").
 *
 * Between two runs every other process is killed and reaped, and /tmp and /dev/shm are emptied. Static, no allocation
 * beyond the run's own frame, one thread. docker-init is process 1 above it.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define VERSION "1"
#define MAX_FRAME (4u << 20)
#define BLOCK 65536
#define MAX_FIELDS 32768
#define NOT_RUN 127
#define TICK_MS 1000
#define PAUSE_US 1000000

static int master = -1;   /* the worker's socket */
static int children = -1; /* signalfd of SIGCHLD */
static pid_t host = 0;    /* the warm host process, its socket and its log */
static int host_socket = -1, host_log = -1;

struct field {
    char *at;
    uint32_t size;
};

struct end {
    int code, signal, timed_out, cancelled;
    long long cpu_us, wall_us;
    long rss_kb;
};

struct run {
    int function, stdin_kind; /* 0 none, 1 inline, 2 file */
    long limit_ms;
    char *cwd, *output;
    struct field input;
    char **argv, **env;
    int envc;
};

static long long now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

/* The worker is gone, or speaks nonsense: there is nothing left to do for this container. */
static void quit(int code) {
    kill(-1, SIGKILL);
    _exit(code);
}

static int write_all(int fd, const void *data, size_t size) {
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

static int read_all(int fd, void *data, size_t size) {
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

static void put_size(unsigned char *at, uint32_t size) {
    for (int i = 0; i < 4; i++) at[i] = (unsigned char)(size >> (8 * i));
}

static uint32_t get_size(const unsigned char *at) {
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static void send_frame(char type, const void *data, uint32_t size) {
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

static void log_text(const char *text) { send_frame('L', text, (uint32_t)strlen(text)); }

static void send_end(const struct end *end) {
    char text[160];
    int n = snprintf(text, sizeof text, "%d %d %d %d %lld %lld %ld", end->code, end->signal, end->timed_out,
                     end->cancelled, end->cpu_us, end->wall_us, end->rss_kb);
    send_frame('X', text, (uint32_t)n);
}

/* --- leaving nothing behind ------------------------------------------------------------------------------------- */

static void forget_host(void) {
    if (host_socket >= 0) close(host_socket);
    if (host_log >= 0) close(host_log);
    host = 0;
    host_socket = host_log = -1;
}

/* Whether it has ended and only waits to be reaped, by the host it may be: there is nothing left to kill. */
static int is_zombie(const char *pid) {
    char path[64], stat[512], *state;
    snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 1;
    ssize_t n = read(fd, stat, sizeof stat - 1);
    close(fd);
    if (n <= 0) return 1;
    stat[n] = 0;
    state = strrchr(stat, ')');
    return state && (state[2] == 'Z' || state[2] == 'X');
}

/* Kill every process but docker-init, ourselves and the host; returns whether there was one. */
static int kill_all_but_host(void) {
    DIR *proc = opendir("/proc");
    struct dirent *entry;
    int found = 0;
    if (!proc) return 0;
    while ((entry = readdir(proc))) {
        pid_t pid = atoi(entry->d_name);
        if (pid > 1 && pid != getpid() && pid != host && !is_zombie(entry->d_name) && kill(pid, SIGKILL) == 0) found = 1;
    }
    closedir(proc);
    return found;
}

static void kill_others(void) {
    int status;
    if (!host) {
        kill(-1, SIGKILL);
        while (waitpid(-1, &status, 0) > 0 || errno == EINTR) {} /* we are the subreaper: all orphans are ours */
        return;
    }
    for (int round = 0; round < 1000 && kill_all_but_host(); round++) {
        pid_t pid;
        while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
            if (pid == host) forget_host();
        if (!host) {
            kill_others();
            return;
        }
    }
}

/* The next entry of a folder that is none of "." and ".."; NULL at its end. */
static const char *next_in(DIR *dir) {
    struct dirent *entry;
    while ((entry = readdir(dir)))
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..")) return entry->d_name;
    return NULL;
}

/* Empty one folder below `top` and remove it. Folders in it are moved up into `top` rather than entered, so that no
 * depth of them needs more than these two descriptors. Returns whether anything went. */
static int flatten(int top, const char *name) {
    static unsigned long serial;
    char above[32];
    const char *inner;
    int went = 0;
    fchmodat(top, name, 0700, 0);
    int fd = openat(top, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    while (dir && (inner = next_in(dir))) {
        if (unlinkat(fd, inner, 0)) {
            fchmodat(fd, inner, 0700, 0);
            snprintf(above, sizeof above, ".dc-%lu", serial++);
            if (renameat(fd, inner, top, above)) continue;
        }
        went = 1;
    }
    if (dir) closedir(dir);
    else if (fd >= 0) close(fd);
    return unlinkat(top, name, AT_REMOVEDIR) == 0 || went;
}

static void empty(const char *place) {
    int top = open(place, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), went = 1;
    DIR *dir = top < 0 ? NULL : fdopendir(top);
    const char *name;
    while (dir && went) {
        went = 0;
        rewinddir(dir);
        while ((name = next_in(dir)))
            if (unlinkat(top, name, 0) == 0 || flatten(top, name)) went = 1;
    }
    if (dir) closedir(dir);
}

static void empty_scratch(void) {
    empty("/tmp");
    empty("/dev/shm");
    empty("/var/tmp"); /* writable only where an image makes it so */
}

/* --- starting processes ----------------------------------------------------------------------------------------- */

static void become(const struct run *run, int in, int out, int err, int host_end) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    setsid();
    prctl(PR_SET_DUMPABLE, 1);
    int score = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (score >= 0) { /* out of memory takes the program, not the runner */
        ssize_t ignored = write(score, "900", 3);
        (void)ignored;
        close(score);
    }
    dup2(in, 0);
    dup2(out, 1);
    dup2(err, 2);
    if (host_end >= 0) {
        if (dup2(host_end, 3) < 0) _exit(NOT_RUN);
        close(host_end);
    }
    for (int i = 0; i < run->envc; i++) putenv(run->env[i]);
    if (chdir(run->cwd)) {
        dprintf(2, "cannot enter %s: %s\n", run->cwd, strerror(errno));
        _exit(NOT_RUN);
    }
    execvp(run->argv[0], run->argv);
    int why = errno;
    char here[4096]; /* a program in the job's folder needs no "./" */
    if (!strchr(run->argv[0], '/') && snprintf(here, sizeof here, "./%s", run->argv[0]) < (int)sizeof here) {
        execvp(here, run->argv);
        if (errno != ENOENT) why = errno;
    }
    dprintf(2, "cannot run %s: %s\n", run->argv[0], strerror(why));
    _exit(why == EACCES ? 126 : NOT_RUN);
}

static int start_host(const struct run *run) {
    int pair[2], log[2], nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (nothing < 0) return -1;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) return -1;
    if (pipe2(log, O_CLOEXEC)) return -1;
    host = fork();
    if (host == 0) {
        int end = fcntl(pair[1], F_DUPFD, 10); /* away from 3, where it must end up without close-on-exec */
        become(run, nothing, log[1], log[1], end);
    }
    close(nothing);
    close(pair[1]);
    close(log[1]);
    if (host < 0) return -1;
    host_socket = pair[0];
    host_log = log[0];
    fcntl(host_log, F_SETFL, O_NONBLOCK);
    return 0;
}

/* --- while it runs ---------------------------------------------------------------------------------------------- */

/* A frame from the worker during a run: only K makes sense. */
static int asked_to_kill(void) {
    unsigned char head[5];
    if (read_all(master, head, 5)) quit(0);
    if (head[0] != 'K' || get_size(head + 1)) quit(2);
    return 1;
}

/* Pass on what is there; returns whether the descriptor is still open. */
static int relay(int fd, char type) {
    static char block[BLOCK];
    ssize_t n = read(fd, block, sizeof block);
    if (n > 0) send_frame(type, block, (uint32_t)n);
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

static void drain(int fd, char type) {
    static char block[BLOCK];
    ssize_t n;
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    while ((n = read(fd, block, sizeof block)) > 0) send_frame(type, block, (uint32_t)n);
}

/* poll(), which moves the deadline on where it was away much longer than asked: the container was paused, and only
 * running time counts. Returns 0 only once the deadline has passed. */
static int wait_for(struct pollfd *p, nfds_t count, long long *deadline) {
    if (!*deadline) return poll(p, count, -1);
    long long before = now_us(), left = (*deadline - before + 999) / 1000;
    int asked = left < 0 ? 0 : left > TICK_MS ? TICK_MS : (int)left;
    int ready = poll(p, count, asked);
    long long away = now_us() - before - asked * 1000LL;
    if (away > PAUSE_US) *deadline += away;
    if (ready == 0 && now_us() < *deadline) return -1;
    return ready;
}

static void note_status(struct end *end, int status, const struct rusage *usage) {
    end->code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    end->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    end->cpu_us = usage->ru_utime.tv_sec * 1000000LL + usage->ru_utime.tv_usec + usage->ru_stime.tv_sec * 1000000LL +
                  usage->ru_stime.tv_usec;
    end->rss_kb = usage->ru_maxrss;
}

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
        while ((n = read(fd, block, sizeof block)) > 0) send_frame('O', block, (uint32_t)n);
    }
    if (fd >= 0) close(fd);
}

/* Reap orphans; returns whether `wanted` ended, with its status and usage. */
static int reap(pid_t wanted, int *status, struct rusage *usage) {
    struct signalfd_siginfo info;
    struct rusage of_child;
    int of_child_status, ended = 0;
    pid_t pid;
    while (read(children, &info, sizeof info) > 0) {}
    while ((pid = wait4(-1, &of_child_status, WNOHANG, &of_child)) > 0) {
        if (pid == wanted) {
            ended = 1;
            *status = of_child_status;
            *usage = of_child;
        }
        if (pid == host) forget_host();
    }
    return ended;
}

static void run_command(const struct run *run) {
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
        log_text("the chunk's input cannot be opened in the container\n");
        end.code = NOT_RUN;
        send_end(&end);
        return;
    }
    long long begun = now_us(), deadline = run->limit_ms ? begun + run->limit_ms * 1000LL : 0;
    pid_t child = fork();
    if (child == 0) become(run, in[0], out[1], err[1], -1);
    if (child < 0) quit(3);
    close(in[0]);
    close(out[1]);
    close(err[1]);
    char out_type = run->output[0] ? 'L' : 'O';
    int out_open = 1, err_open = 1;
    while (!ended) {
        struct pollfd p[5] = {{children, POLLIN, 0},
                              {master, POLLIN, 0},
                              {out_open ? out[0] : -1, POLLIN, 0},
                              {err_open ? err[0] : -1, POLLIN, 0},
                              {in[1], POLLOUT, 0}};
        int ready = wait_for(p, 5, &deadline);
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
        if (p[2].revents) out_open = relay(out[0], out_type);
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
    drain(out[0], out_type);
    drain(err[0], 'L');
    close(out[0]);
    close(err[0]);
    if (run->output[0] && end.code == 0 && !end.timed_out && !end.cancelled) send_output(run, &end);
    send_end(&end);
}

/* A frame from the host: O is passed on; X ends the run with its code. */
static int host_frame(struct end *end) {
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
        send_frame('O', block, part);
        size -= part;
    }
    return 0;
}

static void run_function(const struct run *run) {
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
        if (p[2].revents) done = host_frame(&end);
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
    send_end(&end);
}

/* --- frames in -------------------------------------------------------------------------------------------------- */

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

static void run_frame(unsigned char *frame, uint32_t size) {
    static struct field fields[MAX_FIELDS];
    static char *argv[MAX_FIELDS + 1], *env[MAX_FIELDS + 1];
    int count = split(frame, size, fields), at = 6;
    struct run run = {0};
    char *kind = text_of(fields, count, 3);
    run.function = !strcmp(text_of(fields, count, 0), "function");
    run.limit_ms = atol(text_of(fields, count, 1));
    run.cwd = text_of(fields, count, 2);
    run.stdin_kind = !strcmp(kind, "inline") ? 1 : !strcmp(kind, "file") ? 2 : 0;
    text_of(fields, count, 4);
    run.input = fields[4];
    run.output = text_of(fields, count, 5);
    int argc = atoi(text_of(fields, count, at++));
    for (int i = 0; i < argc; i++) argv[i] = text_of(fields, count, at++);
    argv[argc] = NULL;
    run.envc = atoi(text_of(fields, count, at++));
    for (int i = 0; i < run.envc; i++) env[i] = text_of(fields, count, at++);
    run.argv = argv;
    run.env = env;
    if (argc < 1) quit(2);
    if (run.function) run_function(&run);
    else run_command(&run);
    empty_scratch();
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
    if (argc != 2) return 64;
    connect_to(argv[1]);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    prctl(PR_SET_DUMPABLE, 0); /* the program, of the same user, must not reach into us */
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
