/* The working directory of a command: a folder of its own in scratch that looks like the job's folder. Small files are
 * copies, which a program may write over; larger ones are links to the originals, which it can only read. */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "runner.h"

#define LARGEST_SMALL 18 /* as a power of two: 256 KiB */
#define MOST_COPIED (1L << 20)
#define SHARE 16 /* of scratch that copies may take, at most one part in so many */

static long small = -1; /* the largest file that is copied: the same on every machine, whatever order a folder is read in */
static long sizes[LARGEST_SMALL + 1]; /* bytes of all files up to 2^n, but above 2^(n - 1) */

/* A copy with the original's time, by which it is known as unchanged later. Returns 0 where there is one. */
static int copy(int from, int to, const char *name, const struct stat *st) {
    if (st->st_size > small) return -1;
    int in = openat(from, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC), failed = 1;
    int out = in < 0 ? -1 : openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, st->st_mode & 0111 ? 0755 : 0644);
    if (out >= 0) {
        struct timespec times[2] = {st->st_mtim, st->st_mtim};
        off_t at = 0;
        while (at < st->st_size && sendfile(out, in, &at, (size_t)(st->st_size - at)) > 0) {}
        failed = at < st->st_size || futimens(out, times);
        if (failed) unlinkat(to, name, 0);
        close(out);
    }
    if (in >= 0) close(in);
    return failed ? -1 : 0;
}

/* Put all of the folder `from`, whose path is `path`, into `to`. What cannot be made is left out: scratch is too small,
 * as the program will notice. */
static void fill(int from, int to, char *path) {
    DIR *dir = fdopendir(from);
    struct dirent *entry;
    char target[PATH_MAX];
    size_t length = strlen(path);
    if (!dir) {
        close(from);
        return;
    }
    while ((entry = readdir(dir))) {
        const char *name = entry->d_name;
        struct stat st;
        if (!strcmp(name, ".") || !strcmp(name, "..")) continue;
        if (length + 1 + strlen(name) >= PATH_MAX || fstatat(dirfd(dir), name, &st, AT_SYMLINK_NOFOLLOW)) continue;
        sprintf(path + length, "/%s", name);
        if (S_ISLNK(st.st_mode)) {
            ssize_t n = readlinkat(dirfd(dir), name, target, sizeof target - 1);
            if (n < 0) continue;
            target[n] = 0;
            symlinkat(target, to, name);
        } else if (S_ISDIR(st.st_mode)) {
            int inner = openat(dirfd(dir), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
            int made = mkdirat(to, name, 0755) ? -1 : openat(to, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
            if (inner >= 0 && made >= 0) fill(inner, made, path);
            else if (inner >= 0) close(inner);
            if (made >= 0) close(made);
        } else if (copy(dirfd(dir), to, name, &st)) {
            symlinkat(path, to, name);
        }
    }
    path[length] = 0;
    closedir(dir);
}

/* Add up the files below a folder by their size. */
static void measure(int folder) {
    DIR *dir = fdopendir(folder);
    struct dirent *entry;
    struct stat st;
    if (!dir) close(folder);
    while (dir && (entry = readdir(dir))) {
        int power = 0;
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW)) continue;
        if (S_ISDIR(st.st_mode)) measure(openat(dirfd(dir), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        while (power <= LARGEST_SMALL && st.st_size > 1L << power) power++;
        if (S_ISREG(st.st_mode) && power <= LARGEST_SMALL) sizes[power] += st.st_size;
    }
    if (dir) closedir(dir);
}

/* The largest power of two such that all files up to it may be copied. */
static long choose(int folder) {
    struct statvfs space;
    long room = statvfs("/tmp", &space) ? 0 : (long)(space.f_blocks * space.f_frsize / SHARE), chosen = 0;
    if (room > MOST_COPIED) room = MOST_COPIED;
    measure(openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    for (int power = 0; power <= LARGEST_SMALL && (room -= sizes[power]) >= 0; power++) chosen = 1L << power;
    return chosen;
}

int make_work(const char *folder) {
    char path[PATH_MAX] = JOB;
    if (mkdir(folder, 0755)) return -1;
    int from = open(JOB, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (from < 0) return 0; /* a job without a folder */
    int to = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (to < 0) {
        close(from);
        return -1;
    }
    if (small < 0) small = choose(from);
    fill(from, to, path);
    close(to);
    return 0;
}

int is_shipped(const char *path, const struct stat *st) {
    char original[PATH_MAX];
    struct stat was;
    if (snprintf(original, sizeof original, "%s/%s", JOB, path) >= (int)sizeof original || lstat(original, &was)) return 0;
    return S_ISREG(was.st_mode) && was.st_size == st->st_size && was.st_mtim.tv_sec == st->st_mtim.tv_sec &&
           was.st_mtim.tv_nsec == st->st_mtim.tv_nsec;
}
