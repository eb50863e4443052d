/*
 * A power cut, without one: what would be on the disk if the machine stopped now.
 *
 * Preloaded into a process (LD_PRELOAD), this keeps in POWERCUT_SHADOW a copy of the files below POWERCUT_DIR which only
 * the system calls that promise durability may change:
 *
 *   fsync, fdatasync of a file        what was written to it since
 *   fsync, fdatasync of a directory   the names in it: files created, renamed and removed
 *
 * Neither write nor close nor rename nor sync_file_range changes the copy, for none of them promises anything. A name
 * whose file was never synced leads to an empty file. After SIGKILL, POWERCUT_SHADOW/tree is what a restart would find.
 * What is below POWERCUT_DIR when the process starts counts as on disk.
 *
 * With POWERCUT_FDATASYNC_LIES=1, fdatasync does nothing: to prove that a check notices its absence.
 *
 * Limits: one process at a time; no mmap, no sendfile into files; both directories on one file system. It sees calls
 * made through libc, as std and sled make them. rustix makes its own ("linux_raw"): files may be opened with it, but must be
 * written and synced through std.
 *
 * cc -shared -fPIC -O1 -o powercut.so powercut.c -ldl -lpthread
 */
#define _GNU_SOURCE
#undef _FORTIFY_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

struct range {
    off_t from, to;
};

/* A file, told apart by number and time of birth, for numbers are given again. */
struct file {
    unsigned long long ino;
    long long born_s;
    unsigned born_ns;
    int below; /* POWERCUT_DIR */
    struct range *dirty;
    size_t count, room;
};

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct file *files;
static size_t files_count;
static char dir[PATH_MAX], shadow[PATH_MAX];
static int active, fdatasync_lies;

static int (*real_open)(const char *, int, ...);
static int (*real_openat)(int, const char *, int, ...);
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_writev)(int, const struct iovec *, int);
static ssize_t (*real_pwritev)(int, const struct iovec *, int, off_t);
static ssize_t (*real_copy_file_range)(int, off_t *, int, off_t *, size_t, unsigned);
static int (*real_ftruncate)(int, off_t);
static int (*real_fallocate)(int, int, off_t, off_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);

/* The copy is the whole point: without it nothing may seem to go well. */
static void die(const char *what, const char *path)
{
    fprintf(stderr, "powercut: %s %s: %s\n", what, path, strerror(errno));
    abort();
}

static void copy(int from, int to, struct range range)
{
    static char buffer[1 << 16];
    while (range.from < range.to) {
        size_t wanted = sizeof buffer;
        if ((off_t)wanted > range.to - range.from)
            wanted = (size_t)(range.to - range.from);
        ssize_t got = pread(from, buffer, wanted, range.from);
        if (got < 0)
            die("reading for", shadow);
        if (got == 0)
            return; /* truncated meanwhile */
        if (real_pwrite(to, buffer, (size_t)got, range.from) != got)
            die("writing to", shadow);
        range.from += got;
    }
}

static void content_path(char *path, const struct file *file)
{
    snprintf(path, PATH_MAX, "%s/content/%llu-%lld-%u", shadow, file->ino, file->born_s, file->born_ns);
}

static void identify(struct file *file, const struct statx *stat)
{
    memset(file, 0, sizeof *file);
    file->ino = stat->stx_ino;
    if (stat->stx_mask & STATX_BTIME) {
        file->born_s = stat->stx_btime.tv_sec;
        file->born_ns = stat->stx_btime.tv_nsec;
    }
}

static int path_of(int fd, char *path)
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    size_t prefix = strlen(dir);
    return strncmp(path, dir, prefix) == 0 && (path[prefix] == '/' || path[prefix] == 0);
}

/* The file behind a descriptor if it is below the directory; call with the gate held. */
static struct file *lookup(int fd)
{
    struct statx stat;
    if (statx(fd, "", AT_EMPTY_PATH, STATX_TYPE | STATX_INO | STATX_BTIME, &stat) != 0 || !S_ISREG(stat.stx_mode))
        return NULL;
    struct file known;
    identify(&known, &stat);
    for (size_t at = 0; at < files_count; at++)
        if (files[at].ino == known.ino && files[at].born_s == known.born_s && files[at].born_ns == known.born_ns)
            return files[at].below ? &files[at] : NULL;
    char path[PATH_MAX];
    known.below = path_of(fd, path);
    files = realloc(files, (files_count + 1) * sizeof *files);
    if (!files)
        die("remembering", path);
    files[files_count] = known;
    return known.below ? &files[files_count++] : (files_count++, NULL);
}

/* Called after the change: were it before, a sync in between would forget it. */
static void changed(int fd, off_t from, off_t to)
{
    int before = errno;
    if (active && from < to) {
        pthread_mutex_lock(&gate);
        struct file *file = lookup(fd);
        if (file && file->count && file->dirty[file->count - 1].to == from) {
            file->dirty[file->count - 1].to = to;
        } else if (file) {
            if (file->count == file->room) {
                file->room = file->room * 2 + 16;
                file->dirty = realloc(file->dirty, file->room * sizeof *file->dirty);
                if (!file->dirty)
                    die("remembering a change below", dir);
            }
            file->dirty[file->count++] = (struct range){from, to};
        }
        pthread_mutex_unlock(&gate);
    }
    errno = before;
}

