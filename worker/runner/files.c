/* The files that a program leaves as its result: offered to the worker, which chooses among them, and sent. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runner.h"

#define DEEPEST 200
#define LARGEST_REQUEST (1u << 20)

static int stop; /* the worker has asked to kill: it wants no more of this result */
static unsigned char offer[8 + PATH_MAX]; /* a file's size, and its path below the folder */
static char *const place = (char *)offer + 8;

static int fail(const char *what) {
    char text[PATH_MAX + 200];
    snprintf(text, sizeof text, "%.4000s in the program's files: %s\n", place[0] ? place : "something", what);
    log_text(text);
    return -1;
}

static int offer_file(const struct stat *st, int shipped) {
    if (shipped && is_shipped(place, st)) return 0;
    put_size(offer, (uint32_t)st->st_size);
    put_size(offer + 4, (uint32_t)((uint64_t)st->st_size >> 32));
    send_frame('F', offer, (uint32_t)(8 + strlen(place)));
    return stop = stopped();
}

/* Offer the regular files below `dir`; links are not followed. */
static int offer_all(int dir, int depth, int shipped) {
    DIR *entries = fdopendir(dir);
    struct dirent *entry;
    struct stat st;
    size_t length = strlen(place);
    int bad = 0;
    if (!entries) {
        close(dir);
        return fail(strerror(errno));
    }
    while (!bad && (entry = readdir(entries))) {
        const char *name = entry->d_name;
        if (!strcmp(name, ".") || !strcmp(name, "..")) continue;
        if (length + 1 + strlen(name) >= PATH_MAX) bad = fail("a path is too long");
        else sprintf(place + length, length ? "/%s" : "%s", name);
        if (bad || fstatat(dirfd(entries), name, &st, AT_SYMLINK_NOFOLLOW)) continue;
        if (S_ISREG(st.st_mode)) bad = offer_file(&st, shipped);
        if (!S_ISDIR(st.st_mode)) continue;
        int inner = openat(dirfd(entries), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (inner < 0) bad = fail(strerror(errno));
        else if (depth == DEEPEST) bad = fail("the folders are nested too deep"), close(inner);
        else bad = offer_all(inner, depth + 1, shipped);
    }
    if (!bad) place[length] = 0;
    closedir(entries);
    return bad;
}

static int send_file(int top, const char *path) {
    static char block[BLOCK];
    struct stat st;
    ssize_t n = -1;
    int fd = openat(top, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0 && !fstat(fd, &st) && S_ISREG(st.st_mode))
        while (!(stop = stopped()) && (n = read(fd, block, sizeof block)) > 0) send_frame('O', block, (uint32_t)n);
    if (n < 0) {
        snprintf(place, PATH_MAX, "%s", path);
        fail(strerror(errno));
    }
    if (fd >= 0) close(fd);
    send_frame('N', "", 0);
    return n < 0 ? -1 : 0;
}

/* Send what the worker asks for, until it asks for nothing more. */
static int send_asked(int top, struct end *end) {
    unsigned char head[5];
    int bad = 0;
    for (;;) {
        if (read_all(master, head, 5)) quit(0);
        uint32_t size = get_size(head + 1), at = 0;
        if (head[0] == 'K') {
            end->cancelled = 1;
            return 0;
        }
        if (head[0] != 'G' || size > LARGEST_REQUEST) quit(2);
        if (!size) return bad;
        char *asked = malloc(size + 1);
        if (!asked || read_all(master, asked, size)) quit(0);
        asked[size] = 0;
        while (at < size && !stop) { /* paths, each with a zero byte behind it */
            bad |= send_file(top, asked + at);
            at += (uint32_t)strlen(asked + at) + 1;
        }
        free(asked);
        if (stop) {
            end->cancelled = 1;
            return 0;
        }
    }
}

void send_files(const struct run *run, struct end *end) {
    int top = open(run->files, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    place[0] = 0;
    stop = 0;
    if (top < 0 || offer_all(dup(top), 0, !strcmp(run->files, run->work))) {
        if (top < 0) fail(strerror(errno));
        end->code = NOT_RUN;
    } else {
        send_frame('D', "", 0);
        if (send_asked(top, end)) end->code = NOT_RUN;
    }
    if (top >= 0) close(top);
}
