/* Lets chosen calls fail that change what is below one folder: loaded before a process's libc (LD_PRELOAD).
 *
 * Counts every write, fsync, truncation, allocation, and every making, linking, renaming and removing of a name, over
 * all threads. Calls number `first` to `last` fail with `number` as errno, and do nothing. A program asks by
 * `fault_root`, `fault_arm`, `fault_calls`, `fault_hits` and `fault_last`.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char root[PATH_MAX];
static char last_hit[PATH_MAX + 32];
static long calls, hits, first, last;
static int number;

void fault_root(const char *path) { snprintf(root, sizeof root, "%s", path); }

void fault_arm(long from, long to, int error)
{
    pthread_mutex_lock(&lock);
    calls = hits = 0;
    first = from;
    last = to;
    number = error;
    last_hit[0] = 0;
    pthread_mutex_unlock(&lock);
}

long fault_calls(void) { return calls; }
long fault_hits(void) { return hits; }
const char *fault_last(void) { return last_hit; }

static int fails(const char *call, const char *path)
{
    int failing = 0;
    size_t length = strlen(root);
    if (!length || strncmp(path, root, length) || (path[length] && path[length] != '/'))
        return 0;
    pthread_mutex_lock(&lock);
    calls++;
    if (calls >= first && calls <= last) {
        failing = 1;
        hits++;
        snprintf(last_hit, sizeof last_hit, "%s %s", call, path + length);
    }
    pthread_mutex_unlock(&lock);
    if (failing)
        errno = number;
    return failing;
}

static const char *path_of(int descriptor, char *buffer)
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, buffer, PATH_MAX - 1);
    buffer[length < 0 ? 0 : length] = 0;
    return buffer;
}

static const char *path_at(int folder, const char *name, char *buffer)
{
    char above[PATH_MAX];
    if (name[0] == '/' || folder == AT_FDCWD)
        return name;
    if (snprintf(buffer, PATH_MAX, "%s/%s", path_of(folder, above), name) >= PATH_MAX)
        buffer[0] = 0;
    return buffer;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define ON_DESCRIPTOR(result, name, parameters, arguments)                                                            \
    result name parameters                                                                                            \
    {                                                                                                                 \
        char buffer[PATH_MAX];                                                                                        \
        return root[0] && fails(#name, path_of(fd, buffer)) ? -1 : REAL(name) arguments;                              \
    }

ON_DESCRIPTOR(ssize_t, write, (int fd, const void *data, size_t size), (fd, data, size))
ON_DESCRIPTOR(ssize_t, writev, (int fd, const struct iovec *pieces, int count), (fd, pieces, count))
ON_DESCRIPTOR(ssize_t, pwrite, (int fd, const void *data, size_t size, off_t at), (fd, data, size, at))
ON_DESCRIPTOR(ssize_t, pwrite64, (int fd, const void *data, size_t size, off64_t at), (fd, data, size, at))
ON_DESCRIPTOR(int, fsync, (int fd), (fd))
ON_DESCRIPTOR(int, fdatasync, (int fd), (fd))
ON_DESCRIPTOR(int, ftruncate, (int fd, off_t size), (fd, size))
ON_DESCRIPTOR(int, ftruncate64, (int fd, off64_t size), (fd, size))
ON_DESCRIPTOR(int, fchmod, (int fd, mode_t mode), (fd, mode))

/* These give back the error instead of setting it. */
int posix_fallocate(int fd, off_t at, off_t size)
{
    char buffer[PATH_MAX];
    return root[0] && fails("fallocate", path_of(fd, buffer)) ? errno : REAL(posix_fallocate)(fd, at, size);
}

int posix_fallocate64(int fd, off64_t at, off64_t size)
{
    char buffer[PATH_MAX];
    return root[0] && fails("fallocate", path_of(fd, buffer)) ? errno : REAL(posix_fallocate64)(fd, at, size);
}

#define ON_NAME(name, parameters, arguments, folder, path)                                                            \
    int name parameters                                                                                               \
    {                                                                                                                 \
        char buffer[PATH_MAX];                                                                                        \
        return root[0] && fails(#name, path_at(folder, path, buffer)) ? -1 : REAL(name) arguments;                    \
    }

ON_NAME(unlink, (const char *path), (path), AT_FDCWD, path)
ON_NAME(unlinkat, (int at, const char *path, int flags), (at, path, flags), at, path)
ON_NAME(rmdir, (const char *path), (path), AT_FDCWD, path)
ON_NAME(mkdir, (const char *path, mode_t mode), (path, mode), AT_FDCWD, path)
ON_NAME(mkdirat, (int at, const char *path, mode_t mode), (at, path, mode), at, path)
ON_NAME(chmod, (const char *path, mode_t mode), (path, mode), AT_FDCWD, path)
ON_NAME(fchmodat, (int at, const char *path, mode_t mode, int flags), (at, path, mode, flags), at, path)
ON_NAME(rename, (const char *from, const char *to), (from, to), AT_FDCWD, to)
ON_NAME(renameat, (int a, const char *from, int b, const char *to), (a, from, b, to), b, to)
ON_NAME(renameat2, (int a, const char *from, int b, const char *to, unsigned flags), (a, from, b, to, flags), b, to)
ON_NAME(link, (const char *from, const char *to), (from, to), AT_FDCWD, to)
ON_NAME(linkat, (int a, const char *from, int b, const char *to, int flags), (a, from, b, to, flags), b, to)

/* Only where a name may be made. */
#define OPEN(name, parameters, fixed, folder)                                                                         \
    int name parameters                                                                                               \
    {                                                                                                                 \
        char buffer[PATH_MAX];                                                                                        \
        mode_t mode = 0;                                                                                              \
        if (flags & O_CREAT) {                                                                                        \
            va_list more;                                                                                             \
            va_start(more, flags);                                                                                    \
            mode = va_arg(more, mode_t);                                                                              \
            va_end(more);                                                                                             \
            if (root[0] && access(path_at(folder, path, buffer), F_OK) && fails("create", path_at(folder, path, buffer))) \
                return -1;                                                                                            \
        }                                                                                                             \
        return REAL(name) fixed;                                                                                      \
    }

OPEN(open, (const char *path, int flags, ...), (path, flags, mode), AT_FDCWD)
OPEN(open64, (const char *path, int flags, ...), (path, flags, mode), AT_FDCWD)
OPEN(openat, (int at, const char *path, int flags, ...), (at, path, flags, mode), at)
OPEN(openat64, (int at, const char *path, int flags, ...), (at, path, flags, mode), at)