static void sync_content(int fd, struct file *file)
{
    char path[PATH_MAX], link[64];
    struct stat stat;
    content_path(path, file);
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    int from = real_open(link, O_RDONLY | O_CLOEXEC);
    int to = real_open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (from < 0 || to < 0 || fstat(from, &stat) != 0 || real_ftruncate(to, stat.st_size) != 0)
        die("syncing to", path);
    for (size_t at = 0; at < file->count; at++)
        copy(from, to, file->dirty[at]);
    file->count = 0;
    close(from);
    close(to);
}

/* Makes `name` in the shadow the file or directory that it is in the directory. */
static void sync_name(int from, const char *real, const char *mirror, const char *name, int initially);

static void sync_names(const char *real, const char *mirror, int initially)
{
    DIR *names = opendir(real);
    if (!names || (mkdir(mirror, 0700) != 0 && errno != EEXIST))
        die("syncing names of", real);
    struct dirent *entry;
    while ((entry = readdir(names)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            sync_name(dirfd(names), real, mirror, entry->d_name, initially);
    DIR *kept = opendir(mirror);
    if (!kept)
        die("syncing names to", mirror);
    while ((entry = readdir(kept))) {
        struct stat stat;
        if (fstatat(dirfd(names), entry->d_name, &stat, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT) {
            /* A directory that is not empty here was emptied and removed there, without a sync in between. */
            if (unlinkat(dirfd(kept), entry->d_name, 0) != 0 && unlinkat(dirfd(kept), entry->d_name, AT_REMOVEDIR) != 0)
                continue;
        }
    }
    closedir(kept);
    closedir(names);
}

static void sync_name(int from, const char *real, const char *mirror, const char *name, int initially)
{
    char below[PATH_MAX], target[PATH_MAX], content[PATH_MAX], temporary[PATH_MAX];
    struct statx stat;
    if (statx(from, name, AT_SYMLINK_NOFOLLOW, STATX_TYPE | STATX_INO | STATX_BTIME | STATX_SIZE, &stat) != 0)
        return; /* removed meanwhile */
    if (snprintf(below, PATH_MAX, "%s/%s", real, name) >= PATH_MAX
        || snprintf(target, PATH_MAX, "%s/%s", mirror, name) >= PATH_MAX
        || snprintf(temporary, PATH_MAX, "%s/name", shadow) >= PATH_MAX)
        die("too long a path:", name);
    if (S_ISDIR(stat.stx_mode)) {
        if (initially)
            sync_names(below, target, 1);
        else if (mkdir(target, 0700) != 0 && errno != EEXIST)
            die("creating", target);
        return;
    }
    if (!S_ISREG(stat.stx_mode))
        return;
    struct file file;
    identify(&file, &stat);
    content_path(content, &file);
    int to = real_open(content, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (to < 0)
        die("creating", content);
    if (initially) {
        int source = real_openat(from, name, O_RDONLY | O_CLOEXEC);
        if (source < 0)
            die("reading", below);
        copy(source, to, (struct range){0, (off_t)stat.stx_size});
        close(source);
    }
    close(to);
    struct stat have, want;
    if (lstat(target, &have) == 0 && lstat(content, &want) == 0 && have.st_ino == want.st_ino)
        return;
    unlink(temporary);
    if (link(content, temporary) != 0 || rename(temporary, target) != 0)
        die("naming", target);
}

static void begin(void)
{
    real_open = dlsym(RTLD_NEXT, "open");
    real_openat = dlsym(RTLD_NEXT, "openat");
    real_write = dlsym(RTLD_NEXT, "write");
    real_pwrite = dlsym(RTLD_NEXT, "pwrite");
    real_writev = dlsym(RTLD_NEXT, "writev");
    real_pwritev = dlsym(RTLD_NEXT, "pwritev");
    real_copy_file_range = dlsym(RTLD_NEXT, "copy_file_range");
    real_ftruncate = dlsym(RTLD_NEXT, "ftruncate");
    real_fallocate = dlsym(RTLD_NEXT, "fallocate");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    const char *from = getenv("POWERCUT_DIR"), *to = getenv("POWERCUT_SHADOW"), *lies = getenv("POWERCUT_FDATASYNC_LIES");
    if (!from || !to)
        return;
    char path[PATH_MAX];
    if (!realpath(from, dir) || !realpath(to, shadow))
        die("opening", to);
    fdatasync_lies = lies && strcmp(lies, "1") == 0;
    snprintf(path, PATH_MAX, "%s/content", shadow);
    if (mkdir(path, 0700) != 0)
        die("creating", path);
    snprintf(path, PATH_MAX, "%s/tree", shadow);
    sync_names(dir, path, 1);
    active = 1;
}

__attribute__((constructor)) static void start(void)
{
    pthread_once(&once, begin);
}

static int is_open_truncating(int at, const char *path, int flags, off_t *size)
{
    struct stat stat;
    if (!active || !(flags & O_TRUNC) || fstatat(at, path, &stat, 0) != 0 || !S_ISREG(stat.st_mode))
        return 0;
    *size = stat.st_size;
    return 1;
}

static int open_noting(int at, const char *path, int flags, mode_t mode)
{
    off_t size = 0;
    start();
    int truncates = is_open_truncating(at, path, flags, &size);
    int fd = real_openat(at, path, flags, mode);
    if (fd >= 0 && truncates)
        changed(fd, 0, size);
    return fd;
}

#define MODE(last)                                                                                                          \
    mode_t mode = 0;                                                                                                        \
    if (flags & (O_CREAT | __O_TMPFILE)) {                                                                                  \
        va_list more;                                                                                                       \
        va_start(more, last);                                                                                               \
        mode = va_arg(more, mode_t);                                                                                        \
        va_end(more);                                                                                                       \
    }

int open(const char *path, int flags, ...)
{
    MODE(flags)
    return open_noting(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    MODE(flags)
    return open_noting(AT_FDCWD, path, flags, mode);
}

int openat(int at, const char *path, int flags, ...)
{
    MODE(flags)
    return open_noting(at, path, flags, mode);
}

int openat64(int at, const char *path, int flags, ...)
{
    MODE(flags)
    return open_noting(at, path, flags, mode);
}

int creat(const char *path, mode_t mode)
{
    return open_noting(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

int creat64(const char *path, mode_t mode)
{
    return open_noting(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

/* What was written ends where the descriptor stands now, also if it appends. */
static ssize_t wrote(int fd, ssize_t length)
{
    if (active && length > 0) {
        int before = errno;
        off_t end = lseek(fd, 0, SEEK_CUR);
        errno = before;
        if (end >= length)
            changed(fd, end - length, end);
    }
    return length;
}

static ssize_t wrote_at(int fd, ssize_t length, off_t from)
{
    if (length > 0)
        changed(fd, from, from + length);
    return length;
}

ssize_t write(int fd, const void *data, size_t length)
{
    start();
    return wrote(fd, real_write(fd, data, length));
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    start();
    return wrote(fd, real_writev(fd, parts, count));
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t from)
{
    start();
    return wrote_at(fd, real_pwrite(fd, data, length, from), from);
}

ssize_t pwrite64(int fd, const void *data, size_t length, off_t from)
{
    return pwrite(fd, data, length, from);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t from)
{
    start();
    return wrote_at(fd, real_pwritev(fd, parts, count, from), from);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off_t from)
{
    return pwritev(fd, parts, count, from);
}

ssize_t copy_file_range(int from, off_t *from_at, int to, off_t *to_at, size_t length, unsigned flags)
{
    start();
    ssize_t copied = real_copy_file_range(from, from_at, to, to_at, length, flags);
    if (to_at)
        return wrote_at(to, copied, copied > 0 ? *to_at - copied : 0);
    return wrote(to, copied);
}

int ftruncate(int fd, off_t size)
{
    struct stat stat;
    start();
    int known = fstat(fd, &stat) == 0;
    int outcome = real_ftruncate(fd, size);
    if (outcome == 0 && known && stat.st_size > size)
        changed(fd, size, stat.st_size); /* zeros, should it grow again */
    return outcome;
}

int ftruncate64(int fd, off_t size)
{
    return ftruncate(fd, size);
}

int fallocate(int fd, int mode, off_t from, off_t length)
{
    start();
    int outcome = real_fallocate(fd, mode, from, length);
    if (outcome == 0)
        changed(fd, from, from + length);
    return outcome;
}

int fallocate64(int fd, int mode, off_t from, off_t length)
{
    return fallocate(fd, mode, from, length);
}

/* The real one is not called for what is below the directory: here the shadow is the disk. */
static int synced(int fd, int (*real)(int))
{
    struct stat stat;
    char path[PATH_MAX], mirror[PATH_MAX * 2];
    if (!active || fstat(fd, &stat) != 0)
        return real(fd);
    pthread_mutex_lock(&gate);
    struct file *file = lookup(fd);
    int ours = file != NULL;
    if (file) {
        sync_content(fd, file);
    } else if (S_ISDIR(stat.st_mode) && path_of(fd, path)) {
        ours = 1;
        snprintf(mirror, sizeof mirror, "%s/tree%s", shadow, path + strlen(dir));
        /* Where the shadow has no such directory yet, its name was not synced: nothing in it can be found again. */
        if (access(mirror, F_OK) == 0)
            sync_names(path, mirror, 0);
    }
    pthread_mutex_unlock(&gate);
    return ours ? 0 : real(fd);
}

int fsync(int fd)
{
    start();
    return synced(fd, real_fsync);
}

int fdatasync(int fd)
{
    start();
    return fdatasync_lies ? 0 : synced(fd, real_fdatasync);
}
