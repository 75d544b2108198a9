/* A driver without a GPU, as far as pycuda and the GPU room call it: device memory is the host's, and what is queued is
   done at once (or recorded, while a stream captures). It keeps the rules that no fake in Python can keep for the real
   pycuda: every call wants a current context, what is made is counted until it is freed, and a kernel finds its
   arguments where C lays them. */

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OK = 0, BAD_VALUE = 1, NO_MEMORY = 2, NO_CONTEXT = 201, NOT_FOUND = 500, NOT_READY = 600, CAPTURING = 900 };
enum { HOST = 1, DEVICE = 2 }; /* CUmemorytype */

typedef struct {
    void *to;
    const void *from;
    size_t width, rows, to_pitch, from_pitch;
    int fill; /* -1: a copy; else the value to fill `width` bytes with */
} Work;
typedef struct {
    int count;
    Work works[64];
} Graph;
typedef struct {
    Graph *capture;
    int flags;
} Stream;
typedef struct { /* CUDA_MEMCPY2D */
    size_t src_x, src_y;
    int src_type;
    const char *src_host;
    uint64_t src_device;
    void *src_array;
    size_t src_pitch, dst_x, dst_y;
    int dst_type;
    char *dst_host;
    uint64_t dst_device;
    void *dst_array;
    size_t dst_pitch, width, height;
} Copy2D;

static __thread int pushed = 0; /* contexts on this thread's stack */
static int live = 0, broken = 0, retained = 0, unasleep = 0, unset_context_calls = 0;
static size_t limit = (size_t)1 << 34;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char context;

static void count(int change) {
    pthread_mutex_lock(&lock);
    live += change;
    pthread_mutex_unlock(&lock);
}
static int entered(void) {
    if (!pushed) {
        unset_context_calls++;
        return NO_CONTEXT;
    }
    return broken;
}
static void done(const Work *w) {
    if (w->fill >= 0) {
        memset(w->to, w->fill, w->width);
        return;
    }
    for (size_t row = 0; row < w->rows; row++)
        memcpy((char *)w->to + row * w->to_pitch, (const char *)w->from + row * w->from_pitch, w->width);
}
static int queued(Stream *stream, Work work) {
    int code = entered();
    if (code) return code;
    if (stream && stream->capture)
        stream->capture->works[stream->capture->count++] = work;
    else
        done(&work);
    return OK;
}
static int copied(void *to, const void *from, size_t bytes, Stream *stream) {
    return queued(stream, (Work){to, from, bytes, 1, 0, 0, -1});
}

/* For the test. */
int stub_live(void) { return live; }
int stub_retained(void) { return retained; }
int stub_waits_that_spin(void) { return unasleep; }
int stub_calls_without_context(void) { return unset_context_calls; }
void stub_break(int code) { broken = code; }
void stub_limit(size_t bytes) { limit = bytes; }

int cuInit(unsigned flags) { return flags ? BAD_VALUE : OK; }
int cuDriverGetVersion(int *version) { return *version = 12060, OK; }
int cuGetErrorString(int code, const char **text) {
    *text = code == NO_MEMORY ? "out of memory" : code == NO_CONTEXT ? "invalid device context"
          : code == NOT_FOUND ? "named symbol not found" : code == 719 ? "unspecified launch failure"
          : code == 999 ? "unknown error" : code == CAPTURING ? "operation not permitted when stream is capturing" : "no words";
    return OK;
}
int cuDeviceGetCount(int *n) { return *n = 1, OK; }
int cuDeviceGet(int *device, int ordinal) { return *device = ordinal, ordinal ? 101 : OK; }
int cuDeviceGetName(char *name, int length, int device) { return snprintf(name, length, "Stub %d", device), OK; }
int cuDeviceComputeCapability(int *major, int *minor, int device) { return *major = 8, *minor = 7, device; }
int cuDeviceTotalMem_v2(size_t *bytes, int device) { return *bytes = limit, device; }
int cuDeviceGetAttribute(int *value, int attribute, int device) {
    *value = attribute == 16 ? 16 : attribute == 18 ? 1 : attribute == 75 ? 8 : attribute == 76 ? 7 : -1;
    return device;
}
int cuDevicePrimaryCtxSetFlags_v2(int device, unsigned flags) { return device || flags != 4 ? BAD_VALUE : OK; }
int cuDevicePrimaryCtxRetain(void **ctx, int device) { return retained++, *ctx = &context, device; }
int cuCtxDetach(void *ctx) { return fprintf(stderr, "a primary context is not to be detached\n"), ctx ? NO_CONTEXT : BAD_VALUE; }
int cuDevicePrimaryCtxRelease_v2(int device) { return retained--, device; }
int cuCtxPushCurrent_v2(void *ctx) { return ctx == &context ? (pushed++, OK) : BAD_VALUE; }
int cuCtxPopCurrent_v2(void **ctx) { return *ctx = &context, pushed ? (pushed--, OK) : NO_CONTEXT; }

