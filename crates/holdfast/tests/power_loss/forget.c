/* A disk that loses power: preloaded into the server, it keeps what every write to the database's files overwrites,
 * and throws that away when the file is synced. After kill -9 the test puts back what was kept: then each write that
 * was not synced never happened.
 *
 * FORGET_FOLDER: the folder whose files are watched (all but SQLite's shared memory, which is none of the data).
 * FORGET_UNDO:   where what is overwritten is kept, one file for each: records of offset, length, size of the file
 *                before (8 bytes each, this machine's order) and the bytes that were there.
 * FORGET_LIES:   set: syncing promises, but nothing is thrown away, as on a disk that lies about its cache.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILES_MAX = 4096 };

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
/* By descriptor: the descriptor of its undo file plus one, 0 for files that are not watched. */
static int undo_of[FILES_MAX];

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int watched(const char *path, char *undo) {
    const char *folder = getenv("FORGET_FOLDER"), *to = getenv("FORGET_UNDO");
    if (!folder || !to || strncmp(path, folder, strlen(folder)) != 0) return 0;
    const char *name = strrchr(path, '/');
    name = name ? name + 1 : path;
    size_t length = strlen(name);
    if (strncmp(name, "holdfast.db", 11) != 0 || (length > 4 && strcmp(name + length - 4, "-shm") == 0)) return 0;
    return snprintf(undo, PATH_MAX, "%s/%s", to, name) < PATH_MAX;
}

static int opened(int fd, const char *path, int flags) {
    char undo[PATH_MAX];
    if (fd >= 0 && fd < FILES_MAX && (flags & O_ACCMODE) != O_RDONLY && watched(path, undo)) {
        int to = REAL(open)(undo, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (to < 0) abort();
        pthread_mutex_lock(&turn);
        undo_of[fd] = to + 1;
        pthread_mutex_unlock(&turn);
    }
    return fd;
}

#define OPEN(name)                                      \
    int name(const char *path, int flags, ...) {        \
        va_list rest;                                   \
        va_start(rest, flags);                          \
        mode_t mode = va_arg(rest, mode_t);             \
        va_end(rest);                                   \
        return opened(REAL(name)(path, flags, mode), path, flags); \
    }
OPEN(open)
OPEN(open64)

int close(int fd) {
    if (fd >= 0 && fd < FILES_MAX) {
        pthread_mutex_lock(&turn);
        int undo = undo_of[fd] - 1;
        undo_of[fd] = 0;
        pthread_mutex_unlock(&turn);
        if (undo >= 0) REAL(close)(undo);
    }
    return REAL(close)(fd);
}

/* Keeps what lies at [offset, offset + length) and how long the file is. Call with the turn taken. */
static void keep(int fd, int undo, uint64_t offset, uint64_t length) {
    struct stat now;
    if (fstat(fd, &now) != 0) abort();
    uint64_t size = (uint64_t)now.st_size;
    uint64_t there = offset >= size ? 0 : (size - offset < length ? size - offset : length);
    char *record = malloc(24 + there);
    if (!record) abort();
    memcpy(record, &offset, 8);
    memcpy(record + 8, &there, 8);
    memcpy(record + 16, &size, 8);
    if (there && REAL(pread64)(fd, record + 24, there, (off64_t)offset) != (ssize_t)there) abort();
    if (REAL(write)(undo, record, 24 + there) != (ssize_t)(24 + there)) abort();
    free(record);
}

static int undo_file(int fd) { return fd >= 0 && fd < FILES_MAX ? undo_of[fd] - 1 : -1; }

#define KEPT(call, offset, length)                      \
    pthread_mutex_lock(&turn);                          \
    int undo = undo_file(fd);                           \
    if (undo >= 0) keep(fd, undo, (uint64_t)(offset), (uint64_t)(length)); \
    __typeof__(call) done = call;                       \
    pthread_mutex_unlock(&turn);                        \
    return done;

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset) {
    KEPT(REAL(pwrite64)(fd, bytes, length, offset), offset, length)
}
ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) {
    KEPT(REAL(pwrite)(fd, bytes, length, offset), offset, length)
}
ssize_t write(int fd, const void *bytes, size_t length) {
    if (undo_file(fd) < 0) return REAL(write)(fd, bytes, length);
    KEPT(REAL(write)(fd, bytes, length), lseek(fd, 0, SEEK_CUR), length)
}
int ftruncate64(int fd, off64_t size) { KEPT(REAL(ftruncate64)(fd, size), size, UINT64_MAX / 2) }
int ftruncate(int fd, off_t size) { KEPT(REAL(ftruncate)(fd, size), size, UINT64_MAX / 2) }

#define SYNC(name)                                      \
    int name(int fd) {                                  \
        int done = REAL(name)(fd);                      \
        pthread_mutex_lock(&turn);                      \
        int undo = undo_file(fd);                       \
        if (done == 0 && undo >= 0 && !getenv("FORGET_LIES") && REAL(ftruncate64)(undo, 0) != 0) abort(); \
        pthread_mutex_unlock(&turn);                    \
        return done;                                    \
    }
SYNC(fsync)
SYNC(fdatasync)
