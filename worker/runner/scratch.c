/* Emptying what a program may write to. */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runner.h"

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

/* Empty a folder but for the one in it whose path is `keep`. */
static void empty(const char *place, const char *keep) {
    int top = open(place, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), went = 1;
    DIR *dir = top < 0 ? NULL : fdopendir(top);
    size_t length = strlen(place);
    const char *name, *kept = !strncmp(keep, place, length) && keep[length] == '/' ? keep + length + 1 : "";
    while (dir && went) {
        went = 0;
        rewinddir(dir);
        while ((name = next_in(dir)))
            if (strcmp(name, kept) && (unlinkat(top, name, 0) == 0 || flatten(top, name))) went = 1;
    }
    if (dir) closedir(dir);
}

void empty_scratch(const char *keep) {
    empty("/tmp", keep);
    empty("/dev/shm", keep);
    empty("/var/tmp", keep); /* writable only where an image makes it so */
}