int cuMemGetInfo_v2(size_t *left, size_t *total) { return *left = *total = limit, entered(); }
int cuMemAlloc_v2(uint64_t *pointer, size_t bytes) {
    void *memory = NULL;
    int code = entered();
    if (code) return code;
    if (!bytes) return BAD_VALUE;
    if (bytes > limit) return NO_MEMORY;
    if (posix_memalign(&memory, 256, bytes)) return NO_MEMORY;
    return count(1), *pointer = (uint64_t)memory, OK;
}
int cuMemFree_v2(uint64_t pointer) { return pushed ? (free((void *)pointer), count(-1), broken) : NO_CONTEXT; }
int cuMemHostAlloc(void **pointer, size_t bytes, unsigned flags) {
    int code = entered();
    if (code || !bytes || flags) return code ? code : BAD_VALUE;
    return *pointer = malloc(bytes), count(1), OK;
}
int cuMemFreeHost(void *pointer) { return pushed ? (free(pointer), count(-1), broken) : NO_CONTEXT; }

int cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t n, Stream *s) { return copied((void *)to, from, n, s); }
int cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t n, Stream *s) { return copied(to, (void *)from, n, s); }
int cuMemcpy2DAsync_v2(const Copy2D *c, Stream *stream) {
    char *to = (c->dst_type == HOST ? c->dst_host : (char *)c->dst_device) + c->dst_y * c->dst_pitch + c->dst_x;
    const char *from = (c->src_type == HOST ? c->src_host : (char *)c->src_device) + c->src_y * c->src_pitch + c->src_x;
    if (c->width > c->dst_pitch || c->width > c->src_pitch) return BAD_VALUE;
    return queued(stream, (Work){to, from, c->width, c->height, c->dst_pitch, c->src_pitch, -1});
}

int cuStreamCreate(Stream **stream, unsigned flags) {
    int code = entered();
    if (code) return code;
    *stream = calloc(1, sizeof **stream);
    (*stream)->flags = (int)flags;
    return count(1), OK;
}
int cuStreamDestroy_v2(Stream *stream) { return pushed ? (free(stream), count(-1), broken) : NO_CONTEXT; }
int cuStreamSynchronize(Stream *stream) { return unasleep++, stream && stream->capture ? CAPTURING : entered(); }
int cuStreamWaitEvent(Stream *stream, void *event, unsigned flags) { return stream && event && !flags ? entered() : BAD_VALUE; }
int cuEventCreate(void **event, unsigned flags) {
    int code = entered();
    if (code) return code;
    if (flags != 3) unasleep++; /* BLOCKING_SYNC | DISABLE_TIMING */
    return *event = malloc(1), count(1), OK;
}
int cuEventDestroy_v2(void *event) { return pushed ? (free(event), count(-1), broken) : NO_CONTEXT; }
int cuEventRecord(void *event, Stream *stream) { return (void)stream, event ? entered() : BAD_VALUE; }
int cuEventSynchronize(void *event) { return event ? entered() : BAD_VALUE; }
int cuEventQuery(void *event) { return event ? entered() : BAD_VALUE; }

int cuModuleLoadDataEx(void **module, const void *image, unsigned n, void *options, void **values) {
    int code = entered();
    (void)n, (void)options;
    values[1] = values[3] = 0; /* the lengths of its logs */
    if (code || memcmp(image, "image", 5)) return code ? code : 200;
    return *module = malloc(1), count(1), OK;
}
int cuModuleUnload(void *module) { return pushed ? (free(module), count(-1), broken) : NO_CONTEXT; }
int cuModuleGetFunction(void **function, void *module, const char *name) {
    return *function = module, strcmp(name, "fill") ? NOT_FOUND : entered();
}
int cuFuncSetBlockShape(void *function, int x, int y, int z) { return function && x * y * z <= 1024 ? OK : BAD_VALUE; }
int cuFuncSetSharedSize(void *function, unsigned bytes) { return function && !bytes ? OK : BAD_VALUE; }
int cuLaunchKernel(void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                   unsigned shared, Stream *stream, void **parameters, void **extra) {
    struct { /* fill(unsigned char *target, int count, int value, float ignored) */
        unsigned char *target;
        int count, value;
        float scale;
    } a;
    size_t bytes = *(size_t *)extra[3];
    if (!function || parameters || shared || bytes != 20 || gx * gy * gz * bx * by * bz < 1) return BAD_VALUE;
    memcpy(&a, extra[1], bytes);
    if (a.scale != 0.5f || gx != 3 || gy != 2 || gz != 1 || bx != 32 || by != 4 || bz != 1) return BAD_VALUE;
    return queued(stream, (Work){a.target, NULL, (size_t)a.count, 1, 0, 0, a.value});
}

int cuStreamBeginCapture_v2(Stream *stream, int mode) {
    int code = entered();
    if (code || mode != 1) return code ? code : BAD_VALUE;
    return stream->capture = calloc(1, sizeof(Graph)), count(1), OK;
}
int cuStreamEndCapture(Stream *stream, Graph **graph) {
    if (!stream->capture) return 903;
    *graph = stream->capture;
    stream->capture = NULL;
    return entered();
}
int cuGraphInstantiateWithFlags(Graph **executable, const Graph *graph, unsigned long long flags) {
    *executable = malloc(sizeof **executable);
    memcpy(*executable, graph, sizeof **executable);
    return count(1), flags ? BAD_VALUE : entered();
}
int cuGraphLaunch(Graph *executable, Stream *stream) {
    int code = entered();
    for (int i = 0; !code && i < executable->count; i++) code = queued(stream, executable->works[i]);
    return code;
}
int cuGraphExecDestroy(Graph *executable) { return free(executable), count(-1), broken; }
int cuGraphDestroy(Graph *graph) { return free(graph), count(-1), broken; }
