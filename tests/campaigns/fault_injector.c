/* Makes calls of the C library fail, or sends signals at them. Preloaded by faults_below.py (glibc).

   fault_arm(call, first, mode, number, prefix) arms it: the call number `first` (from 1) of a kind,
   to a file below `prefix`, fails with the error `number`. Modes: 0 once, 1 from then on, 2 the
   signal `number` is sent, 3 the clock is moved by `number` seconds. fault_count(call) returns how
   many calls of a kind there were since then. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define MAX_FILES 4096
#define LARGE_BYTES (1 << 20)

enum mode { ONCE, STICKY, SIGNAL, CLOCK };

static char call[32], prefix[PATH_MAX];
static long first_call, fault_number;
static enum mode mode;
static const char *const kinds[] = {"create", "open",   "write",  "read",  "fsync", "rename", "link",
                                    "unlink", "mkdir", "memory", "clock", "wait"};
#define KINDS (sizeof kinds / sizeof *kinds)
static atomic_long counts[KINDS];
static atomic_bool is_armed;
static atomic_bool is_watched[MAX_FILES];

void fault_arm(const char *name, long first, int how, long number, const char *folder) {
    strncpy(call, name, sizeof call - 1);
    strncpy(prefix, folder, sizeof prefix - 1);
    first_call = first, mode = (enum mode)how, fault_number = number;
    for (size_t i = 0; i < KINDS; i++) atomic_store(&counts[i], 0);
    atomic_store(&is_armed, 1);
}

void fault_disarm(void) { atomic_store(&is_armed, 0); }

static atomic_long *counter(const char *name) {
    for (size_t i = 0; i < KINDS; i++)
        if (strcmp(kinds[i], name) == 0) return &counts[i];
    abort();
}

long fault_count(const char *name) { return atomic_load(counter(name)); }

/* True if this call must fail; errno is set. */
static int fails(const char *name) {
    if (!atomic_load(&is_armed)) return 0;
    long number = atomic_fetch_add(counter(name), 1) + 1;
    if (strcmp(name, call) != 0 || first_call <= 0 || number < first_call || (number > first_call && mode != STICKY)) return 0;
    if (mode == SIGNAL) {
        kill(getpid(), (int)fault_number);
        return 0;
    }
    errno = (int)fault_number;
    return 1;
}

static int is_below(const char *path) {
    return path != NULL && strncmp(path, prefix, strlen(prefix)) == 0;
}

static int is_watched_file(int file) {
    return file >= 0 && file < MAX_FILES && atomic_load(&is_watched[file]);
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int opened(int file, const char *path) {
    if (file >= 0 && file < MAX_FILES) atomic_store(&is_watched[file], is_below(path));
    return file;
}

#define OPEN(name)                                                                       \
    int name(const char *path, int flags, ...) {                                         \
        va_list rest;                                                                    \
        va_start(rest, flags);                                                           \
        mode_t permissions = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;   \
        va_end(rest);                                                                    \
        const char *kind = (flags & O_ACCMODE) == O_RDONLY ? "open" : "create";          \
        if (is_below(path) && fails(kind)) return -1;                                    \
        return opened(NEXT(name)(path, flags, permissions), path);                       \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                                     \
    int name(int folder, const char *path, int flags, ...) {                             \
        va_list rest;                                                                    \
        va_start(rest, flags);                                                           \
        mode_t permissions = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;   \
        va_end(rest);                                                                    \
        const char *kind = (flags & O_ACCMODE) == O_RDONLY ? "open" : "create";          \
        if (is_below(path) && fails(kind)) return -1;                                    \
        return opened(NEXT(name)(folder, path, flags, permissions), path);               \
    }
OPENAT(openat)
OPENAT(openat64)

int close(int file) {
    if (file >= 0 && file < MAX_FILES) atomic_store(&is_watched[file], 0);
    return NEXT(close)(file);
}

ssize_t write(int file, const void *data, size_t size) {
    if (is_watched_file(file) && fails("write")) {
        int error = errno;
        if (size > 1) NEXT(write)(file, data, size / 2); /* a full disk takes a part */
        errno = error;
        return -1;
    }
    return NEXT(write)(file, data, size);
}

ssize_t writev(int file, const struct iovec *parts, int count) {
    if (is_watched_file(file) && fails("write")) return -1;
    return NEXT(writev)(file, parts, count);
}

ssize_t read(int file, void *data, size_t size) {
    if (is_watched_file(file) && fails("read")) return -1;
    return NEXT(read)(file, data, size);
}

int fsync(int file) {
    if (is_watched_file(file) && fails("fsync")) return -1;
    return NEXT(fsync)(file);
}

int fdatasync(int file) {
    if (is_watched_file(file) && fails("fsync")) return -1;
    return NEXT(fdatasync)(file);
}

int rename(const char *from, const char *to) {
    if (is_below(to) && fails("rename")) return -1;
    return NEXT(rename)(from, to);
}

int renameat(int a, const char *from, int b, const char *to) {
    if (is_below(to) && fails("rename")) return -1;
    return NEXT(renameat)(a, from, b, to);
}

int link(const char *from, const char *to) {
    if (is_below(to) && fails("link")) return -1;
    return NEXT(link)(from, to);
}

int linkat(int a, const char *from, int b, const char *to, int flags) {
    if (is_below(to) && fails("link")) return -1;
    return NEXT(linkat)(a, from, b, to, flags);
}

int unlink(const char *path) {
    if (is_below(path) && fails("unlink")) return -1;
    return NEXT(unlink)(path);
}

int mkdir(const char *path, mode_t permissions) {
    if (is_below(path) && fails("mkdir")) return -1;
    return NEXT(mkdir)(path, permissions);
}

/* Memory: glibc's own names, because dlsym allocates. */
void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);

void *malloc(size_t size) {
    return size >= LARGE_BYTES && fails("memory") ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) return NULL;
    return bytes >= LARGE_BYTES && fails("memory") ? NULL : __libc_calloc(count, size);
}

void *realloc(void *block, size_t size) {
    return size >= LARGE_BYTES && fails("memory") ? NULL : __libc_realloc(block, size);
}

int posix_memalign(void **block, size_t alignment, size_t size) {
    if (size >= LARGE_BYTES && fails("memory")) return ENOMEM;
    *block = __libc_memalign(alignment, size);
    return *block == NULL ? ENOMEM : 0;
}

void *aligned_alloc(size_t alignment, size_t size) {
    return size >= LARGE_BYTES && fails("memory") ? NULL : __libc_memalign(alignment, size);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    int result = NEXT(clock_gettime)(clock, time);
    if (clock != CLOCK_REALTIME || !atomic_load(&is_armed)) return result;
    long number = atomic_fetch_add(counter("clock"), 1) + 1;
    if (mode == CLOCK && first_call > 0 && number >= first_call) time->tv_sec += fault_number;
    return result;
}

/* Waits of Python: locks, queues, threads. */
int sem_clockwait(sem_t *lock, clockid_t clock, const struct timespec *end) {
    fails("wait");
    return NEXT(sem_clockwait)(lock, clock, end);
}

int sem_timedwait(sem_t *lock, const struct timespec *end) {
    fails("wait");
    return NEXT(sem_timedwait)(lock, end);
}

int sem_wait(sem_t *lock) {
    fails("wait");
    return NEXT(sem_wait)(lock);
}
