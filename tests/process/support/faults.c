/* Makes calls of the system fail, or wait, for a program that it is loaded into by LD_PRELOAD.
 *
 * MCR_FAULTS names a directory. While it has a file called like a call, which says "<errno> <part of a path>", that call fails
 * with that error on paths with that part; with the error 0 it waits until the file is gone, and is made then. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

/* The error that is armed for this call, 0 to wait, -1 for none. */
static int armed(const char *call, const char *path) {
    const char *directory = getenv("MCR_FAULTS");
    char name[4096], said[4096];
    if (!directory) return -1;
    snprintf(name, sizeof name, "%s/%s", directory, call);
    int file = (int)syscall(SYS_openat, AT_FDCWD, name, O_RDONLY | O_CLOEXEC);
    if (file < 0) return -1;
    long length = syscall(SYS_read, file, said, sizeof said - 1);
    syscall(SYS_close, file);
    if (length <= 0) return -1;
    said[length] = 0;
    char *part = strchr(said, ' ');
    if (!part) return -1;
    *part++ = 0;
    return strstr(path, part) ? atoi(said) : -1;
}

static int fails(const char *call, const char *path) {
    int before = errno, error;
    while ((error = armed(call, path)) == 0) usleep(5000);
    errno = error > 0 ? error : before;
    return error > 0;
}

static int fails_on(const char *call, int fd) {
    char link[64], path[4096];
    int before = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    errno = before;
    if (length < 0) return 0;
    path[length] = 0;
    return fails(call, path);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int fsync(int fd) { return fails_on("sync", fd) ? -1 : REAL(fsync)(fd); }
int fdatasync(int fd) { return fails_on("sync", fd) ? -1 : REAL(fdatasync)(fd); }
ssize_t write(int fd, const void *bytes, size_t length) {
    return fails_on("write", fd) ? -1 : REAL(write)(fd, bytes, length);
}
ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) {
    return fails_on("write", fd) ? -1 : REAL(pwrite)(fd, bytes, length, at);
}
ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) {
    return fails_on("write", fd) ? -1 : REAL(pwrite64)(fd, bytes, length, at);
}
ssize_t pread64(int fd, void *bytes, size_t length, off64_t at) {
    return fails_on("read", fd) ? -1 : REAL(pread64)(fd, bytes, length, at);
}
/* It says that it has locked, and has not. */
int flock(int fd, int operation) { return fails_on("flock", fd) ? 0 : REAL(flock)(fd, operation); }
int linkat(int from, const char *old, int to, const char *new, int flags) {
    return fails("link", new) ? -1 : REAL(linkat)(from, old, to, new, flags);
}
int rename(const char *old, const char *new) { return fails("rename", new) ? -1 : REAL(rename)(old, new); }
